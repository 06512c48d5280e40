"""A cluster's API server, as far as it signs service account tokens."""

import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.google import jwt

ISSUER = "https://kubernetes.default.svc.cluster.local"
SUBJECT = "system:serviceaccount:kms-csr-signer:csr-exporter"


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Signs tokens with its own key."""

    key: rsa.RSAPrivateKey = field(default_factory=_key)

    @property
    def jwks(self) -> dict[str, Any]:
        """What /openid/v1/jwks of its API server says."""
        return {"keys": [jwt.to_jwk("cluster-key", self.key.public_key())]}

    def token(self, audience: str, **changed: object) -> str:
        """Return a projected service account token; `changed` claims are replaced, and left out where None."""
        now = int(time.time())
        claims = {
            "aud": [audience],
            "exp": now + 3600,
            "iat": now,
            "iss": ISSUER,
            "nbf": now,
            "sub": SUBJECT,
            **changed,
        }
        return jwt.sign(self.key, "cluster-key", {name: value for name, value in claims.items() if value is not None})
