"""The key: one CryptoKeyVersion of Cloud KMS, and every check of what it answers.

Checked of each signature, before anything is done with it: the key version's name, that KMS saw the digest's
checksum, the signature's checksum, the protection level (Google's data-integrity guidelines). That it verifies is
`certificate`'s check. A wrong answer is asked for once more; the time for all attempts is bounded far below the 90 s
of Calico's client.
"""

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import google.auth.exceptions
import google_crc32c
import grpc
from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from csr_signer.errors import ConfigurationError, IntegrityError, QuotaError, UnavailableError
from csr_signer.issuer import KmsPublicKey, SignatureAlgorithm, protects
from csr_signer.lint import TBSCertificate

T = TypeVar("T")

ATTEMPT_SECONDS: Final = 3.0
OVERALL_SECONDS: Final = 10.0
FIRST_PAUSE: Final = 0.1
WRONG_ANSWERS: Final = 2
_TRANSIENT: Final = (
    exceptions.ServiceUnavailable,
    exceptions.DeadlineExceeded,
    exceptions.InternalServerError,
    exceptions.Aborted,
)


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
            channel = grpc.insecure_channel(unsafe_plaintext_endpoint)
            return kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
        options = {} if endpoint is None else {"api_endpoint": endpoint}
        return kms_v1.KeyManagementServiceClient(client_options=options)
    except google.auth.exceptions.GoogleAuthError as error:
        raise ConfigurationError(f"Cloud KMS: no credentials: {error}") from error


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
        self._lock = threading.Lock()
        self._public_key: KmsPublicKey | None = None

    def public_key(self) -> KmsPublicKey:
        """The public key, asked for once per process: GetPublicKey counts as a cryptographic request.

        Raises:
            ConfigurationError: the key version is disabled, destroyed, unknown or not ours to use.
            UnavailableError, QuotaError: KMS does not answer in time; KMS asks to slow down.
            IntegrityError: KMS answers what cannot be right.
        """
        with self._lock:
            if self._public_key is not None:
                return self._public_key
            answer, _ = self._ask(self._get_public_key)
            self._public_key = answer
            return answer

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

    def _get_public_key(self, timeout: float) -> KmsPublicKey:
        answer = self._client.get_public_key(request={"name": self.key_version}, retry=None, timeout=timeout)
        pem = answer.pem.encode()
        _require(answer.name == self.key_version, f"name {answer.name!r}")
        _require(answer.pem_crc32c is not None and answer.pem_crc32c == google_crc32c.value(pem), "pem_crc32c")
        return KmsPublicKey(
            pem=pem,
            algorithm=kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm(answer.algorithm).name,
            protection_level=kms_v1.ProtectionLevel(answer.protection_level).name,
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
        level = kms_v1.ProtectionLevel(answer.protection_level).name
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
            except exceptions.ResourceExhausted as error:
                raise QuotaError(f"key version {self.key_version}: quota is exhausted") from error
            except (exceptions.GoogleAPICallError, google.auth.exceptions.GoogleAuthError) as error:
                raise ConfigurationError(
                    f"key version {self.key_version}: {_name(error)}: is it enabled, and may"
                    " the function's service account use it (roles/cloudkms.signer, roles/cloudkms.publicKeyViewer)"
                ) from error
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, guards nothing
            pause = min(2 * pause, 1.0)


def _require(right: object, what: str) -> None:
    if not right:
        raise _WrongAnswerError(what)


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]!r}"
