"""The service's resources: key rings, keys, versions and their key material."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, KeyRing

from sandbox.kms.algorithms import SCHEMES, PrivateKey, Scheme
from sandbox.kms.errors import not_found
from sandbox.kms.names import parent_of


@dataclass(slots=True, kw_only=True)
class Version:
    """A key version and its key.

    Attributes:
        resource: The API's resource.
        key: The key material; None before it is made, and for symmetric keys.
        usable_until: The monotonic time until which a disabled version still signs; 0 if it does not.
    """

    resource: CryptoKeyVersion
    key: PrivateKey | None = None
    usable_until: float = 0.0

    @property
    def scheme(self) -> Scheme:
        """Returns the scheme of its algorithm."""
        return SCHEMES[self.resource.algorithm]


@dataclass(slots=True, kw_only=True)
class Key:
    """A CryptoKey; `primary` is the name of its primary version, which only symmetric keys have."""

    resource: CryptoKey
    primary: str | None = None


@dataclass(slots=True, kw_only=True)
class Store:
    """All resources by name. Callers hold `lock` while they read or change one.

    Attributes:
        directory: The folder for all changes, which the next process reads; None for memory only. Its structure mirrors
            the resource names; private keys are PEM files without a password.
    """

    directory: Path | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    key_rings: dict[str, KeyRing] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.directory is not None and self.directory.exists():
            self._load(self.directory)

    def key_ring(self, name: str) -> KeyRing:
        """Returns a key ring.

        Raises:
            KmsError: NOT_FOUND.
        """
        if name not in self.key_rings:
            raise not_found(name)
        return self.key_rings[name]

    def key(self, name: str) -> Key:
        """Returns a key.

        Raises:
            KmsError: NOT_FOUND.
        """
        if name not in self.keys:
            raise not_found(name)
        return self.keys[name]

    def version(self, name: str) -> Version:
        """Returns a key version.

        Raises:
            KmsError: NOT_FOUND.
        """
        if name not in self.versions:
            raise not_found(name)
        return self.versions[name]

    def versions_of(self, key: str) -> list[Version]:
        """Returns a key's versions in creation order."""
        return [version for name, version in self.versions.items() if parent_of(name) == key]

    @contextlib.contextmanager
    def changing(self, resource: KeyRing | Key | Version) -> Iterator[None]:
        """Holds the lock while a resource changes, then writes it to the folder."""
        with self.lock:
            yield
            match resource:
                case KeyRing():
                    self.key_rings[resource.name] = resource
                case Key():
                    self.keys[resource.resource.name] = resource
                case _:
                    self.versions[resource.resource.name] = resource
            if self.directory is not None:
                _save(self.directory, resource)

    def _load(self, directory: Path) -> None:
        for path in sorted(directory.rglob("keyRing.json")):
            ring = KeyRing.from_json(path.read_text())
            self.key_rings[ring.name] = ring
        for path in sorted(directory.rglob("cryptoKey.json")):
            key = CryptoKey.from_json(path.read_text())
            primary = key.primary.name or None
            del key.primary
            self.keys[key.name] = Key(resource=key, primary=primary)
        for path in sorted(directory.rglob("cryptoKeyVersions/*.json"), key=lambda path: int(path.stem)):
            version = CryptoKeyVersion.from_json(path.read_text())
            self.versions[version.name] = Version(resource=version, key=_read_key(path.with_suffix(".pem")))


def _save(directory: Path, resource: KeyRing | Key | Version) -> None:
    match resource:
        case KeyRing():
            _write(directory / resource.name / "keyRing.json", KeyRing.to_json(resource).encode())
        case Key():
            shown = CryptoKey(resource.resource)
            if resource.primary is not None:
                shown.primary = CryptoKeyVersion(name=resource.primary)
            _write(directory / shown.name / "cryptoKey.json", CryptoKey.to_json(shown).encode())
        case _:
            path = directory / f"{resource.resource.name}.json"
            if resource.key is not None:
                # The key comes first, so that an ENABLED version always has its key.
                _write(path.with_suffix(".pem"), _pem(resource.key))
            _write(path, CryptoKeyVersion.to_json(resource.resource).encode())


def _write(path: Path, content: bytes) -> None:
    """Replaces a file atomically: if the process is killed meanwhile, the old file stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.replace(path)


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_key(path: Path) -> PrivateKey | None:
    if not path.exists():
        return None
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, PrivateKey):
        raise TypeError(f"{path} holds {key!r}, not a key of this double's algorithms")
    return key
