"""Step 4, parse: parses `spec.request` as a CertificationRequest (RFC 2986), and checks all rules that need no policy.

Two parsers read the bytes: the types of `der`, which see all parts (two extensionRequest attributes, duplicates,
trailing data), and pyca's `x509`. If the two disagree, the request is refused. All bytes lead to a value, never to an
exception. This module does not check whether the names belong to the requester; `policy` does.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import NameOID

from csr_signer import der, field_error
from csr_signer.request import extensions
from csr_signer.request.extensions import RequestedExtensions
from csr_signer.request.public_key import PublicKey, examine, signature_algorithms, verify_proof_of_possession
from csr_signer.violation import Violation

T = TypeVar("T")

LARGEST_REQUEST: Final = 16 * 1024
MOST_ELEMENTS: Final = 100
"""Maximum numbers of RDNs, attributes and extensions of a request."""
BEGIN: Final = b"-----BEGIN CERTIFICATE REQUEST-----"
END: Final = b"-----END CERTIFICATE REQUEST-----"

# No alternative or nested repetition can match the same text in two ways, so the time is linear.
_PEM: Final = re.compile(BEGIN + rb"\r?\n((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)" + END + rb"(?:\r?\n)?")

# Length limits of RFC 5280 A.1, for which pyca itself only warns.
_LENGTHS: Final = MappingProxyType(
    {
        NameOID.COMMON_NAME: (1, 64),
        NameOID.COUNTRY_NAME: (2, 2),
        NameOID.JURISDICTION_COUNTRY_NAME: (2, 2),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationRequest:
    """A readable request, with its violations of rules that need no policy.

    Attributes:
        subject: attributes as (dotted type, text), in order.
        extensions: the content of the requested extensions.
        public_key: the key; None if it breaks a rule.
        violations: the violations.
    """

    subject: tuple[tuple[str, str], ...]
    extensions: RequestedExtensions
    public_key: PublicKey | None
    violations: tuple[Violation, ...]

    @property
    def common_names(self) -> tuple[str, ...]:
        """Returns the values of the subject's commonName attributes, in order."""
        return tuple(value for kind, value in self.subject if kind == der.COMMON_NAME.dotted_string)


def parse(request: bytes) -> CertificationRequest | Violation:
    """Parses `spec.request`; returns a single violation if it is unreadable.

    Args:
        request: the stored PEM; more than 16 KiB are refused.
    """
    if len(request) > LARGEST_REQUEST:
        return Violation(code="request.size", message=field_error.too_long("spec.request", LARGEST_REQUEST))
    try:
        encoded = _from_pem(request)
    except ValueError as error:
        must = f"must be exactly one PEM block CERTIFICATE REQUEST with nothing around it: {error}"
        return Violation(code="request.pem", message=field_error.malformed("spec.request", must))
    try:
        decoded = der.decode(der.CertificationRequest, encoded)
        info = der.decode(der.CertificationRequestInfo, der.encode(decoded.certification_request_info))
    except ValueError as error:
        must = f"must be exactly one DER CertificationRequest: {error}"
        return Violation(code="request.der", message=field_error.malformed("spec.request", must))
    return _Reader().read(encoded, decoded, info)


def _from_pem(request: bytes) -> bytes:
    """Returns the content of the PEM block.

    Raises:
        ValueError: the text is not exactly one block.
    """
    match = _PEM.fullmatch(request)
    if match is None:
        raise ValueError(_what_is_wrong(request))
    body = b"".join(match[1].split())
    try:
        encoded = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
    if base64.b64encode(encoded) != body:
        raise ValueError("its base64 has non-zero padding bits")
    return encoded


def _what_is_wrong(request: bytes) -> str:
    if not request.startswith(BEGIN):
        return f"it does not begin with {BEGIN.decode()}"
    if not request.rstrip().endswith(END):
        return f"it does not end with {END.decode()}"
    if request.count(b"-----BEGIN ") > 1:
        return "it has more than one block"
    return "it is not lines of base64, each of 1 to 76 characters"


_SUBJECT: Final = "spec.request.subject"
_ATTRIBUTES: Final = "spec.request.attributes"
_EXTENSION_REQUEST: Final = f"{_ATTRIBUTES}[extensionRequest]"
_EXTENSIONS: Final = "spec.request.extensions"


