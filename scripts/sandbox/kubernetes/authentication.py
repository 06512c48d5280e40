"""Who asks: the holder of a client certificate, or of a service account's token."""

from __future__ import annotations

import base64
import functools
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from sandbox.kubernetes.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.api import Json

_PREFIX = "authentication.kubernetes.io/"
_AUTHENTICATED = "system:authenticated"
_ISSUER = "https://kubernetes.default.svc"
_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An identity as the API server records it in what the user creates."""

    username: str
    uid: str = ""
    groups: tuple[str, ...]
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def described(self) -> Json:
        """Returns it as in `spec` of a CertificateSigningRequest and in a UserInfo, without empty fields."""
        uid = {"uid": self.uid} if self.uid else {}
        extra = {key: [value] for key, value in sorted(self.extra.items())}
        return {"username": self.username, **uid, "groups": list(self.groups), "extra": extra}


class Authenticator:
    """Reads client certificates, and issues and remembers tokens.

    A token looks like a JWT without a signature. It is valid until the server ends: nothing looks at its pod again.
    """

    def __init__(self) -> None:
        self._bearers: dict[str, User] = {}

    def authenticate(self, *, certificate: bytes | None, authorization: str) -> User | None:
        """Returns who asks, or None for an anonymous request. A client certificate wins over a token.

        Args:
            certificate: the client's, DER, verified by TLS.
            authorization: the header of that name, or nothing.

        Raises:
            StatusError: 401, the token is not valid.
        """
        if certificate is not None:
            return _holder(certificate)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        user = self._bearers.get(token.strip())
        if user is None:
            raise StatusError("Unauthorized", "Unauthorized")
        return user

    def issue(self, account: Json, *, pod: Json | None, node: Json | None, audiences: Sequence[str]) -> Json:
        """Returns a TokenRequest's answer.

        Args:
            account: metadata of the ServiceAccount.
            pod: metadata of the pod that the token is bound to.
            node: metadata of that pod's node.
            audiences: whom the token is for; by default the API server.
        """
        user, asked = _service_account(account, pod, node), list(audiences) or [_ISSUER]
        now = int(time.time())
        token = _token({"iss": _ISSUER, "sub": user.username, "aud": asked, "iat": now, "exp": now + _SECONDS})
        if _ISSUER in asked:
            self._bearers[token] = user
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + _SECONDS))
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": account["name"], "namespace": account["namespace"]},
            "spec": {"audiences": asked},
            "status": {"token": token, "expirationTimestamp": expires},
        }


def _token(claims: Json) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "ES256"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, secrets.token_bytes(64)])


def _service_account(account: Json, pod: Json | None, node: Json | None) -> User:
    extra = {f"{_PREFIX}credential-id": f"JTI={uuid.uuid4()}"}
    for kind, bound in (("pod", pod), ("node", node)):
        if bound is not None:
            extra |= {f"{_PREFIX}{kind}-name": bound["name"], f"{_PREFIX}{kind}-uid": bound["uid"]}
    namespace = account["namespace"]
    return User(
        username=f"system:serviceaccount:{namespace}:{account['name']}",
        uid=account["uid"],
        groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED),
        extra=extra,
    )


@functools.lru_cache(maxsize=1024)
def _holder(der: bytes) -> User:
    certificate = x509.load_der_x509_certificate(der)
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    return User(
        username=str(name.value),
        groups=(*(str(group.value) for group in groups), _AUTHENTICATED),
        extra={f"{_PREFIX}credential-id": f"X509SHA256={fingerprint}"},
    )
