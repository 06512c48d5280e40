"""What a component's pods and its Secret show. Pure: the API server's objects and the time are arguments."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any, Final, Literal

from cryptography import x509

from csr_signer import der, field_error
from csr_signer.objects.json_fields import OTHERS, Mask
from signerctl import objects
from signerctl.key_pairs import certificate
from signerctl.key_pairs.catalog import KeyPair

Json = Mapping[str, Any]
State = Literal["missing", "expiring", "valid", "foreign", "asks", "unused", "absent"]

TYPES: Final = ("kubernetes.io/tls", "Opaque")
"""The types of a Secret that may hold a key pair; this command creates the first one."""
ANNOTATION: Final = "kms-csr-signer/key-pair-of"
"""Of a Secret that this command wrote; no other Secret is changed without --replace."""
POD: Final[dict[str, Mask]] = {
    "metadata": dict.fromkeys(("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")),
    "spec": {
        "serviceAccountName": None,
        "volumes": [{"name": None, "emptyDir": {OTHERS: None}, "secret": {"secretName": None}}],
        "initContainers": [{"name": None, "volumeMounts": [{"name": None}]}],
    },
    "status": {"phase": None},
}
"""The fields of a pod that this module reads."""
SECRET: Final[dict[str, Mask]] = {
    "metadata": {
        **dict.fromkeys(("name", "namespace", "uid", "resourceVersion")),
        "annotations": {OTHERS: None},
        "labels": {OTHERS: None},
        "finalizers": [None],
        "ownerReferences": [{OTHERS: None}],
    },
    "type": None,
    "immutable": None,
    "data": {"tls.crt": None},
}
"""The fields of a Secret that this package reads or writes back; the key is not one of them."""
_BY_POD: Final = ("missing", "asks", "unused")
_LIVE: Final = ("Pending", "Running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The state of one key pair.

    Attributes:
        key_pair: The key pair.
        state: `missing`: the volume is empty; `expiring`: our Secret expires soon, or does not fit any more; `valid`;
            `foreign`: another program made the Secret, or it cannot be changed; `asks`: an init container asks for the
            certificate; `unused`: the pod has no such volume; `absent`: there is no pod.
        why: A sentence for people.
        pod: The pod in whose name to ask; None if there is none.
        secret: The present Secret; None if there is none.
        not_after: When the present certificate expires; None without one.
    """

    key_pair: KeyPair
    state: State
    why: str
    pod: Json | None = None
    secret: Json | None = None
    not_after: datetime | None = None

    @property
    def is_due(self) -> bool:
        """Whether the key pair must be provided now."""
        return self.state in {"missing", "expiring"}


def assess(
    key_pair: KeyPair,
    pods: Iterable[Json],
    secret: Json | None,
    *,
    anchors: Sequence[x509.Certificate],
    remaining: Fraction,
    now: datetime,
) -> Need:
    """Returns the state of a key pair.

    Args:
        key_pair: The key pair.
        pods: The pods of its namespace.
        secret: The present Secret; None if there is none.
        anchors: The CAs that the components trust.
        remaining: A certificate with less than this part of its lifetime left is due.
        now: The time, UTC.
    """
    live = [each for each in pods if _is_live(each, key_pair)]
    if not live:
        account = f"{key_pair.namespace}/{key_pair.service_account}"
        return Need(
            key_pair=key_pair,
            state="absent",
            why=f"no pending or running pod of service account {account}",
            secret=secret,
        )
    # The newest pod first: a rollout deletes the others, and with them the tokens that are bound to them.
    live.sort(key=objects.created, reverse=True)
    if secret is not None:
        return _of_secret(key_pair, live[0], secret, anchors=anchors, remaining=remaining, now=now)
    found = [_of_pod(key_pair, pod) for pod in live]
    return min(found, key=lambda each: _BY_POD.index(each.state))  # another pod of the account hides no empty volume


def waiting(key_pair: KeyPair, pods: Iterable[Json]) -> list[Json]:
    """Returns the live pods that wait for a key pair: their volume is empty, and no init container fills it."""
    live = [pod for pod in pods if _is_live(pod, key_pair) and _of_pod(key_pair, pod).state == "missing"]
    return [pod for pod in live if any(_is_empty(each, key_pair) for each in pod["spec"]["volumes"])]


def mounting(key_pair: KeyPair, pods: Iterable[Json]) -> list[Json]:
    """Returns the live pods that mount the key pair's Secret."""
    return [
        pod
        for pod in pods
        if _is_live(pod, key_pair)
        and any(
            (each.get("secret") or {}).get("secretName") == key_pair.secret for each in pod["spec"].get("volumes") or ()
        )
    ]


