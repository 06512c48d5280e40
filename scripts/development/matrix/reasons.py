"""Why each stack refuses each control, in its own words: one that is refused for another reason proves nothing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CONTROLS: Final = (
    "a flipped bit in the signature",
    "another root of the same name",
    "expired",
    "another host",
    "serverAuth alone, as a client",
    "issued by a leaf",
)


def _each(*patterns: str) -> Mapping[str, str]:
    return MappingProxyType(dict(zip(_CONTROLS, patterns, strict=True)))


REASONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        # Numbers of X509_V_ERR_...: 24 and 79 are "invalid CA certificate" before and since 3.0.
        "OpenSSL": _each(
            r"error 7 at 0 depth",
            r"error 20 at [01] depth",
            r"error 10 at 0 depth",
            r"error 62 at 0 depth",
            r"error 26 at 0 depth",
            r"error (24|79) at 1 depth",
        ),
        "Go": _each(
            r"verification (error|failure)",
            r"signed by unknown authority",
            r"has expired",
            r"is valid for .+, not other\.",
            r"incompatible key usage",
            r"parent certificate cannot sign",
        ),
        "Java": _each(
            r"signature check failed",
            r"does not chain with any of the trust anchors",
            r"CertificateExpiredException",
            r"No subject alternative DNS name matching",
            r"does not permit use for TLS client authentication",
            r"keyCertSign bit is not set|not a CA certificate",
        ),
        "pyca": _each(
            r"signature does not match",
            r"signature does not match",
            r"not valid at validation time",
            r"no matching subjectAltName",
            r"EKU not found",
            r"basicConstraints\.cA must be asserted",
        ),
        "GnuTLS": _each(
            r"signature in the certificate is invalid",
            r"issuer is unknown",
            r"uses expired certificate",
            r"name in the certificate does not match",
            r"does not match the intended purpose",
            r"violates the signer's constraints",
        ),
        "Node": _each(r"wrong signature", r"wrong signature", r"expired", r"other host", r"other usage", r"no CA"),
    }
)
"""By the names of stack and control: what the answer must match."""
