"""The methods that use a key: GetPublicKey and AsymmetricSign."""

import hashlib
import time
from functools import cache
from typing import Any

import google_crc32c
from cryptography.hazmat.primitives import serialization
from google.cloud import kms_v1

from sandbox.kms.algorithms import HASHES, PrivateKey, Scheme, generate, sign
from sandbox.kms.enums import Purpose, State, name_of
from sandbox.kms.errors import failed_precondition, invalid_argument, not_enabled, wrong_checksum
from sandbox.kms.fields import check_fields
from sandbox.kms.names import check_name
from sandbox.kms.store import Store, Version


def crc32c(content: bytes) -> int:
    """Returns the service's CRC32C (Castagnoli) of data."""
    return int(google_crc32c.value(content))


class Signing:
    """GetPublicKey and AsymmetricSign over a store; they use keys outside the lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get_public_key(self, request: kms_v1.GetPublicKeyRequest) -> kms_v1.PublicKey:
        """Returns the public key of an enabled asymmetric version."""
        check_fields(request, "name")
        version = self._usable(request.name)
        if version.key is None:
            raise failed_precondition(f"{name_of(version.resource.algorithm)} keys have no public key")
        pem = public_pem(version.key)
        return kms_v1.PublicKey(
            name=request.name,
            algorithm=version.resource.algorithm,
            protection_level=version.resource.protection_level,
            pem=pem,
            pem_crc32c=crc32c(pem.encode()),
        )

    def asymmetric_sign(self, request: kms_v1.AsymmetricSignRequest) -> kms_v1.AsymmetricSignResponse:
        """Signs a digest or data."""
        check_fields(
            request,
            "name",
            "data",
            "data_crc32c",
            "digest.sha256",
            "digest.sha384",
            "digest.sha512",
            "digest_crc32c",
        )
        version = self._usable(request.name)
        if version.key is None or version.scheme.purpose != Purpose.ASYMMETRIC_SIGN:
            raise failed_precondition(f"{name_of(version.resource.algorithm)} keys cannot be used for signing")
        signature = sign(version.scheme, version.key, content_to_sign(request, version.scheme))
        return kms_v1.AsymmetricSignResponse(
            name=request.name,
            signature=signature,
            signature_crc32c=crc32c(signature),
            verified_digest_crc32c="digest_crc32c" in request,
            verified_data_crc32c="data_crc32c" in request,
            protection_level=version.resource.protection_level,
        )

    def scheme(self, name: str) -> Scheme:
        """Returns the scheme of a stored version."""
        with self._store.lock:
            return self._store.version(name).scheme

    def concerns_raw_key(self, request: Any) -> bool:  # noqa: ANN401  # any message of the service
        """Tells whether a request creates or uses a raw RSA key; False for a missing key."""
        with self._store.lock:
            match request:
                case kms_v1.CreateCryptoKeyRequest():
                    algorithm = request.crypto_key.version_template.algorithm
                case kms_v1.CreateCryptoKeyVersionRequest() if request.parent in self._store.keys:
                    algorithm = self._store.keys[request.parent].resource.version_template.algorithm
                case kms_v1.AsymmetricSignRequest() if request.name in self._store.versions:
                    algorithm = self._store.versions[request.name].resource.algorithm
                case _:
                    return False
        return name_of(algorithm).startswith("RSA_SIGN_RAW_")

    def _usable(self, name: str) -> Version:
        check_name("crypto key version", name)
        with self._store.lock:
            version = self._store.version(name)
            state = version.resource.state
            lagging = state == State.DISABLED and time.monotonic() < version.usable_until
            if state != State.ENABLED and not lagging:
                raise not_enabled(name, name_of(state))
            return version


def content_to_sign(request: kms_v1.AsymmetricSignRequest, scheme: Scheme) -> bytes:
    """Checks a request against the algorithm in the service's order, and returns the digest or data.

    Raises:
        KmsError: INVALID_ARGUMENT.
    """
    if "digest_crc32c" in request and "data_crc32c" in request:
        raise invalid_argument("only one of digest_crc32c and data_crc32c may be set")
    if "digest" in request and request.data:
        raise invalid_argument("only one of digest and data may be set")
    if "digest" not in request and not request.data:
        raise invalid_argument("one of digest and data must be set")
    if request.data or scheme.digest is None:
        return _data_to_sign(request, scheme)
    digest = bytes(getattr(request.digest, scheme.digest))
    return _checked_digest(request, digest, HASHES[scheme.digest].digest_size)


def _data_to_sign(request: kms_v1.AsymmetricSignRequest, scheme: Scheme) -> bytes:
    if not request.data:
        raise invalid_argument("this algorithm takes no digest, data must be set")
    if "data_crc32c" in request and request.data_crc32c != crc32c(request.data):
        raise wrong_checksum("data_crc32c", "data")
    if scheme.data_limit is not None and len(request.data) > scheme.data_limit:
        raise invalid_argument(f"data has {len(request.data)} octets, at most {scheme.data_limit} fit this key")
    content = bytes(request.data) if scheme.digest is None else hashlib.new(scheme.digest, request.data).digest()
    if "digest_crc32c" in request and request.digest_crc32c != crc32c(content):
        raise wrong_checksum("digest_crc32c", "data")
    return content


def _checked_digest(request: kms_v1.AsymmetricSignRequest, digest: bytes, size: int) -> bytes:
    # With a digest of another kind, the expected member is empty and has length 0.
    if len(digest) != size:
        raise invalid_argument(f"digest has {len(digest)} octets, this algorithm signs {size}")
    if "digest_crc32c" in request and request.digest_crc32c != crc32c(digest):
        raise wrong_checksum("digest_crc32c", "digest")
    return digest


def public_pem(key: PrivateKey) -> str:
    """Returns the SubjectPublicKeyInfo of a key as PEM."""
    encoded = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


@cache
def foreign_key(scheme: Scheme) -> PrivateKey:
    """Returns a key that belongs to no version, for corrupted answers."""
    key = generate(scheme)
    assert key is not None  # noqa: S101  # only asymmetric versions answer
    return key