def taken_over(found: Need) -> Need:
    """Returns the need to replace a Secret that this command did not make."""
    can_be_written = found.secret is not None and not _fixed(found.secret)
    return replace(found, state="expiring", why="--replace") if found.state == "foreign" and can_be_written else found


def certificates_of(secret: Json) -> tuple[x509.Certificate, ...]:
    """Returns the certificates of a Secret, the component's own first; none if they cannot be read."""
    try:
        pem = base64.b64decode(str((secret.get("data") or {}).get("tls.crt", "")), validate=True)
        return tuple(der.attempt(lambda: list(map(_parsed, x509.load_pem_x509_certificates(pem)))))
    except (ValueError, binascii.Error):
        return ()


def _parsed(certificate: x509.Certificate) -> x509.Certificate:
    """Reads the parts that the library parses only on demand, so that a malformed one is found here."""
    _ = certificate.extensions, certificate.subject, certificate.issuer, certificate.public_key()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return certificate


def _of_pod(key_pair: KeyPair, pod: Json) -> Need:
    if all(each["name"] != key_pair.secret for each in pod["spec"].get("volumes") or ()):
        return Need(key_pair=key_pair, state="unused", why=f"its pod has no volume {key_pair.secret}", pod=pod)
    client = _filled_by(pod, key_pair.secret)
    if client:
        return Need(key_pair=key_pair, state="asks", why=f"its init container {client} asks", pod=pod)
    is_empty = any(_is_empty(each, key_pair) for each in pod["spec"]["volumes"])
    why = (
        "its volume is empty, and no init container fills it" if is_empty else "it mounts a Secret that does not exist"
    )
    return Need(key_pair=key_pair, state="missing", why=why, pod=pod)


def _fixed(secret: Json) -> str:
    """Returns why a Secret cannot get a key pair; empty if it can."""
    kind = str(secret.get("type", TYPES[0]))
    if kind not in TYPES:
        return field_error.unsupported("type", [kind], TYPES)
    return "it is immutable" if secret.get("immutable") else ""


def _is_live(pod: Json, key_pair: KeyPair) -> bool:
    metadata, status = pod["metadata"], pod.get("status") or {}
    is_ending = "deletionTimestamp" in metadata or status.get("phase", "Pending") not in _LIVE
    return pod["spec"].get("serviceAccountName", "default") == key_pair.service_account and not is_ending


def _is_empty(volume: Json, key_pair: KeyPair) -> bool:
    return bool(volume["name"] == key_pair.secret and "secret" not in volume)


def _filled_by(pod: Json, volume: str) -> str:
    """Returns the init container that mounts a volume; empty if there is none."""
    for container in pod["spec"].get("initContainers") or ():
        if any(mount["name"] == volume for mount in container.get("volumeMounts") or ()):
            return str(container["name"])
    return ""


def _of_secret(
    key_pair: KeyPair,
    pod: Json,
    secret: Json,
    *,
    anchors: Sequence[x509.Certificate],
    remaining: Fraction,
    now: datetime,
) -> Need:
    certificates = certificates_of(secret)
    end = certificates[0].not_valid_after_utc if certificates else None
    owner = (secret["metadata"].get("annotations") or {}).get(ANNOTATION)

    def state(state: State, why: str) -> Need:
        return Need(key_pair=key_pair, state=state, why=why, pod=pod, secret=secret, not_after=end)

    if fixed := _fixed(secret):
        return state("foreign", f"Secret {key_pair.path}: {fixed}: delete it, then run the command again")
    if owner is None:
        return state("foreign", f"Secret {key_pair.path} has no annotation {ANNOTATION}: signerctl did not create it")
    if problem := misfit(key_pair, secret, anchors=anchors, remaining=remaining, now=now):
        return state("expiring", problem)
    return state("valid", f"the certificate in Secret {key_pair.path} is valid until {end:%Y-%m-%d}")


def misfit(
    key_pair: KeyPair, secret: Json, *, anchors: Sequence[x509.Certificate], remaining: Fraction, now: datetime
) -> str:
    """Returns why the certificate of a Secret does not serve a key pair's pods; empty if it does."""
    certificates = certificates_of(secret)
    if not certificates:
        return f"Secret {key_pair.path} has no certificate that can be read"
    found, *above = certificates
    problems = certificate.violations(found, key_pair, anchors=anchors, above=above)
    if problems:
        return f"the certificate in Secret {key_pair.path} does not fit: {'; '.join(problems)}"
    left, lifetime = found.not_valid_after_utc - now, found.not_valid_after_utc - found.not_valid_before_utc
    if left.total_seconds() < lifetime.total_seconds() * remaining:
        return f"the certificate in Secret {key_pair.path} has less than {remaining} of its lifetime left"
    return ""
