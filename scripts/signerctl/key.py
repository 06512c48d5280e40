"""The key in Cloud KMS, opened as the function opens it: the same client, the same checks, the same algorithms."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from csr_signer import der
from csr_signer.ca.algorithm import SignatureAlgorithm, algorithm_for, subject_public_key_info, verifies
from csr_signer.ca.issuer import KmsPublicKey, protects
from csr_signer.errors import ConfigurationError
from csr_signer.issuance.lint import TBSCertificate
from csr_signer.kms.client import connect
from csr_signer.kms.key import Attempts, CloudKmsKey, Signature
from signerctl.program import CommandError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsOptions:
    """How a key version is reached, and what is asked of it.

    Attributes:
        endpoint: another TLS endpoint than the public one.
        unsafe_plaintext_endpoint: HOST:PORT of a double on the loopback address.
        protection_level: the least that is accepted.
        signature_hash: of a raw RSA key.
    """

    endpoint: str | None
    unsafe_plaintext_endpoint: str | None
    protection_level: str
    signature_hash: str | None

    def ask(self, key_version: str, question: Callable[[CloudKmsKey], Awaitable[T]]) -> T:
        """Opens a connection, asks one question about a key version, and returns the answer.

        Raises:
            SignerError: as the question, and without credentials.
        """
        return asyncio.run(self._ask(key_version, question))

    async def _ask(self, key_version: str, question: Callable[[CloudKmsKey], Awaitable[T]]) -> T:
        connection = await connect(endpoint=self.endpoint, unsafe_plaintext_endpoint=self.unsafe_plaintext_endpoint)
        try:
            return await question(
                CloudKmsKey(connection=connection, key_version=key_version, protection_level=self.protection_level)
            )
        finally:
            await connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key version that answers, protected as asked, of an algorithm that signs certificates. Only `opened` makes one.

    Attributes:
        key_version: its full resource name.
        algorithm: that it signs with.
        public_key: as KMS gives it.
        subject_public_key_info: the same, DER.
    """

    key_version: str
    algorithm: SignatureAlgorithm
    public_key: PublicKeyTypes
    subject_public_key_info: bytes
    _options: KmsOptions
    _answer: KmsPublicKey

    def sign(self, tbs: TBSCertificate, attempts: Attempts) -> Signature:
        """A signature over cleared bytes; that it verifies is `verifies`' question.

        Raises:
            SignerError: as `CloudKmsKey.sign`.
        """
        return self._options.ask(self.key_version, lambda key: key.sign(tbs, self.algorithm, self._answer, attempts))

    def verifies(self, *, signature: bytes, data: bytes) -> bool:
        """Whether a signature over data is by this key."""
        return verifies(self.public_key, self.algorithm, signature=signature, data=data)


def opened(key_version: str, options: KmsOptions) -> SigningKey:
    """The key version, once GetPublicKey has answered.

    Raises:
        SignerError: KMS does not answer, or not for us: the key version is disabled, destroyed, unknown or forbidden.
        CommandError: too weak a protection, or an algorithm that signs no certificates here.
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
    """DER of the public key of a key version that is protected as asked; with what it signs is not asked.

    Raises:
        SignerError, CommandError: as `opened`.
    """
    return subject_public_key_info(parsed(_protected(key_version, options).pem))


def _protected(key_version: str, options: KmsOptions) -> KmsPublicKey:
    answer = options.ask(key_version, lambda key: key.public_key())
    if not protects(answer.protection_level, options.protection_level):
        raise CommandError(
            f"key version {key_version}: protection level is {answer.protection_level}: must be at least"
            f" {options.protection_level}: use a key of that level, or accept less with --protection-level"
        )
    return answer


def _algorithm(key_version: str, answer: KmsPublicKey, signature_hash: str | None) -> SignatureAlgorithm:
    try:
        return algorithm_for(answer.algorithm, signature_hash)
    except ConfigurationError as error:
        message = str(error).replace("issuer.signature_hash", "--signature-hash")
        raise CommandError(f"key version {key_version}: {message}") from error


def parsed(pem: bytes) -> PublicKeyTypes:
    """A public key as KMS gives it.

    Raises:
        CommandError: it is of a kind that is not known here.
    """
    try:
        return der.attempt(lambda: serialization.load_pem_public_key(pem))
    except ValueError as error:
        raise CommandError(f"KMS's public key cannot be read: {error}") from error


def key_of(certificate: x509.Certificate) -> bytes | None:
    """DER of a certificate's public key; None for one that cannot be read, and so is nobody's that we know."""
    try:
        return der.attempt(lambda: subject_public_key_info(certificate.public_key()))
    except ValueError:
        return None
