"""Names the kind of a file that holds no certificate, so that an error message can say what to give instead."""

import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from csr_signer import der
from csr_signer.ca.chain import PRIVATE_KEY
from csr_signer.violation import quote

_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,60})-----")
# PFX (RFC 7292 §4): a SEQUENCE that starts with version 3 and a ContentInfo.
_PKCS12: Final = re.compile(rb"\x30(?:[\x00-\x7f]|\x80|\x81.|\x82..|\x83...)\x02\x01\x03\x30", re.DOTALL)
_JAVA_KEY_STORES: Final = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_OBJECT: Final = re.compile(
    rb"""(?:^|[{,])[ \t]{0,80}["']?kind["']?[ \t]{0,8}:[ \t]{0,8}["']?([A-Za-z]{1,60})""", re.MULTILINE
)
_REQUEST_LABELS: Final = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file.

    Attributes:
        name: For messages, with its article.
        remedy: What to do with such a file where certificates are expected; empty if there is no advice.
    """

    name: str
    remedy: str = ""


EMPTY: Final = Kind(name="an empty file", remedy="the command that wrote it may have failed")
KEY: Final = Kind(name="a private key", remedy="give a file with certificates only; a CA's key stays in Cloud KMS")
REQUEST: Final = Kind(
    name="a PKCS #10 request", remedy="`signerctl ca show` shows it; give the certificate that the CA made from it"
)
_PFX: Final = Kind(name="a PKCS #12 file", remedy="`openssl pkcs12 -nokeys -in FILE` prints its certificates")
_KEY_STORE: Final = Kind(
    name="a Java key store", remedy="`keytool -exportcert -rfc -keystore FILE -alias NAME` prints a certificate of it"
)
_OBJECTS: Final = {
    "Installation": "`signerctl ca verify --installation FILE` checks its caCert",
    "CertificateSigningRequest": "`kubectl get csr NAME -o jsonpath={.spec.request} | base64 -d` prints its request",
}


def kind_of(content: bytes) -> Kind | None:
    """Returns the kind of a file, or None if it is unknown, or holds certificates."""
    if not content.strip():
        return EMPTY
    if PRIVATE_KEY.search(content):
        return KEY
    label = _LABEL.search(content)
    if label is not None:
        return _labelled(label[1])
    return _store(content) or _kubernetes_object(content) or _der(content)


def _labelled(label: bytes) -> Kind | None:
    if label in _REQUEST_LABELS:
        return REQUEST
    if label in (b"CERTIFICATE", b"X509 CERTIFICATE", b"PKCS7"):
        return None
    return Kind(name=f"PEM with the label {quote(label)}")


def _store(content: bytes) -> Kind | None:
    if _PKCS12.match(content):
        return _PFX
    return _KEY_STORE if content.startswith(_JAVA_KEY_STORES) else None


def _kubernetes_object(content: bytes) -> Kind | None:
    found = _OBJECT.search(content)
    if found is None:
        return None
    name = found[1].decode("ascii")
    return Kind(name=f"a Kubernetes object of kind {name}", remedy=_OBJECTS.get(name, ""))


def _der(content: bytes) -> Kind | None:
    try:
        der.attempt(lambda: x509.load_der_x509_csr(content))
    except ValueError:
        return KEY if _is_private_key(content) else None
    return REQUEST


def _is_private_key(content: bytes) -> bool:
    try:
        der.attempt(lambda: load_der_private_key(content, None))
    except ValueError as error:
        return isinstance(error.__cause__, TypeError)  # the key is encrypted
    return True
