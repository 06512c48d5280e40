"""The methods that create, show and change key rings, keys and versions."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.cloud import kms_v1
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyRing

from sandbox.kms.algorithms import generate, scheme_for
from sandbox.kms.enums import Algorithm, Level, Purpose, State, name_of
from sandbox.kms.errors import already_exists, failed_precondition, invalid_argument, unimplemented
from sandbox.kms.faults import KEY_GENERATION, Faults
from sandbox.kms.fields import check_fields
from sandbox.kms.names import check_id, check_name, parent_of
from sandbox.kms.store import Key, Store, Version

_SWITCHABLE = (State.ENABLED, State.DISABLED)
_DESTROY_AFTER = timedelta(days=30)
_Item = TypeVar("_Item")
_MAX_PAGE = 1000  # the service's largest page; the double has no second one


class Resources:
    """The management methods over a store.

    Args:
        store: The resources.
        instant: Whether to make a key before CreateCryptoKeyVersion answers; the real service never does for
            asymmetric keys.
        disable_lag: Seconds for which a disabled version still signs (in the real service usually at most a minute,
            rarely hours).
        faults: The faults for key generation.
    """

    def __init__(
        self, store: Store, *, instant: bool = False, disable_lag: float = 0.0, faults: Faults | None = None
    ) -> None:
        self._store = store
        self._faults = faults or Faults()
        self._instant = instant
        self._disable_lag = disable_lag
        self._generators = ThreadPoolExecutor(max_workers=2, thread_name_prefix="kms-generate")
        for version in store.versions.values():
            if version.resource.state == State.PENDING_GENERATION:
                self._generators.submit(self._generate, version)

    def close(self) -> None:
        """Waits until all keys are made."""
        self._generators.shutdown(cancel_futures=True)

    def create_key_ring(self, request: kms_v1.CreateKeyRingRequest) -> KeyRing:
        """Creates a key ring."""
        check_fields(request, "parent", "key_ring_id")
        parent = check_name("location", request.parent)
        name = f"{parent}/keyRings/{check_id(request.key_ring_id)}"
        ring = KeyRing(name=name, create_time=_now())
        with self._store.changing(ring):
            if name in self._store.key_rings:
                raise already_exists(name)
        return ring

    def get_key_ring(self, request: kms_v1.GetKeyRingRequest) -> KeyRing:
        """Returns a key ring."""
        check_fields(request, "name")
        name = check_name("key ring", request.name)
        with self._store.lock:
            return self._store.key_ring(name)

    def list_key_rings(self, request: kms_v1.ListKeyRingsRequest) -> kms_v1.ListKeyRingsResponse:
        """Lists a location's key rings by name."""
        check_fields(request, "parent")
        parent = check_name("location", request.parent)
        with self._store.lock:
            rings = sorted(
                (ring for name, ring in self._store.key_rings.items() if parent_of(name) == parent),
                key=lambda ring: ring.name,
            )
        return kms_v1.ListKeyRingsResponse(key_rings=_page(rings), total_size=len(rings))

    def create_crypto_key(self, request: kms_v1.CreateCryptoKeyRequest) -> CryptoKey:
        """Creates a key and, by default, its first version."""
        check_fields(
            request,
            "parent",
            "crypto_key_id",
            "skip_initial_version_creation",
            "crypto_key.purpose",
            "crypto_key.labels",
            "crypto_key.destroy_scheduled_duration",
            "crypto_key.version_template.algorithm",
            "crypto_key.version_template.protection_level",
        )
        parent = check_name("key ring", request.parent)
        name = f"{parent}/cryptoKeys/{check_id(request.crypto_key_id)}"
        key = Key(resource=_new_key(name, request.crypto_key))
        initial_version = not request.skip_initial_version_creation
        with self._store.lock:
            with self._store.changing(key):
                self._store.key_ring(parent)
                if name in self._store.keys:
                    raise already_exists(name)
                if initial_version and key.resource.purpose == Purpose.ENCRYPT_DECRYPT:
                    key.primary = f"{name}/cryptoKeyVersions/1"
            if initial_version:
                self._create_version(key)
            return self._shown(key)

    def get_crypto_key(self, request: kms_v1.GetCryptoKeyRequest) -> CryptoKey:
        """Returns a key with its primary version, if it has one."""
        check_fields(request, "name")
        name = check_name("crypto key", request.name)
        with self._store.lock:
            return self._shown(self._store.key(name))

    def list_crypto_keys(self, request: kms_v1.ListCryptoKeysRequest) -> kms_v1.ListCryptoKeysResponse:
        """Lists a ring's keys by name."""
        check_fields(request, "parent")
        parent = check_name("key ring", request.parent)
        with self._store.lock:
            self._store.key_ring(parent)
            names = sorted(name for name in self._store.keys if parent_of(name) == parent)
            keys = [self._shown(self._store.keys[name]) for name in names]
        return kms_v1.ListCryptoKeysResponse(crypto_keys=_page(keys), total_size=len(keys))

    def create_crypto_key_version(self, request: kms_v1.CreateCryptoKeyVersionRequest) -> CryptoKeyVersion:
        """Creates the next version; asymmetric ones start in PENDING_GENERATION."""
        check_fields(request, "parent")
        parent = check_name("crypto key", request.parent)
        with self._store.lock:
            key = self._store.key(parent)
        return self._create_version(key)

    def get_crypto_key_version(self, request: kms_v1.GetCryptoKeyVersionRequest) -> CryptoKeyVersion:
        """Returns a version."""
        check_fields(request, "name")
        name = check_name("crypto key version", request.name)
        with self._store.lock:
            return CryptoKeyVersion(self._store.version(name).resource)

    def list_crypto_key_versions(
        self, request: kms_v1.ListCryptoKeyVersionsRequest
    ) -> kms_v1.ListCryptoKeyVersionsResponse:
        """Lists a key's versions, oldest first."""
        check_fields(request, "parent")
        parent = check_name("crypto key", request.parent)
        with self._store.lock:
            self._store.key(parent)
            versions = [CryptoKeyVersion(version.resource) for version in self._store.versions_of(parent)]
        return kms_v1.ListCryptoKeyVersionsResponse(crypto_key_versions=_page(versions), total_size=len(versions))

    def update_crypto_key_version(self, request: kms_v1.UpdateCryptoKeyVersionRequest) -> CryptoKeyVersion:
        """Enables or disables a version."""
        check_fields(request, "crypto_key_version", "update_mask")
        paths = list(request.update_mask.paths)
        if not paths:
            raise invalid_argument("no fields selected for update")
        name = check_name("crypto key version", request.crypto_key_version.name)
        with self._store.lock:
            version = self._store.version(name)
            if paths != ["state"]:
                raise invalid_argument(f"unsupported update paths {paths!r}, only state can be updated")
            state = request.crypto_key_version.state
            if state not in _SWITCHABLE:
                raise invalid_argument(f"unsupported state {name_of(state)}, must be ENABLED or DISABLED")
            _check_switchable(version)
            with self._store.changing(version):
                if version.resource.state == State.ENABLED and state == State.DISABLED:
                    version.usable_until = time.monotonic() + self._disable_lag
                version.resource.state = state
            return CryptoKeyVersion(version.resource)

    def destroy_crypto_key_version(self, request: kms_v1.DestroyCryptoKeyVersionRequest) -> CryptoKeyVersion:
        """Schedules a version's destruction, which the double never executes."""
        check_fields(request, "name")
        name = check_name("crypto key version", request.name)
        with self._store.lock:
            version = self._store.version(name)
            _check_switchable(version)
            wait = self._store.key(parent_of(name)).resource.destroy_scheduled_duration
            with self._store.changing(version):
                version.resource.state = State.DESTROY_SCHEDULED
                version.resource.destroy_time = _now() + wait
            return CryptoKeyVersion(version.resource)

    def _create_version(self, key: Key) -> CryptoKeyVersion:
        template = key.resource.version_template
        with self._store.lock:
            number = len(self._store.versions_of(key.resource.name)) + 1
            version = Version(
                resource=CryptoKeyVersion(
                    name=f"{key.resource.name}/cryptoKeyVersions/{number}",
                    create_time=_now(),
                    algorithm=template.algorithm,
                    protection_level=template.protection_level,
                    state=State.PENDING_GENERATION,
                )
            )
            with self._store.changing(version):
                created = CryptoKeyVersion(version.resource)
        if self._instant or not version.scheme.asymmetric:
            self._generate(version)
            return CryptoKeyVersion(version.resource)
        self._generators.submit(self._generate, version)
        return created

    def _generate(self, version: Version) -> None:
        fault = self._faults.take(KEY_GENERATION)
        if fault.hang:
            self._faults.hang(lambda: False)
        if fault.status is not None:
            with self._store.changing(version):
                version.resource.state = State.GENERATION_FAILED
                version.resource.generation_failure_reason = fault.message
            return
        key = generate(version.scheme, instant=self._instant)
        with self._store.changing(version):
            version.key = key
            version.resource.state = State.ENABLED
            version.resource.generate_time = _now()

    def _shown(self, key: Key) -> CryptoKey:
        shown = CryptoKey(key.resource)
        if key.primary is not None:
            shown.primary = self._store.version(key.primary).resource
        return shown


