"""The key: one CryptoKeyVersion of Cloud KMS, and all checks of its answers.

For each signature, this module checks the key version's name, that KMS saw the request's checksum, the signature's
checksum, and the protection level (Google's data-integrity guidelines). It also verifies the signature with KMS's
public key; `issuance.certificate` then verifies it with the pinned CA key. After a wrong answer, it retries once. The
time for all attempts is far below the 90 s of Calico's client.
"""

import asyncio
import hashlib
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import google.auth.exceptions
import google_crc32c
from google.api_core import exceptions
from google.cloud import kms_v1
from google.rpc.error_details_pb2 import PreconditionFailure, RetryInfo

from csr_signer.ca.algorithm import KEYS, SignatureAlgorithm, kind_of, verifies
from csr_signer.ca.issuer import KmsPublicKey, protects
from csr_signer.errors import ConfigurationError, IntegrityError, SignerError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms import status
from csr_signer.kms.client import Connection, Metadata
from csr_signer.kms.status import Status
from csr_signer.single_flight import SingleFlight
from csr_signer.violation import quote

T = TypeVar("T")

ATTEMPT_SECONDS: Final = 3.0
OVERALL_SECONDS: Final = 10.0
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
RECHECK_SECONDS: Final = 10.0
WRONG_ANSWERS: Final = 2
_LONGEST_NAME: Final = 400
_PURPOSE: Final = re.compile(r"csr-uid=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
# DER of DigestInfo up to the hash itself (RFC 8017 §9.2 note 1): a raw RSA key pads and signs a DigestInfo.
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature from a checked answer of KMS.

    Attributes:
        value: PKCS#1 v1.5 or DER of ECDSA-Sig-Value.
        milliseconds: from the first request to the checked answer.
    """

    value: bytes
    milliseconds: int


@dataclass(slots=True)
class Attempts:
    """Counts the requests to KMS for one signature.

    Each request may have used the key, even if it failed, and KMS's audit log may have it.
    """

    count: int = 0


class _WrongAnswerError(Exception):
    """KMS answered wrongly."""


class CloudKmsKey:
    """One key version. It signs linted bytes only, so it does not implement a library's private key interface.

    Args:
        connection: a connection to Cloud KMS.
        key_version: full resource name.
        protection_level: the lowest allowed protection level of a signature.
    """

    def __init__(self, *, connection: Connection, key_version: str, protection_level: str) -> None:
        self.key_version = key_version
        self._connection = connection
        self._protection_level = protection_level
        self._fetch: SingleFlight[KmsPublicKey] = SingleFlight()
        self._fetched: tuple[KmsPublicKey, float] | None = None
        self._proved: KmsPublicKey | None = None

    async def public_key(self) -> KmsPublicKey:
        """Returns the public key. It calls GetPublicKey once per process, because it counts as a cryptographic request.

        Before a signature has verified with it, it may be another key's, with a valid checksum. Until then, this method
        fetches it again after RECHECK_SECONDS.

        Raises:
            ConfigurationError: the key version is disabled, destroyed or unknown, or the function may not use it.
            UnavailableError: KMS does not answer in time.
            QuotaError: KMS's quota is exceeded.
            IntegrityError: KMS answers wrongly.
        """
        return self._known() or await self._fetch.get(self._fetch_public_key)

    async def sign(
        self, tbs: TBSCertificate, algorithm: SignatureAlgorithm, public_key: KmsPublicKey, attempts: Attempts
    ) -> Signature:
        """Signs linted bytes.

        Args:
            tbs: the bytes from `issuance.lint`.
            algorithm: the algorithm from `issuer.confirm`. KMS gets the digest, or a DigestInfo for a raw key.
            public_key: the public key that `issuer.confirm` checked; the signature must verify with it.
            attempts: incremented before each request, so that the count is right after a fault or a cancellation too.

        Raises:
            As `public_key`.
        """
        key = public_key.key
        digest = hashlib.new(algorithm.digest.name, tbs.der).digest()
        reason = f"{tbs.purpose};tbs-sha256={tbs.sha256}"
        started = time.monotonic()

        # KMS's audit log stores it (requestMetadata.requestAttributes.reason), so that every signature has a CSR.
        metadata = (("x-goog-request-reason", reason), *_trace(tbs))

        async def question(seconds: float) -> bytes:
            attempts.count += 1
            signature = await self._asymmetric_sign(algorithm, digest, metadata, seconds)
            verified = key is not None and verifies(key, algorithm, signature=signature, data=tbs.der)
            got = f"{len(signature)} bytes of SHA-256 {hashlib.sha256(signature).hexdigest()}"
            if not verified:
                self._fetched = None  # either the key or the signature is another key's, so the next call fetches both
            _require(verified, "signature", got, "one that verifies with the key version's public key")
            return signature

        value = await self._ask(question)
        self._proved = public_key
        return Signature(value=value, milliseconds=round(1000 * (time.monotonic() - started)))

    def _known(self) -> KmsPublicKey | None:
        fetched = self._fetched
        if self._proved is not None or fetched is None:
            return self._proved
        return fetched[0] if time.monotonic() - fetched[1] < RECHECK_SECONDS else None

    async def _fetch_public_key(self) -> KmsPublicKey:
        key = await self._ask(self._get_public_key)
        self._fetched = key, time.monotonic()
        return self._proved or key  # another request may have verified its own key meanwhile

    async def _get_public_key(self, seconds: float) -> KmsPublicKey:
        request = kms_v1.GetPublicKeyRequest(name=self.key_version)
        answer = await self._connection.get_public_key(request, seconds=seconds)
        pem, algorithm = answer.pem.encode(), _enum_name(answer.algorithm)
        self._require_name(answer.name)
        _require_checksum("pem_crc32c", answer.pem_crc32c, pem)
        public_key = KmsPublicKey(pem=pem, algorithm=algorithm, protection_level=_enum_name(answer.protection_level))
        key, kind = public_key.key, KEYS.get(algorithm)
        if key is not None and kind is not None:
            _require(kind_of(key) == kind, "algorithm", f"{algorithm} with a key of {kind_of(key)}", f"one of {kind}")
        return public_key

    async def _asymmetric_sign(
        self, algorithm: SignatureAlgorithm, digest: bytes, metadata: Metadata, seconds: float
    ) -> bytes:
        # Each attempt computes the checksum again, so a refused checksum means corruption in transit.
        field, content = ("data", _DIGEST_INFO[algorithm.digest.name] + digest) if algorithm.raw else ("digest", digest)
        request = kms_v1.AsymmetricSignRequest(
            {
                "name": self.key_version,
                field: content if algorithm.raw else {algorithm.digest.name: digest},
                f"{field}_crc32c": google_crc32c.value(content),
            }
        )
        answer = await self._connection.asymmetric_sign(request, seconds=seconds, metadata=metadata)
        level = _enum_name(answer.protection_level)
        self._require_name(answer.name)
        _require(getattr(answer, f"verified_{field}_crc32c"), f"verified_{field}_crc32c", "false", "true")
        _require_checksum("signature_crc32c", answer.signature_crc32c, answer.signature)
        least = self._protection_level
        _require(protects(level, least), "protection level", level, f"at least {least}")
        return bytes(answer.signature)

    def _require_name(self, got: str) -> None:
        _require(got == self.key_version, "name", ascii(got[:_LONGEST_NAME]), self.key_version)

    async def _ask(self, question: Callable[[float], Awaitable[T]]) -> T:
        """Calls KMS until it gives a valid answer or the deadline passes."""
        deadline = time.monotonic() + OVERALL_SECONDS
        had: Counter[str] = Counter()
        pause = FIRST_PAUSE
        while True:
            try:
                return await question(min(ATTEMPT_SECONDS, deadline - time.monotonic()))
            except (_WrongAnswerError, exceptions.GoogleAPICallError, google.auth.exceptions.GoogleAuthError) as error:
                kind, most, fault = self._judge(error)
                had[kind] += 1
                if had[kind] >= most or deadline - time.monotonic() < 2 * pause:
                    raise fault from error
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, protects nothing
            pause = min(2 * pause, LONGEST_PAUSE)

    def _judge(self, error: Exception) -> tuple[str, int, SignerError]:
        """Returns the kind of a failure, the number of such failures that end the attempts, and their fault."""
        where = f"key version {self.key_version}"
        if isinstance(error, exceptions.GoogleAPICallError):
            ended = _status(error)
            if not ended.refuses_checksum and not ended.refuses_length:
                fault = status.fault(ended, key_version=self.key_version)
                most = 1 if isinstance(fault, ConfigurationError) else status.ATTEMPTS.get(ended.code, 1)
                return ended.code, most, fault
            what = "it rejects a correct checksum" if ended.refuses_checksum else "it is too long"
            error = _WrongAnswerError(f"{what}: {quote(ended.message)}")
        if isinstance(error, _WrongAnswerError):
            return "wrong answer", WRONG_ANSWERS, IntegrityError(f"{where}: wrong answer from KMS: {error}")
        return "no credentials", 1, ConfigurationError(f"{where}: no credentials: {quote(str(error))}")


def _trace(tbs: TBSCertificate) -> Metadata:
    """Returns a CSR's trace: its uid without dashes, as in the exporter's events and log (W3C Trace Context)."""
    uid = _PURPOSE.fullmatch(tbs.purpose)
    return (("traceparent", f"00-{uid[1].replace('-', '')}-{tbs.sha256[:16]}-01"),) if uid else ()


def _require(right: object, check: str, got: object, expected: object) -> None:
    if not right:
        raise _WrongAnswerError(f"{check}: Invalid value: {got}: must be {expected}")


def _require_checksum(field: str, got: int | None, content: bytes) -> None:
    # A checksum of 0 is present but falsy, so this compares with None.
    expected = google_crc32c.value(content)
    _require(got is not None and got == expected, field, got, expected)


def _status(error: exceptions.GoogleAPICallError) -> Status:
    code = error.grpc_status_code
    preconditions = [each for each in error.details if isinstance(each, PreconditionFailure)]
    reasons = [violation.type for each in preconditions for violation in each.violations]
    delays = [each.retry_delay for each in error.details if isinstance(each, RetryInfo)]
    return Status(
        code="UNKNOWN" if code is None else code.name,
        message=str(error.message),
        reasons=(*reasons, error.reason or ""),
        retry_delay=delays[0].seconds + delays[0].nanos / 1e9 if delays else None,
    )


def _enum_name(value: object) -> str:
    """Returns the name of an enum's value, or its number if the library does not know it."""
    return getattr(value, "name", str(value))
