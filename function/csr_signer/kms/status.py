"""The meaning of Cloud KMS's gRPC statuses: whether a retry helps, who must act, and how.

The module is pure: `key` reads the status from the client library's exception. Comments quote Google's messages, if
they are known. Otherwise our message says what is certain, and repeats KMS's own message.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import Final

from csr_signer.errors import ConfigurationError, QuotaError, SignerError, UnavailableError
from csr_signer.violation import quote

UNLIMITED: Final = 1000
"""As many attempts as the time limit allows."""
LONGEST_RETRY_AFTER: Final = 60
"""Seconds. Calico's client gives up after 90 s, so a longer pause would fail all waiting pods."""

ATTEMPTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "UNAVAILABLE": UNLIMITED,
        "DEADLINE_EXCEEDED": UNLIMITED,
        "CANCELLED": UNLIMITED,
        "INTERNAL": 3,
        "UNKNOWN": 3,
        "DATA_LOSS": 3,
        "ABORTED": 2,
    }
)
"""The number of such answers that end the attempts; every other status ends them at once. Signing twice is harmless."""

ROLES: Final = MappingProxyType(
    {
        "cloudkms.cryptoKeyVersions.useToSign": "roles/cloudkms.signer",
        "cloudkms.cryptoKeyVersions.viewPublicKey": "roles/cloudkms.publicKeyViewer",
        "cloudkms.cryptoKeyVersions.manageRawPKCS1Keys": "roles/cloudkms.expertRawPKCS1",
    }
)
"""The smallest role for each permission that signing needs; the last one only for raw RSA keys."""

# "NAME is not enabled, current state is: DISABLED." with a PreconditionFailure whose violation is of type KEY_DISABLED
# (seen in terraform-provider-google#5895 and vault-on-gke#56 for DESTROYED and PENDING_GENERATION, too).
_STATE: Final = re.compile(r"current state is:? *([A-Z_]+)")
_STATE_REASON: Final = "KEY_"
# "Google Cloud KMS API has not been used in this project before, or it is disabled."
_API_DISABLED: Final = re.compile(r"SERVICE_DISABLED|has not been used in (?:this )?project")
_PERIMETER: Final = re.compile(r"SECURITY_POLICY_VIOLATED|vpcServiceControls|VPC Service Controls")
_CHECKSUM: Final = re.compile(r"crc32c|checksum", re.IGNORECASE)
# gRPC's message for an answer above 4 MiB, with the status code of a quota. KMS never sends such long answers.
_TOO_LONG: Final = "Received message larger than max"
# gRPC's message for credentials without a token, with the status code of an outage; the rest is google-auth's message.
# These of its faults are permanent: an expired login, and a service account that the metadata server does not know.
_NO_TOKEN: Final = re.compile(
    r"(?s)Getting metadata from plugin failed with error:.*"
    r"(?:invalid_grant|[Rr]eauthentication|[Ss]tatus: 404|default credentials)"
)

