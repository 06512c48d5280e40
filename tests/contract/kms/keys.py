"""Makes keys for the contract tests."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyManagementServiceClient

from sandbox.kms import wait_until_enabled

LOCATION = "projects/contract-project/locations/europe-west1"


def random_id() -> str:
    """Return an id that no earlier run has used: names are never free again."""
    return f"test-{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Makes keys in a ring of the test run's own.

    Attributes:
        client: From `sandbox.kms.connect`, or the real one.
        ring: The key ring's name.
        interval: Seconds between two looks at something that takes time.
        patience: Seconds that a disabled or destroyed version may go on working.
        made: Names of the keys that were made.
    """

    client: KeyManagementServiceClient
    ring: str
    interval: float
    patience: float
    made: list[str] = field(default_factory=list)

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
        created = self.client.create_crypto_key(
            request={
                "parent": self.ring,
                "crypto_key_id": random_id(),
                "crypto_key": key,
                "skip_initial_version_creation": not initial_version,
            }
        )
        self.made.append(created.name)
        return created

    def create_version(self, key: CryptoKey) -> CryptoKeyVersion:
        """Create a key's next version and wait until it is enabled."""
        version = self.client.create_crypto_key_version(request={"parent": key.name})
        return self.wait(version.name)

    def wait(self, name: str) -> CryptoKeyVersion:
        """Wait until a version is enabled, and show it."""
        return wait_until_enabled(self.client, name, interval=self.interval)

    def refuses(self, call: Callable[[], object]) -> exceptions.FailedPrecondition:
        """Return with what a call is refused for a version's state, which may take its time to be known."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            try:
                call()
            except exceptions.FailedPrecondition as error:
                return error
            time.sleep(self.interval)
        with pytest.raises(exceptions.FailedPrecondition) as caught:
            call()
        return caught.value

    def destroy_all(self) -> None:
        """Schedule the destruction of every version that was made and is not destroyed yet."""
        for key in self.made:
            for version in self.client.list_crypto_key_versions(parent=key):
                if version.state.name in ("ENABLED", "DISABLED"):
                    self.client.destroy_crypto_key_version(name=version.name)

    def create_signing_version(self, algorithm: str, *, protection_level: str = "SOFTWARE") -> CryptoKeyVersion:
        """Create a signing key with one enabled version."""
        return self.create_version(self.create("ASYMMETRIC_SIGN", algorithm, protection_level=protection_level))

    def switch(self, version: CryptoKeyVersion, state: str) -> CryptoKeyVersion:
        """Enable or disable a version."""
        changed = CryptoKeyVersion(name=version.name, state=state)
        return self.client.update_crypto_key_version(
            request={"crypto_key_version": changed, "update_mask": {"paths": ["state"]}}
        )
