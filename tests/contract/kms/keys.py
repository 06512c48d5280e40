"""Makes keys for the contract tests."""

import secrets
from dataclasses import dataclass
from typing import Any

from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyManagementServiceClient

from sandbox.kms import wait_until_enabled

LOCATION = "projects/contract-project/locations/europe-west1"


def random_id() -> str:
    """Return an id that no earlier run has used: names are never free again."""
    return f"test-{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Makes keys in a ring of the test run's own."""

    client: KeyManagementServiceClient
    ring: str

    def create(
        self,
        purpose: str,
        algorithm: str | None = None,
        *,
        protection_level: str | None = None,
        initial_version: bool = False,
    ) -> CryptoKey:
        """Create a key; enums are given by name, what is None is left to the service."""
        wished = {"algorithm": algorithm, "protection_level": protection_level}
        template = {name: value for name, value in wished.items() if value is not None}
        key: dict[str, Any] = {"purpose": purpose, **({"version_template": template} if template else {})}
        return self.client.create_crypto_key(
            request={
                "parent": self.ring,
                "crypto_key_id": random_id(),
                "crypto_key": key,
                "skip_initial_version_creation": not initial_version,
            }
        )

    def create_version(self, key: CryptoKey) -> CryptoKeyVersion:
        """Create a key's next version and wait until it is enabled."""
        version = self.client.create_crypto_key_version(request={"parent": key.name})
        return wait_until_enabled(self.client, version.name)

    def create_signing_version(self, algorithm: str, *, protection_level: str = "SOFTWARE") -> CryptoKeyVersion:
        """Create a signing key with one enabled version."""
        return self.create_version(self.create("ASYMMETRIC_SIGN", algorithm, protection_level=protection_level))

    def switch(self, version: CryptoKeyVersion, state: str) -> CryptoKeyVersion:
        """Enable or disable a version."""
        changed = CryptoKeyVersion(name=version.name, state=state)
        return self.client.update_crypto_key_version(
            request={"crypto_key_version": changed, "update_mask": {"paths": ["state"]}}
        )
