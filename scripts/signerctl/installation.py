"""`Installation.spec.certificateManagement` of the tigera operator: read from what kubectl prints, and written.

Facts of api/v1/installation_types.go and of Calico's key-cert-provisioner: the CRD checks keyAlgorithm and
signatureAlgorithm each alone, and where they do not fit one another no pod ever files a CSR.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import yaml

from csr_signer.violation import quote
from signerctl.program import CommandError

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
"""By keyAlgorithm: the signatureAlgorithms that go with it."""
SIGNATURE_ALGORITHMS: Final = (*_RSA, *_ECDSA)
SLOW: Final = ("RSAWithSize4096", "RSAWithSize8192")
"""Keys that rarely finish within Calico's 90 seconds on the init container's default CPU."""
_KIND: Final = "Installation"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateManagement:
    """What the cluster's Calico is told.

    Attributes:
        ca_cert: PEM text that every component trusts.
        signer_name: whom the pods ask.
        key_algorithm, signature_algorithm: of the pods' keys and requests; empty: the operator's default.
    """

    ca_cert: bytes
    signer_name: str
    key_algorithm: str
    signature_algorithm: str


class _Loader(yaml.BaseLoader):
    """Without aliases: kubectl writes none, and a few hundred bytes of them stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - the parser's own
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("Forbidden: YAML aliases")
        return super().compose_node(parent, index)


def snippet(management: CertificateManagement) -> str:
    """YAML for `kubectl patch installation default --type merge`."""
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
    """What `kubectl get installation default -o yaml`, or `-o json`, prints; a list of one is good, too.

    Raises:
        CommandError: it is no Installation, or has no certificateManagement; says what was got and what is wanted.
    """
    try:
        # Every scalar as text: nothing here is a number or a date, and no value of theirs can fail to convert.
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - it makes texts, lists and mappings alone
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


def _single(document: object) -> Mapping[str, Any]:
    """The Installation itself, or the one item of a list."""
    found = _mapping(document, "the document")
    items = found.get("items")
    if not isinstance(items, list):
        return found
    if len(items) != 1:
        raise CommandError(
            f'installation: Invalid value: a list of {len(items)} items: must be the Installation named "default"'
        )
    return _mapping(items[0], "the item")


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CommandError(
            f"installation: {where} is {'absent' if value in (None, '') else 'no mapping'}, must be an {_KIND} with"
            " spec.certificateManagement"
        )
    return value


def _text(fields: Mapping[str, Any], key: str, *, optional: bool = False) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str) or not (value or optional):
        got = "nothing" if value == "" else _quoted(value)
        raise CommandError(f"installation: spec.certificateManagement.{key}: Invalid value: {got}: must be a string")
    return value


def _quoted(value: object) -> str:
    """A text; of anything else its type alone, which is all that can be wrong with it."""
    return quote(value) if isinstance(value, str) else f"a {type(value).__name__}"


def _ca_cert(text: str) -> bytes:
    """As Go decodes []byte: standard base64, in which line ends are passed over."""
    if "-----BEGIN" in text:
        raise CommandError(
            "installation: spec.certificateManagement.caCert: Invalid value: PEM: must be base64 of the PEM, because"
            " the operator cannot read PEM itself"
        )
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CommandError(
            f"installation: spec.certificateManagement.caCert: Invalid value: must be base64: {error}"
        ) from error


def pair_violation(management: CertificateManagement) -> str | None:
    """What is wrong with the two algorithms together; the operator's defaults stand for what is not set."""
    key_algorithm = management.key_algorithm or DEFAULT_KEY_ALGORITHM
    signature_algorithm = management.signature_algorithm or DEFAULT_SIGNATURE_ALGORITHM
    allowed = PAIRS.get(key_algorithm)
    if allowed is None:
        return f"keyAlgorithm: Unsupported value: {quote(key_algorithm)}: supported values: {', '.join(PAIRS)}"
    if signature_algorithm not in allowed:
        return (
            f"keyAlgorithm {key_algorithm} with signatureAlgorithm {quote(signature_algorithm)}: pods cannot create"
            f" a request; supported with it are {', '.join(allowed)}, set both"
        )
    return None
