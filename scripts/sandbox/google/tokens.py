"""Access tokens and ID tokens that the double issues."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox.google import jwt
from sandbox.google.jwt import Jwt, JwtError
from sandbox.google.model import ServiceAccount

LIFETIME = 3600  # lifetime of access tokens and ID tokens in seconds
_SKEW = 300  # allowed lag of a client's clock in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An opaque access token.

    Attributes:
        value: The token.
        principal: A service account's email, or a workload identity principal.
        scopes: Its scopes.
        expires: Seconds since the epoch.
    """

    value: str
    principal: str
    scopes: frozenset[str]
    expires: float


class Tokens:
    """Issues and verifies tokens.

    Args:
        issuer: The `iss` of ID tokens.
        clock: Seconds since the epoch.
    """

    def __init__(self, issuer: str, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self.clock = clock
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = secrets.token_hex(20)
        self._lock = threading.Lock()
        self._access_tokens: dict[str, AccessToken] = {}

    def access_token(self, principal: str, scopes: frozenset[str], lifetime: int = LIFETIME) -> AccessToken:
        """Issues an access token for a principal, valid for some seconds."""
        token = AccessToken(
            value=f"ya29.sandbox.{secrets.token_urlsafe(32)}",
            principal=principal,
            scopes=scopes,
            expires=self.clock() + lifetime,
        )
        with self._lock:
            self._access_tokens[token.value] = token
        return token

    def bearer(self, authorization: str | None) -> AccessToken | None:
        """Returns the access token of an Authorization header; None if it is not a valid token of ours."""
        scheme, _, value = (authorization or "").partition(" ")
        with self._lock:
            token = self._access_tokens.get(value)
        if scheme.lower() != "bearer" or token is None or token.expires <= self.clock():
            return None
        return token

    def id_token(self, account: ServiceAccount, audience: str, extra: dict[str, Any]) -> str:
        """Issues an ID token of a service account."""
        now = int(self.clock())
        claims = {
            "aud": audience,
            "azp": account.unique_id,
            "exp": now + LIFETIME,
            "iat": now,
            "iss": self.issuer,
            "sub": account.unique_id,
            **extra,
        }
        return jwt.sign(self._key, self._key_id, claims)

    def verified(self, text: str) -> Jwt:
        """Verifies that an ID token is ours and valid now. The caller checks its audience.

        Raises:
            JwtError: It is not ours, or not valid now.
        """
        token = jwt.parse(text)
        jwt.verify(token, {self._key_id: self._key.public_key()})
        now = self.clock()
        if token.claims["iss"] != self.issuer:
            raise JwtError(f"the issuer is {token.claims['iss']!r}, must be {self.issuer!r}")
        if not token.claims["iat"] - _SKEW <= now < token.claims["exp"]:
            raise JwtError(f"the token is valid from {token.claims['iat']} to {token.claims['exp']}, not at {now:.0f}")
        return token

    @property
    def jwks(self) -> dict[str, Any]:
        """Returns the public key as a JSON Web Key Set."""
        return {"keys": [jwt.to_jwk(self._key_id, self._key.public_key())]}

    @cached_property
    def certificates(self) -> dict[str, str]:
        """Returns the public key in Google's older format: a self-signed certificate by key id."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=14))
            .sign(self._key, hashes.SHA256())
        )
        return {self._key_id: certificate.public_bytes(serialization.Encoding.PEM).decode()}
