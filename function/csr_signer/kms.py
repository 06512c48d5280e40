"""The key: one CryptoKeyVersion of Cloud KMS, and every check of what it answers.

Checked of each signature, before anything is done with it: the key version's name, that KMS saw the digest's
checksum, the signature's checksum, the protection level (Google's data-integrity guidelines). That it verifies is
`certificate`'s check. A wrong answer is asked for once more; the time for all attempts is bounded far below the 90 s
of Calico's client.
"""

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import google.auth.exceptions
import google_crc32c
import grpc
from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from csr_signer.errors import ConfigurationError, IntegrityError, QuotaError, UnavailableError
from csr_signer.issuer import KmsPublicKey, SignatureAlgorithm, protects
from csr_signer.lint import TBSCertificate
from csr_signer.shared import SharedFetch

T = TypeVar("T")

PUBLIC_ENDPOINT: Final = "cloudkms.googleapis.com"
ATTEMPT_SECONDS: Final = 3.0
OVERALL_SECONDS: Final = 10.0
FIRST_PAUSE: Final = 0.1
WRONG_ANSWERS: Final = 2
# Server errors of every kind, and what ends a call from outside; DataLoss and Unknown are among the first.
_TRANSIENT: Final = (exceptions.ServerError, exceptions.Aborted, exceptions.Cancelled, exceptions.RetryError)
_NO_PROXY: Final = (("grpc.enable_http_proxy", 0),)
"""A proxy from the environment would see where our token goes, and may break a loopback double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature that KMS made, its answer checked.

    Attributes:
        value: PKCS#1 v1.5 or DER of ECDSA-Sig-Value.
        attempts: how often KMS was asked; each may stand in its audit log.
        milliseconds: from first question to checked answer.
    """

    value: bytes
    attempts: int
    milliseconds: int


class _WrongAnswerError(Exception):
    """KMS answered what cannot be right."""


def connect(*, endpoint: str | None, unsafe_plaintext_endpoint: str | None) -> kms_v1.KeyManagementServiceClient:
    """The one place that makes clients.

    Args:
        endpoint: host name of another TLS endpoint; None: the public one.
        unsafe_plaintext_endpoint: HOST:PORT of a double; the configuration allows only loopback addresses.

    Raises:
        ConfigurationError: no credentials.
    """
    try:
        if unsafe_plaintext_endpoint is not None:
            channel = grpc.insecure_channel(unsafe_plaintext_endpoint, options=_NO_PROXY)
            transport = KeyManagementServiceGrpcTransport(channel=channel)
        else:
            transport = KeyManagementServiceGrpcTransport(host=endpoint or PUBLIC_ENDPOINT, channel=_secure_channel)
        return kms_v1.KeyManagementServiceClient(transport=transport)
    except google.auth.exceptions.GoogleAuthError as error:
        raise ConfigurationError(f"Cloud KMS: no credentials: {error}") from error


def _secure_channel(host: str, **options: Any) -> grpc.Channel:  # noqa: ANN401 - handed on as the transport gives them
    options["options"] = [*(options.get("options") or ()), *_NO_PROXY]
    return KeyManagementServiceGrpcTransport.create_channel(host, **options)


