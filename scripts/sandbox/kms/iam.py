"""Who may do what: the roles of Cloud KMS, for principals that are held to them."""

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sandbox.kms.errors import KmsError, permission_denied

ANONYMOUS = "anonymous"
"""Who sends no authorization header: the function's plaintext client."""
MANAGE_RAW = "cloudkms.cryptoKeyVersions.manageRawPKCS1Keys"
"""Asked for beside a method's own permission where a raw RSA key is made or used."""

_VERSIONS = "cloudkms.cryptoKeyVersions"
_READ = frozenset(
    f"cloudkms.{kind}.{verb}" for kind in ("keyRings", "cryptoKeys", "cryptoKeyVersions") for verb in ("get", "list")
)
_CHANGE = frozenset(
    {"cloudkms.keyRings.create", "cloudkms.cryptoKeys.create"}
    | {f"{_VERSIONS}.{verb}" for verb in ("create", "update", "destroy")}
)
ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "roles/cloudkms.admin": _READ | _CHANGE,
        "roles/cloudkms.viewer": _READ,
        "roles/cloudkms.signer": frozenset({f"{_VERSIONS}.useToSign"}),
        "roles/cloudkms.publicKeyViewer": frozenset({f"{_VERSIONS}.viewPublicKey"}),
        "roles/cloudkms.signerVerifier": frozenset({f"{_VERSIONS}.useToSign", f"{_VERSIONS}.viewPublicKey"}),
        "roles/cloudkms.expertRawPKCS1": frozenset({MANAGE_RAW}),
    }
)
"""Permissions of the predefined roles, as far as the double has methods for them."""


class Iam:
    """Principals that are held to roles. All others may do everything: most tests are about something else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bindings: dict[str, list[tuple[str, str]]] = {}

    def restrict(self, principal: str, roles: Iterable[str] = (), *, resource: str = "") -> None:
        """Hold a principal to roles on a resource and all below it; more calls give it more.

        Args:
            principal: An email, or ANONYMOUS.
            roles: Names of ROLES; none at all takes every right away.
            resource: A full name, for example a CryptoKey's; empty for everything.

        Raises:
            ValueError: A role is not one of ROLES.
        """
        wished = list(roles)
        unknown = set(wished) - set(ROLES)
        if unknown:
            raise ValueError(f"roles must be among {sorted(ROLES)}, got {sorted(unknown)}")
        with self._lock:
            self._bindings.setdefault(principal, []).extend((role, resource) for role in wished)

    def release(self) -> None:
        """Let everybody do everything again."""
        with self._lock:
            self._bindings.clear()

    def restricts(self, principal: str) -> bool:
        """Whether a principal is held to roles."""
        with self._lock:
            return principal in self._bindings

    def check(self, principal: str, permissions: Iterable[str], resource: str) -> None:
        """Refuse a call whose principal is held to roles and lacks a permission on its resource.

        Raises:
            KmsError: PERMISSION_DENIED, as the service says it: also of what is not there.
        """
        with self._lock:
            bindings = self._bindings.get(principal, [])
        held = {permission for role, on in bindings if _holds(on, resource) for permission in ROLES[role]}
        for permission in permissions:
            if permission not in held:
                raise _denied(permission, resource)


def principal_of(headers: Mapping[str, str]) -> str:
    """Return the principal that a call's headers name: the double takes a bearer token for an email."""
    return headers.get("authorization", "").removeprefix("Bearer ") or ANONYMOUS


def _holds(granted_on: str, resource: str) -> bool:
    return not granted_on or resource == granted_on or resource.startswith(f"{granted_on}/")


def _denied(permission: str, resource: str) -> KmsError:
    return permission_denied(f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).")
