"""`Installation.spec.certificateManagement` of the tigera operator: parses kubectl's output, and writes the patch.

The CRD validates keyAlgorithm and signatureAlgorithm separately (tigera/operator api/v1/installation_types.go). If the
two do not match, Calico's key-cert-provisioner fails, and no pod ever files a CSR.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import yaml
from cryptography import x509

from csr_signer import field_error
from csr_signer.ca import chain
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote
from signerctl.interface.program import CommandError

DEFAULT_KEY_ALGORITHM: Final = "RSAWithSize2048"
DEFAULT_SIGNATURE_ALGORITHM: Final = "SHA256WithRSA"
_RSA: Final = ("SHA256WithRSA", "SHA384WithRSA", "SHA512WithRSA")
_ECDSA: Final = ("ECDSAWithSHA256", "ECDSAWithSHA384", "ECDSAWithSHA512")
PAIRS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "RSAWithSize2048": _RSA,
        "RSAWithSize4096": _RSA,
        "RSAWithSize8192": _RSA,
        "ECDSAWithCurve256": _ECDSA,
        "ECDSAWithCurve384": _ECDSA,
        "ECDSAWithCurve521": _ECDSA,
    }
)
"""The signatureAlgorithms that match each keyAlgorithm."""
SIGNATURE_ALGORITHMS: Final = (*_RSA, *_ECDSA)
SLOW: Final = ("RSAWithSize4096", "RSAWithSize8192")
"""Keys that rarely finish within Calico's 90 seconds on the init container's default CPU."""
_KIND: Final = "Installation"
_CALICO: Final = "Calico"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateManagement:
    """The fields of `spec.certificateManagement`.

    Attributes:
        ca_cert: PEM of the CAs that every component trusts.
        signer_name: The signerName of the pods' CSRs.
        key_algorithm: The algorithm of the pods' keys; empty for the operator's default.
        signature_algorithm: The algorithm of the pods' signatures; empty for the operator's default.
    """

    ca_cert: bytes
    signer_name: str
    key_algorithm: str
    signature_algorithm: str


class _Loader(yaml.BaseLoader):
    """A YAML loader that refuses aliases: a few hundred bytes of aliases can expand to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - the parser's own
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("Forbidden: YAML aliases")
        return super().compose_node(parent, index)


def snippet(management: CertificateManagement) -> str:
    """Returns YAML for `kubectl patch installation default --type merge`."""
    content = {
        "spec": {
            "certificateManagement": {
                "caCert": base64.b64encode(management.ca_cert).decode(),
                "signerName": management.signer_name,
                "keyAlgorithm": management.key_algorithm,
                "signatureAlgorithm": management.signature_algorithm,
            }
        }
    }
    return yaml.safe_dump(content, sort_keys=False, width=2**31 - 1)


def parse(text: bytes) -> CertificateManagement:
    """Parses the output of `kubectl get installation default -o yaml` or `-o json`, or a list with one item.

    Raises:
        CommandError: It is not an Installation, or has no certificateManagement.
    """
    try:
        # The loader reads every scalar as a string, so no number or date can fail to convert.
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - it makes only strings, lists and mappings
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CommandError(f"installation: Invalid value: must be YAML: {' '.join(str(error).split())}") from error
    installation = _single(document)
    kind = installation.get("kind", _KIND)
    if kind != _KIND:
        raise CommandError(f'installation: kind: Unsupported value: {_quoted(kind)}: supported values: "{_KIND}"')
    management = _mapping(installation.get("spec"), "spec").get("certificateManagement")
    fields = _mapping(management, "spec.certificateManagement")
    return CertificateManagement(
        ca_cert=_ca_cert(_text(fields, "caCert")),
        signer_name=_text(fields, "signerName"),
        key_algorithm=_text(fields, "keyAlgorithm", optional=True),
        signature_algorithm=_text(fields, "signatureAlgorithm", optional=True),
    )


def certificates(document: Mapping[str, Any]) -> tuple[x509.Certificate, ...]:
    """Returns the CAs that Calico's components trust, from an Installation of the API server.

    Raises:
        CommandError: It has no certificateManagement, or caCert cannot be read.
    """
    found = parse(json.dumps(document).encode())
    try:
        return chain.certificates("caCert", found.ca_cert)
    except ConfigurationError as error:
        raise CommandError(f"installation: {error}") from error


def require_calico(document: Mapping[str, Any]) -> None:
    """Checks that an Installation of the API server is of Calico, the operator's default.

    Raises:
        CommandError: It is of another product.
    """
    variant = _mapping(document.get("spec"), "spec").get("variant") or _CALICO
    if variant != _CALICO:
        raise CommandError(field_error.unsupported("installation: spec.variant", [str(variant)], [_CALICO]))


def _single(document: object) -> Mapping[str, Any]:
    """Returns the Installation itself, or the only item of a list."""
    found = _mapping(document)
    items = found.get("items")
    if not isinstance(items, list):
        return found
    if len(items) != 1:
        raise CommandError(
            f'installation: items: Invalid value: {len(items)} items: must be one, the Installation named "default"'
        )
    return _mapping(items[0], "items[0]")


def _mapping(value: object, path: str = "") -> Mapping[str, Any]:
    where = f"installation: {path}" if path else "installation"
    must = f"must be an {_KIND} with spec.certificateManagement"
    if value in (None, ""):
        raise CommandError(field_error.required(where, must))
    if not isinstance(value, dict):
        raise CommandError(f"{where}: Invalid value: {_quoted(value)}: {must}")
    return value


def _text(fields: Mapping[str, Any], key: str, *, optional: bool = False) -> str:
    value, path = fields.get(key, ""), f"installation: spec.certificateManagement.{key}"
    if not isinstance(value, str):
        raise CommandError(f"{path}: Invalid value: {_quoted(value)}: must be a string")
    if not (value or optional):
        raise CommandError(field_error.required(path, "must be a string"))
    return value


def _quoted(value: object) -> str:
    """Returns a string in quotes, or the type of another value: only its type can be wrong."""
    return quote(value) if isinstance(value, str) else f"a {type(value).__name__}"


def _ca_cert(text: str) -> bytes:
    """Decodes base64 as Go decodes []byte: the standard alphabet, ignoring line ends."""
    if "-----BEGIN" in text:
        raise CommandError(
            "installation: spec.certificateManagement.caCert: Invalid value: PEM: must be the PEM in base64, because"
            " the operator does not read plain PEM"
        )
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CommandError(
            f"installation: spec.certificateManagement.caCert: Invalid value: must be base64: {error}"
        ) from error


def pair_violation(management: CertificateManagement) -> str | None:
    """Returns why the two algorithms do not match, or None if they do. An empty algorithm is the operator's default."""
    key_algorithm = management.key_algorithm or DEFAULT_KEY_ALGORITHM
    signature_algorithm = management.signature_algorithm or DEFAULT_SIGNATURE_ALGORITHM
    allowed = PAIRS.get(key_algorithm)
    if allowed is None:
        return field_error.unsupported("keyAlgorithm", [key_algorithm], PAIRS)
    if signature_algorithm not in allowed:
        message = field_error.unsupported("signatureAlgorithm", [signature_algorithm], allowed)
        return f"{message}, because keyAlgorithm is {quote(key_algorithm)}"
    return None
