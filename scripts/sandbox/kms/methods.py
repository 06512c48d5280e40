"""The table of methods: their messages, permissions and implementations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.cloud import kms_v1

from sandbox.kms.resources import Resources
from sandbox.kms.signing import Signing

SERVICE = "google.cloud.kms.v1.KeyManagementService"
ASYMMETRIC_SIGN = "AsymmetricSign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method of the service.

    Attributes:
        name: Its short name, as in audit entries.
        permission: Its IAM permission.
        request: The request's message class.
        response: The answer's message class.
        answer: Makes the answer, or raises a KmsError.
    """

    name: str
    permission: str
    request: Any
    response: Any
    answer: Callable[[Any], Any]


def methods(resources: Resources, signing: Signing) -> list[Method]:
    """Returns all methods of the double; gRPC answers UNIMPLEMENTED to others."""

    def method(name: str, permission: str, response: Any, answer: Callable[[Any], Any]) -> Method:  # noqa: ANN401  # a message class
        return Method(
            name=name,
            permission=f"cloudkms.{permission}",
            request=getattr(kms_v1, f"{name}Request"),
            response=response,
            answer=answer,
        )

    ring, key, version = kms_v1.KeyRing, kms_v1.CryptoKey, kms_v1.CryptoKeyVersion
    rings, keys = kms_v1.ListKeyRingsResponse, kms_v1.ListCryptoKeysResponse
    versions = kms_v1.ListCryptoKeyVersionsResponse
    public_key, signature = kms_v1.PublicKey, kms_v1.AsymmetricSignResponse
    return [
        method("CreateKeyRing", "keyRings.create", ring, resources.create_key_ring),
        method("GetKeyRing", "keyRings.get", ring, resources.get_key_ring),
        method("ListKeyRings", "keyRings.list", rings, resources.list_key_rings),
        method("CreateCryptoKey", "cryptoKeys.create", key, resources.create_crypto_key),
        method("GetCryptoKey", "cryptoKeys.get", key, resources.get_crypto_key),
        method("ListCryptoKeys", "cryptoKeys.list", keys, resources.list_crypto_keys),
        method("CreateCryptoKeyVersion", "cryptoKeyVersions.create", version, resources.create_crypto_key_version),
        method("GetCryptoKeyVersion", "cryptoKeyVersions.get", version, resources.get_crypto_key_version),
        method("ListCryptoKeyVersions", "cryptoKeyVersions.list", versions, resources.list_crypto_key_versions),
        method("UpdateCryptoKeyVersion", "cryptoKeyVersions.update", version, resources.update_crypto_key_version),
        method(
            "DestroyCryptoKeyVersion",
            "cryptoKeyVersions.destroy",
            version,
            resources.destroy_crypto_key_version,
        ),
        method("GetPublicKey", "cryptoKeyVersions.viewPublicKey", public_key, signing.get_public_key),
        method(ASYMMETRIC_SIGN, "cryptoKeyVersions.useToSign", signature, signing.asymmetric_sign),
    ]