def _new_key(name: str, wish: CryptoKey) -> CryptoKey:
    if wish.purpose == Purpose.CRYPTO_KEY_PURPOSE_UNSPECIFIED:
        raise invalid_argument("crypto_key.purpose is required")
    # Without an algorithm, the service uses a symmetric one, and so refuses an asymmetric key.
    template: Any = wish.version_template
    algorithm = template.algorithm or Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    scheme_for(algorithm, wish.purpose)
    level = template.protection_level or Level.SOFTWARE
    if level not in (Level.SOFTWARE, Level.HSM):
        raise unimplemented(f"unsupported protection level {name_of(level)}")
    return CryptoKey(
        name=name,
        create_time=_now(),
        purpose=wish.purpose,
        labels=wish.labels,
        version_template={"algorithm": algorithm, "protection_level": level},
        destroy_scheduled_duration=wish.destroy_scheduled_duration or _DESTROY_AFTER,
    )


def _check_switchable(version: Version) -> None:
    state = version.resource.state
    if state not in _SWITCHABLE:
        raise failed_precondition(f"{version.resource.name} is {state.name}, must be ENABLED or DISABLED")


def _now() -> datetime:
    return datetime.now(UTC)


def _page(items: list[_Item]) -> list[_Item]:
    if len(items) > _MAX_PAGE:
        raise unimplemented(f"{len(items)} results, this double has one page of {_MAX_PAGE}")
    return items
