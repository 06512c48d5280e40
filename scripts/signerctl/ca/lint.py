"""Lints CA certificates and requests before signerctl uses the key.

The lint parses the encoded bytes and compares every field with the template. It also enforces the rules for all our
CAs. The parsed fields must encode to the same bytes again, so that no content hides in bytes that a parser ignores.
In signerctl, only this module makes a `TBSCertificate`.
"""

from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from csr_signer import der
from csr_signer.ca.algorithm import SignatureAlgorithm, subject_public_key_info
from csr_signer.ca.checks import OPERATORS_PREFIX
from csr_signer.issuance.certificate import algorithm_identifier
from csr_signer.issuance.lint import LintError, TBSCertificate
from signerctl.ca import certificate as ca_certificate
from signerctl.ca import certification_request
from signerctl.ca.certificate import CaTemplate
from signerctl.ca.certification_request import RequestTemplate
from signerctl.ca.extensions import Extensions


def lint_certificate(encoded: bytes, template: CaTemplate) -> TBSCertificate:
    """Clears the bytes of a CA certificate for signing.

    Raises:
        LintError: A field differs from the template, or breaks a rule for all our CAs. It names every such field.
    """
    return _read_back(lambda: _lint_certificate(encoded, template))


def _lint_certificate(encoded: bytes, template: CaTemplate) -> TBSCertificate:
    unsigned = der.Certificate(
        tbs_certificate=der.tlv(encoded),
        signature_algorithm=algorithm_identifier(template.algorithm),
        signature_value=asn1.BitString(b"", 0),
    )
    certificate = x509.load_der_x509_certificate(der.encode(unsigned))
    root = template.authority_key_identifier is None
    holds = {
        **_name(certificate.subject, template.subject),
        "issuer": certificate.issuer.public_bytes() == template.issuer.public_bytes(),
        "issuer (only a root is self-issued)": (certificate.subject == certificate.issuer) == root,
        "serial number": certificate.serial_number == template.serial_number,
        "notBefore": certificate.not_valid_before_utc == template.not_before,
        "notAfter": certificate.not_valid_after_utc == template.not_after,
        "validity": template.not_before < template.not_after,
        "public key": subject_public_key_info(certificate.public_key()) == template.subject_public_key_info,
        **_extensions(certificate.extensions, ca_certificate.extensions(template)),
        "encoding": certificate.tbs_certificate_bytes == encoded == _encoded_again(certificate, template.algorithm),
    }
    _refuse(holds)
    return TBSCertificate(der=encoded, serial_number=certificate.serial_number, purpose=template.purpose)


def lint_request(encoded: bytes, template: RequestTemplate) -> TBSCertificate:
    """Clears the bytes of a CertificationRequestInfo for signing; its serial number is 0, because it has none.

    Raises:
        LintError: As `lint_certificate`.
    """
    return _read_back(lambda: _lint_request(encoded, template))


def _lint_request(encoded: bytes, template: RequestTemplate) -> TBSCertificate:
    request = x509.load_der_x509_csr(certification_request.encode(encoded, template.algorithm, b""))
    expected = certification_request.extensions(template)
    holds = {
        **_name(request.subject, template.subject),
        "public key": subject_public_key_info(request.public_key()) == template.subject_public_key_info,
        **_extensions(request.extensions, expected),
        "attributes": [(each.oid, each.value) for each in request.attributes]
        == [(der.EXTENSION_REQUEST, _extension_request(request.extensions))],
        "encoding": request.tbs_certrequest_bytes == encoded,
    }
    _refuse(holds)
    return TBSCertificate(der=encoded, serial_number=0, purpose=template.purpose)


def _read_back(lint: Callable[[], TBSCertificate]) -> TBSCertificate:
    try:
        return lint()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise LintError(f"lint: signerctl cannot parse the bytes that it built: {error}") from error


def _refuse(holds: dict[str, bool]) -> None:
    violations = [name for name, held in holds.items() if not held]
    if violations:
        raise LintError(f"lint: these fields are wrong: {', '.join(violations)}")


def _name(got: x509.Name, wanted: x509.Name) -> dict[str, bool]:
    common_names = [str(each.value) for each in got.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return {
        "subject": got.public_bytes() == wanted.public_bytes(),
        "common name": len(common_names) == 1 and not common_names[0].startswith(("system:", OPERATORS_PREFIX)),
    }


def _extensions(got: x509.Extensions, expected: Extensions) -> dict[str, bool]:
    found = [(each.value, each.critical) for each in got]
    holds = {type(value).__name__: (value, critical) in found for value, critical in expected}
    return {**holds, "extensions": found == expected}


def _encoded_again(certificate: x509.Certificate, algorithm: SignatureAlgorithm) -> bytes:
    """Encodes the parsed certificate's fields with pyca's builder, and returns the TBSCertificate."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    return ca_certificate.encode(builder, [(each.value, each.critical) for each in certificate.extensions], algorithm)


def _extension_request(extensions: x509.Extensions) -> bytes:
    """Encodes the parsed extensions with pyca's builder, and returns the value of the extensionRequest."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for each in extensions:
        builder = builder.add_extension(each.value, critical=each.critical)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.attributes.get_attribute_for_oid(der.EXTENSION_REQUEST).value
