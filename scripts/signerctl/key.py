"""Opens a key version in Cloud KMS with the function's client, checks and algorithms."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from csr_signer import der
from csr_signer.ca.algorithm import SignatureAlgorithm, algorithm_for, subject_public_key_info, verifies
from csr_signer.ca.issuer import KmsPublicKey, protects
from csr_signer.errors import ConfigurationError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.violation import quote
from signerctl.interface.program import CommandError

if TYPE_CHECKING:
    from csr_signer.kms.key import Attempts, CloudKmsKey, Signature

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsOptions:
    """How to reach Cloud KMS, and what a key version must have.

    Attributes:
        endpoint: A TLS endpoint; None for Google's public endpoint.
        unsafe_plaintext_endpoint: HOST:PORT of a double on the loopback address.
        protection_level: The lowest protection level that is allowed.
        signature_hash: The hash for a raw RSA key.
    """

    endpoint: str | None
    unsafe_plaintext_endpoint: str | None
    protection_level: str
    signature_hash: str | None

    def public_key(self, key_version: str) -> KmsPublicKey:
        """Returns the public key of a key version.

        Raises:
            SignerError: As `CloudKmsKey.public_key`.
        """
        return self.ask(key_version, lambda key: key.public_key())

    def ask(self, key_version: str, question: "Callable[[CloudKmsKey], Awaitable[T]]") -> T:
        """Opens a connection, asks one question about a key version, and returns the answer.

        Raises:
            SignerError: As `question`.
            ConfigurationError: There are no credentials.
        """
        return asyncio.run(self._ask(key_version, question))

    async def _ask(self, key_version: str, question: "Callable[[CloudKmsKey], Awaitable[T]]") -> T:
        # Google's packages take 35 MiB of memory, which commands that need no KMS should not take.
        from csr_signer.kms.client import connect  # noqa: PLC0415
        from csr_signer.kms.key import CloudKmsKey  # noqa: PLC0415

        connection = await connect(endpoint=self.endpoint, unsafe_plaintext_endpoint=self.unsafe_plaintext_endpoint)
        try:
            return await question(
                CloudKmsKey(connection=connection, key_version=key_version, protection_level=self.protection_level)
            )
        finally:
            await connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An enabled key version with the required protection level and a supported algorithm. Only `opened` makes one.

    Attributes:
        key_version: The full resource name.
        algorithm: The signature algorithm.
        public_key: The public key from KMS.
        subject_public_key_info: The public key in DER.
    """

    key_version: str
    algorithm: SignatureAlgorithm
    public_key: PublicKeyTypes
    subject_public_key_info: bytes
    _options: KmsOptions
    _answer: KmsPublicKey

    def sign(self, tbs: TBSCertificate, attempts: "Attempts") -> "Signature":
        """Signs linted bytes. The caller verifies the signature with `verifies`.

        Raises:
            SignerError: As `CloudKmsKey.sign`.
        """
        return self._options.ask(self.key_version, lambda key: key.sign(tbs, self.algorithm, self._answer, attempts))

    def verifies(self, *, signature: bytes, data: bytes) -> bool:
        """Tells whether this key made a signature over data."""
        return verifies(self.public_key, self.algorithm, signature=signature, data=data)


def opened(key_version: str, options: KmsOptions) -> SigningKey:
    """Opens a key version: reads its public key from KMS, and checks its protection level and algorithm.

    Raises:
        SignerError: KMS does not answer; or the key version is disabled, destroyed or unknown, or access is denied.
        CommandError: The protection level is too low, or the algorithm is unsupported.
    """
    answer = _protected(key_version, options)
    algorithm = _algorithm(key_version, answer, options.signature_hash)
    public_key = parsed(answer.pem)
    return SigningKey(
        key_version=key_version,
        algorithm=algorithm,
        public_key=public_key,
        subject_public_key_info=subject_public_key_info(public_key),
        _options=options,
        _answer=answer,
    )


def held(key_version: str, options: KmsOptions) -> bytes:
    """Returns the DER of a key version's public key; checks the protection level, but not the algorithm.

    Raises:
        SignerError, CommandError: As `opened`.
    """
    return subject_public_key_info(parsed(_protected(key_version, options).pem))


def _protected(key_version: str, options: KmsOptions) -> KmsPublicKey:
    answer = options.public_key(key_version)
    if not protects(answer.protection_level, options.protection_level):
        raise CommandError(
            f"key version {key_version}: protection level: Invalid value: {quote(answer.protection_level)}: must be"
            f" at least {quote(options.protection_level)}: use another key, or allow this level with --protection-level"
        )
    return answer


def _algorithm(key_version: str, answer: KmsPublicKey, signature_hash: str | None) -> SignatureAlgorithm:
    try:
        return algorithm_for(answer.algorithm, signature_hash)
    except ConfigurationError as error:
        message = str(error).replace("issuer.signature_hash", "--signature-hash")
        raise CommandError(f"key version {key_version}: {message}") from error


def parsed(pem: bytes) -> PublicKeyTypes:
    """Parses a public key from KMS.

    Raises:
        CommandError: The kind of key is unknown.
    """
    try:
        return der.attempt(lambda: serialization.load_pem_public_key(pem))
    except ValueError as error:
        raise CommandError(f"cannot parse KMS's public key: {error}") from error


def key_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> bytes | None:
    """Returns the DER of a certificate's or request's public key, or None if the key is unreadable."""
    try:
        return der.attempt(lambda: subject_public_key_info(certificate.public_key()))
    except ValueError:
        return None