class CloudKmsKey:
    """One key version. It signs cleared certificates and is not dressed up as a private key of a library.

    Args:
        client: of Cloud KMS.
        key_version: full resource name.
        protection_level: the least that is accepted of a signature.
    """

    def __init__(self, *, client: kms_v1.KeyManagementServiceClient, key_version: str, protection_level: str) -> None:
        self.key_version = key_version
        self._client = client
        self._protection_level = protection_level
        self._fetch: SharedFetch[KmsPublicKey] = SharedFetch()
        self._public_key: KmsPublicKey | None = None

    def public_key(self) -> KmsPublicKey:
        """The public key, asked for once per process: GetPublicKey counts as a cryptographic request.

        Raises:
            ConfigurationError: the key version is disabled, destroyed, unknown or not ours to use.
            UnavailableError, QuotaError: KMS does not answer in time; KMS asks to slow down.
            IntegrityError: KMS answers what cannot be right.
        """
        return self._public_key or self._fetch.get(self._fetch_public_key)

    def sign(self, tbs: TBSCertificate, algorithm: SignatureAlgorithm) -> Signature:
        """A signature over cleared bytes.

        Args:
            tbs: what `lint` cleared.
            algorithm: the key version's; its digest goes to KMS.

        Raises:
            As `public_key`.
        """
        digest = algorithm.digest.name, hashlib.new(algorithm.digest.name, tbs.der).digest()
        reason = f"{tbs.purpose};tbs-sha256={tbs.sha256}"
        started = time.monotonic()
        value, attempts = self._ask(lambda timeout: self._asymmetric_sign(digest, reason, timeout))
        return Signature(value=value, attempts=attempts, milliseconds=round(1000 * (time.monotonic() - started)))

    def _fetch_public_key(self) -> KmsPublicKey:
        if self._public_key is None:
            answer, _ = self._ask(self._get_public_key)
            self._public_key = answer
        return self._public_key

    def _get_public_key(self, timeout: float) -> KmsPublicKey:
        answer = self._client.get_public_key(request={"name": self.key_version}, retry=None, timeout=timeout)
        pem = answer.pem.encode()
        _require(answer.name == self.key_version, f"name {answer.name!r}")
        _require(answer.pem_crc32c is not None and answer.pem_crc32c == google_crc32c.value(pem), "pem_crc32c")
        return KmsPublicKey(
            pem=pem,
            algorithm=_enum_name(answer.algorithm),
            protection_level=_enum_name(answer.protection_level),
        )

    def _asymmetric_sign(self, digest: tuple[str, bytes], reason: str, timeout: float) -> bytes:
        name, value = digest
        answer = self._client.asymmetric_sign(
            request={
                "name": self.key_version,
                "digest": {name: value},
                "digest_crc32c": google_crc32c.value(value),
            },
            retry=None,
            timeout=timeout,
            # Stored in KMS's audit log (requestMetadata.requestAttributes.reason): every signature can be matched.
            metadata=(("x-goog-request-reason", reason),),
        )
        signature: bytes = answer.signature
        level = _enum_name(answer.protection_level)
        _require(answer.name == self.key_version, f"name {answer.name!r}")
        _require(answer.verified_digest_crc32c, "verified_digest_crc32c false")
        # A checksum of 0 is present and falsy: absence is None.
        _require(
            answer.signature_crc32c is not None and answer.signature_crc32c == google_crc32c.value(signature),
            "signature_crc32c",
        )
        _require(protects(level, self._protection_level), f"protection level {level}")
        return signature

    def _ask(self, question: Callable[[float], T]) -> tuple[T, int]:
        """Asks until there is a right answer, within the budget. Returns it and the number of attempts."""
        deadline = time.monotonic() + OVERALL_SECONDS
        wrong = 0
        attempt = 0
        pause = FIRST_PAUSE
        while True:
            attempt += 1
            left = deadline - time.monotonic()
            try:
                return question(min(ATTEMPT_SECONDS, left)), attempt
            except _WrongAnswerError as error:
                wrong += 1
                if wrong == WRONG_ANSWERS:
                    raise IntegrityError(f"key version {self.key_version}: wrong answer of KMS: {error}") from error
            except _TRANSIENT as error:
                if deadline - time.monotonic() < 2 * pause:
                    raise UnavailableError(f"key version {self.key_version}: {_name(error)}") from error
            except exceptions.TooManyRequests as error:
                raise QuotaError(f"key version {self.key_version}: quota is exhausted") from error
            except (exceptions.GoogleAPICallError, google.auth.exceptions.GoogleAuthError, ValueError) as error:
                raise ConfigurationError(
                    f"key version {self.key_version}: {_name(error)}: is it enabled, and may"
                    " the function's service account use it (roles/cloudkms.signer, roles/cloudkms.publicKeyViewer)"
                ) from error
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, guards nothing
            pause = min(2 * pause, 1.0)


def _require(right: object, what: str) -> None:
    if not right:
        raise _WrongAnswerError(what)


def _enum_name(value: object) -> str:
    """The name of a value of an enumeration; the number of one that is newer than the library, which nothing allows."""
    return getattr(value, "name", str(value))


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]!r}"
