"""The roles of Cloud KMS, for principals that a test restricts to them."""

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sandbox.kms.errors import KmsError, permission_denied

ANONYMOUS = "anonymous"
"""The principal without an authorization header: the function's plaintext client."""
MANAGE_RAW = "cloudkms.cryptoKeyVersions.manageRawPKCS1Keys"
"""The additional permission for creating and using raw RSA keys."""

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
"""Permissions of the predefined roles, for the double's methods."""


class Iam:
    """Restricted principals and their roles. Other principals may do everything, because most tests need no roles."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bindings: dict[str, list[tuple[str, str]]] = {}

    def restrict(self, principal: str, roles: Iterable[str] = (), *, resource: str = "") -> None:
        """Restricts a principal to roles on a resource and everything below it; more calls add roles.

        Args:
            principal: An email, or ANONYMOUS.
            roles: Names of ROLES; none removes all rights.
            resource: A full name, for example of a CryptoKey; empty for all resources.

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
        """Removes all restrictions."""
        with self._lock:
            self._bindings.clear()

    def restricts(self, principal: str) -> bool:
        """Tells whether a principal is restricted."""
        with self._lock:
            return principal in self._bindings

    def check(self, principal: str, permissions: Iterable[str], resource: str) -> None:
        """Refuses a call of a restricted principal without a permission on the resource.

        Raises:
            KmsError: PERMISSION_DENIED, as from the service, also for missing resources.
        """
        with self._lock:
            bindings = self._bindings.get(principal, [])
        held = {permission for role, on in bindings if _holds(on, resource) for permission in ROLES[role]}
        for permission in permissions:
            if permission not in held:
                raise _denied(permission, resource)


def principal_of(headers: Mapping[str, str]) -> str:
    """Returns the principal in a call's headers: the double reads a bearer token as an email."""
    return headers.get("authorization", "").removeprefix("Bearer ") or ANONYMOUS


def _holds(granted_on: str, resource: str) -> bool:
    return not granted_on or resource == granted_on or resource.startswith(f"{granted_on}/")


def _denied(permission: str, resource: str) -> KmsError:
    return permission_denied(f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).")