class _Reader:
    """Reads one decoded request, and collects its violations."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def breaks(self, code: str, message: str) -> None:
        self.violations.append(Violation(code=code, message=message))

    def first(self, elements: list[T], code: str, path: str) -> list[T]:
        """Returns the first items up to the limit, so that work and messages are bounded."""
        if len(elements) > MOST_ELEMENTS:
            self.breaks(code, field_error.too_many(path, len(elements), MOST_ELEMENTS))
        return elements[:MOST_ELEMENTS]

    def read(
        self, encoded: bytes, decoded: der.CertificationRequest, info: der.CertificationRequestInfo
    ) -> CertificationRequest:
        if info.version != 0:
            self.breaks("request.der", field_error.invalid("spec.request.version", hex(info.version), "must be 0 (v1)"))
        subject = self.subject(der.encode(info.subject))
        requested, violations = extensions.read(self.attributes(info.attributes))
        self.violations += violations
        key = self.key(der.encode(info.subject_public_key_info), decoded)
        # Only for a request without violations. Otherwise the two parsers disagree anyway, and hostile bytes would cost
        # as much as an honest request.
        if key is not None and not self.violations:
            self.compare(encoded, decoded, (subject, requested, key.subject_public_key_info))
        return CertificationRequest(
            subject=subject, extensions=requested, public_key=key, violations=tuple(self.violations)
        )

    def subject(self, encoded: bytes) -> tuple[tuple[str, str], ...]:
        """Parses the attributes as text; refuses string types that parsers decode differently."""
        try:
            rdns = der.decode_list(der.Name, encoded).rdns
        except ValueError as error:
            self.breaks("subject.structure", field_error.malformed(_SUBJECT, f"must be a Name: {error}"))
            return ()
        return tuple(self.subject_attributes(rdns))

    def subject_attributes(self, rdns: list[asn1.SetOf[der.AttributeTypeAndValue]]) -> Iterator[tuple[str, str]]:
        for rdn in self.first(rdns, "subject.structure", _SUBJECT):
            attributes = rdn.as_list()
            if len(attributes) != 1:
                must = f"must have one attribute in each RDN, not {len(attributes)}"
                self.breaks("subject.structure", field_error.malformed(_SUBJECT, must))
            for attribute in self.first(attributes, "subject.structure", f"{_SUBJECT}.rdn"):
                number = attribute.type.dotted_string
                try:
                    yield number, _text(attribute)
                except ValueError as error:
                    self.breaks("subject.structure", field_error.malformed(f"{_SUBJECT}[{number}]", str(error)))

    def attributes(self, attributes: list[asn1.TLV]) -> list[der.Extension]:
        """Returns the requested extensions from the only allowed attribute, or from the first of several."""
        values: list[list[asn1.TLV]] = []
        for position, encoded in enumerate(self.first(attributes, "request.attribute", _ATTRIBUTES)):
            try:
                attribute = der.decode(der.Attribute, der.encode(encoded))
            except ValueError as error:
                message = field_error.malformed(f"{_ATTRIBUTES}[{position}]", f"must be well-formed: {error}")
                self.breaks("request.attribute", message)
                continue
            if attribute.type == der.EXTENSION_REQUEST:
                values.append(attribute.values.as_list())
            else:
                number = attribute.type.dotted_string
                message = field_error.unsupported(_ATTRIBUTES, [number], ["extensionRequest"])
                self.breaks("request.attribute", message)
        if len(values) > 1:
            self.breaks("request.attribute", field_error.too_many(_EXTENSION_REQUEST, len(values), 1))
        return self.extension_request(values[0]) if values else []

    def extension_request(self, values: list[asn1.TLV]) -> list[der.Extension]:
        """Returns the extensions of the attribute's only allowed value."""
        if len(values) != 1:
            must = f"must have one value, not {len(values)}"
            self.breaks("request.attribute", field_error.malformed(_EXTENSION_REQUEST, must))
            return []
        try:
            elements = der.decode_list(der.Elements, der.encode(values[0])).elements
        except ValueError as error:
            must = f"must be a list of extensions: {error}"
            self.breaks("request.extension", field_error.malformed(_EXTENSIONS, must))
            return []
        return list(self.decoded_extensions(elements))

    def decoded_extensions(self, elements: list[asn1.TLV]) -> Iterator[der.Extension]:
        for position, encoded in enumerate(self.first(elements, "request.extension", _EXTENSIONS)):
            try:
                yield der.decode(der.Extension, der.encode(encoded))
            except ValueError as error:
                message = field_error.malformed(f"{_EXTENSIONS}[{position}]", f"must be well-formed: {error}")
                self.breaks("request.extension", message)

    def key(self, subject_public_key_info: bytes, decoded: der.CertificationRequest) -> PublicKey | None:
        """Returns the key, if it is acceptable, and then verifies the proof of possession."""
        key = examine(subject_public_key_info)
        if isinstance(key, Violation):
            self.violations.append(key)
            return None
        digest = self.digest(der.encode(decoded.signature_algorithm), key)
        if digest is not None and (
            decoded.signature.padding_bits()
            or not verify_proof_of_possession(
                key,
                digest,
                signed=der.encode(decoded.certification_request_info),
                signature=decoded.signature.as_bytes(),
            )
        ):
            must = f"must be a signature by the requested key ({key.name})"
            self.breaks("request.signature", field_error.malformed("spec.request.signature", must))
        return key

    def digest(self, algorithm_identifier: bytes, key: PublicKey) -> type[HashAlgorithm] | None:
        """Returns the hash of the signature algorithm, if it matches the key."""
        try:
            algorithm = der.decode(der.AlgorithmIdentifier, algorithm_identifier)
        except ValueError:
            got, digest = "parameters other than NULL", None
        else:
            has_parameters = algorithm.parameters is not None
            got = f"{algorithm.algorithm.dotted_string} {'with' if has_parameters else 'without'} NULL"
            digest = signature_algorithms(key).get(algorithm.algorithm) if has_parameters == key.rsa else None
        if digest is None:
            kind = "RSA PKCS#1 v1.5 (with NULL)" if key.rsa else "ECDSA (without NULL)"
            must = f"must be {kind} with SHA-256, SHA-384 or SHA-512, because the key is {key.name}"
            message = field_error.invalid("spec.request.signatureAlgorithm", got, must)
            self.breaks("request.signature_algorithm", message)
        return digest

    def compare(self, encoded: bytes, decoded: der.CertificationRequest, read: "_View") -> None:
        """Compares the result with pyca's parser."""
        signature = decoded.signature.as_bytes()
        try:
            again = der.attempt(lambda: _read_again(encoded))
        except ValueError:
            again = None
        if again != (*read, der.encode(decoded.certification_request_info), signature):
            must = "must read the same with two independent parsers"
            self.breaks("request.disagreement", field_error.malformed("spec.request", must))