_CONFIGURE_ANOTHER: Final = "configure another key version with its CA certificate"
_STATES: Final = MappingProxyType(
    {
        "DISABLED": f"enable it (gcloud kms keys versions enable), or {_CONFIGURE_ANOTHER}",
        "DESTROY_SCHEDULED": "restore it (gcloud kms keys versions restore, then enable) before its date,"
        f" or {_CONFIGURE_ANOTHER}",
        "DESTROYED": f"it cannot be restored: {_CONFIGURE_ANOTHER}",
        "PENDING_IMPORT": "its import is not finished",
        "IMPORT_FAILED": f"its import failed: {_CONFIGURE_ANOTHER}",
        "GENERATION_FAILED": f"KMS could not generate its key: {_CONFIGURE_ANOTHER}",
        "PENDING_EXTERNAL_DESTRUCTION": f"it is being destroyed: {_CONFIGURE_ANOTHER}",
        "EXTERNAL_DESTRUCTION_FAILED": f"do not use it any more: {_CONFIGURE_ANOTHER}",
    }
)
_REMEDIES: Final = MappingProxyType(
    {
        "NOT_FOUND": "KMS has no such key version: compare issuer.key_version with gcloud kms keys versions list,"
        " and kms.endpoint with its location",
        "INVALID_ARGUMENT": "KMS does not accept the request: compare issuer.key_version with the name in the console",
        "UNAUTHENTICATED": "KMS does not know the caller: the function needs a service account that exists and is"
        " enabled",
        "UNIMPLEMENTED": "the server is not Cloud KMS: compare kms.endpoint",
    }
)
_DENIALS: Final = ("PERMISSION_DENIED", "UNAUTHENTICATED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A gRPC status other than OK.

    Attributes:
        code: the code's name, for example `FAILED_PRECONDITION`.
        message: KMS's message.
        reasons: machine-readable reasons in its details: types of precondition violations, an ErrorInfo's reason.
        retry_delay: seconds of a RetryInfo; None without one.
    """

    code: str
    message: str
    reasons: tuple[str, ...] = ()
    retry_delay: float | None = None

    @property
    def text(self) -> str:
        """Returns the searchable text."""
        return " ".join((self.message, *self.reasons))

    @property
    def refuses_checksum(self) -> bool:
        """Tells whether KMS reports a checksum mismatch: the request was corrupted in transit."""
        return self.code == "INVALID_ARGUMENT" and _CHECKSUM.search(self.text) is not None

    @property
    def refuses_length(self) -> bool:
        """Tells whether gRPC reports an answer above its size limit."""
        return self.code == "RESOURCE_EXHAUSTED" and _TOO_LONG in self.message


def fault(status: Status, *, key_version: str) -> SignerError:
    """Returns the fault of a status after the last attempt; the message names the key version and the remedy."""
    where = f"key version {key_version}"
    # Without the key version's name, which our message already has, so that the end of KMS's message is not cut.
    words = f"{status.code} {quote(status.message.replace(key_version, '...'))}"
    retry_after = _bounded(status.retry_delay)
    if _NO_TOKEN.search(status.message):
        return ConfigurationError(f"{where}: no credentials: {words}", access_denied=True)
    if status.code in ATTEMPTS:
        return UnavailableError(f"{where}: KMS does not answer: {words}", retry_after=retry_after)
    if status.code == "RESOURCE_EXHAUSTED":
        return QuotaError(f"{where}: the quota of KMS is exhausted: {words}", retry_after=retry_after)
    state = _state(status)
    if state == "PENDING_GENERATION":
        return UnavailableError(f"{where}: KMS is still generating its key: {words}", retry_after=retry_after)
    return ConfigurationError(f"{where}: {_remedy(status, state)}: {words}", access_denied=_denies(status))


def _bounded(seconds: float | None) -> int | None:
    return None if seconds is None else min(max(ceil(seconds), 1), LONGEST_RETRY_AFTER)


def _state(status: Status) -> str:
    """Returns the key version's state; empty if the message does not name it."""
    if status.code != "FAILED_PRECONDITION":
        return ""
    named = [reason.removeprefix(_STATE_REASON) for reason in status.reasons if reason.startswith(_STATE_REASON)]
    said = _STATE.search(status.message)
    return next(iter(named), said[1] if said else "")


def _remedy(status: Status, state: str) -> str:
    if state in _STATES:
        return f"its state is {state}: {_STATES[state]}"
    if _API_DISABLED.search(status.text):
        return "the API cloudkms.googleapis.com is not enabled in the calling project: enable it"
    if status.code == "PERMISSION_DENIED":
        return _permission(status)
    if status.code == "FAILED_PRECONDITION":
        return "it must be ENABLED, and its key's purpose ASYMMETRIC_SIGN"
    return _REMEDIES.get(status.code, "KMS gave an unexpected answer")


def _denies(status: Status) -> bool:
    return status.code in _DENIALS and not _API_DISABLED.search(status.text)


def _permission(status: Status) -> str:
    # Known message: Permission 'cloudkms.cryptoKeyVersions.useToSign' denied on resource 'NAME' (or it may not exist).
    if _PERIMETER.search(status.text):
        return "VPC Service Controls block the function: admit its service account to the key's perimeter"
    named = [role for permission, role in ROLES.items() if permission in status.text]
    roles = ", ".join(named) or f"{', '.join(ROLES.values())} (the last only for raw keys)"
    return f"the function's service account may not use it, or there is no such key version: grant {roles} on the key"
