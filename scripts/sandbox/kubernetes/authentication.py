"""Who asks: the holder of a client certificate, or of a service account's token."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from sandbox.kubernetes import status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.api import Json
    from sandbox.kubernetes.tokens import Tokens

AUTHENTICATED = "system:authenticated"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An identity as the API server records it in what the user creates."""

    username: str
    uid: str = ""
    groups: tuple[str, ...]
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def described(self) -> Json:
        """As in ``spec`` of a CertificateSigningRequest and in a UserInfo; nothing empty."""
        described: Json = {"username": self.username}
        if self.uid:
            described["uid"] = self.uid
        described["groups"] = list(self.groups)
        if self.extra:
            described["extra"] = {key: [self.extra[key]] for key in sorted(self.extra)}
        return described


def authenticate(*, certificate: bytes | None, authorization: str | None, tokens: Tokens) -> User | None:
    """Find out who asks; None is nobody in particular. A client certificate wins over a token.

    Args:
        certificate: the client's, DER, verified by TLS.
        authorization: the header of that name.
        tokens: the service accounts' tokens.

    Raises:
        status.StatusError: 401, the token does not hold.
    """
    if certificate is not None:
        return _holder(certificate)
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    user = tokens.user(token.strip())
    if user is None:
        raise status.unauthorized()
    return user


@functools.lru_cache(maxsize=1024)
def _holder(der: bytes) -> User:
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    return User(
        username=str(names[0].value) if names else "",
        groups=(*(str(group.value) for group in groups), AUTHENTICATED),
        extra={CREDENTIAL_ID: f"X509SHA256={fingerprint}"},
    )