_View = tuple[tuple[tuple[str, str], ...], RequestedExtensions, bytes]
"""Subject, extensions and SubjectPublicKeyInfo."""


def _read_again(encoded: bytes) -> tuple[object, ...]:
    """Parses subject, extensions, key, signed bytes and signature with pyca."""
    request = x509.load_der_x509_csr(encoded)
    requested = [
        der.Extension(extn_id=each.oid, critical=each.critical, extn_value=each.value.public_bytes())
        for each in request.extensions
    ]
    return (
        tuple((attribute.oid.dotted_string, attribute.value) for attribute in request.subject),
        extensions.read(requested)[0],
        request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        request.tbs_certrequest_bytes,
        request.signature,
    )


def _text(attribute: der.AttributeTypeAndValue) -> str:
    """Parses the text of an attribute.

    Raises:
        ValueError: parsers decode its string type differently, its bytes do not match the type, or its length is
            wrong.
    """
    value, encoded = attribute.value, der.encode(attribute.value)
    if value.tag_bytes == der.UTF8_STRING_TAG:
        text = der.decode(str, encoded)
    elif value.tag_bytes == der.PRINTABLE_STRING_TAG:
        text = der.decode(asn1.PrintableString, encoded).as_str()
    else:
        raise ValueError(f"must be a UTF8String or a PrintableString, not tag {value.tag_bytes.hex()}")
    least, most = _LENGTHS.get(attribute.type, (0, len(encoded)))
    if not least <= len(value.data) <= most:
        raise ValueError(f"must have {least} to {most} bytes, not {len(value.data)}")
    return text
