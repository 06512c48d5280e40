"""The lint of what `signerctl` signs, by a profile of its own: the encoded bytes are read back before the key is used.

Two ways that share nothing with the builder: pyca's parser, so that what is wrong is named, and pyca's own builder,
which must come to the very same bytes. Only these functions make a `TBSCertificate` here.
"""

from collections.abc import Callable
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer import der
from csr_signer.algorithm import SignatureAlgorithm, subject_public_key_info
from csr_signer.authority import OPERATORS_PREFIX
from csr_signer.certificate import SERIAL_BITS, algorithm_identifier
from csr_signer.lint import LintError, TBSCertificate
from signerctl import certification_request
from signerctl.ca_certificate import CaTemplate, identifier_of
from signerctl.certification_request import RequestTemplate

_Expected = list[tuple[x509.ExtensionType, bool]]


def lint_certificate(encoded: bytes, template: CaTemplate) -> TBSCertificate:
    """The bytes of a CA certificate, cleared.

    Raises:
        LintError: a field is not as the template says, or not as any CA of ours may be; names every such field.
    """
    return _read_back(lambda: _lint_certificate(encoded, template))


def _lint_certificate(encoded: bytes, template: CaTemplate) -> TBSCertificate:
    unsigned = der.Certificate(
        tbs_certificate=der.tlv(encoded),
        signature_algorithm=algorithm_identifier(template.algorithm),
        signature_value=asn1.BitString(b"", 0),
    )
    certificate = x509.load_der_x509_certificate(der.encode(unsigned))
    expected = _expected_extensions(template.path_length, template.permitted_dns_names, template.subject_key_identifier)
    if template.authority_key_identifier is not None:
        expected.append((x509.AuthorityKeyIdentifier(template.authority_key_identifier, None, None), False))
    root = template.authority_key_identifier is None
    holds = {
        **_name(certificate.subject, template.subject),
        "issuer": certificate.issuer.public_bytes() == template.issuer.public_bytes(),
        "self-issued": (certificate.subject == certificate.issuer) == root,
        "serial number": 0 < certificate.serial_number == template.serial_number < 1 << SERIAL_BITS,
        "not before": certificate.not_valid_before_utc == template.not_before,
        "not after": certificate.not_valid_after_utc == template.not_after,
        "validity": template.not_before < template.not_after,
        "public key": subject_public_key_info(certificate.public_key()) == template.subject_public_key_info,
        **_extensions(certificate.extensions, expected),
        "encoding": certificate.tbs_certificate_bytes == encoded == _by_another_builder(template, expected),
    }
    _refuse(holds)
    return TBSCertificate(der=encoded, serial_number=certificate.serial_number, purpose=template.purpose)


def lint_request(encoded: bytes, template: RequestTemplate) -> TBSCertificate:
    """The bytes of a CertificationRequestInfo, cleared; it has no serial number, so that is 0.

    Raises:
        LintError: as `lint_certificate`.
    """
    return _read_back(lambda: _lint_request(encoded, template))


def _lint_request(encoded: bytes, template: RequestTemplate) -> TBSCertificate:
    request = x509.load_der_x509_csr(certification_request.encode(encoded, template.algorithm, b""))
    identifier = identifier_of(template.subject_public_key_info)
    expected = _expected_extensions(0, template.permitted_dns_names, identifier)
    holds = {
        **_name(request.subject, template.subject),
        "public key": subject_public_key_info(request.public_key()) == template.subject_public_key_info,
        **_extensions(request.extensions, expected),
        "attributes": [(each.oid, each.value) for each in request.attributes]
        == [(der.EXTENSION_REQUEST, _requested_by_another_builder(expected))],
        "encoding": request.tbs_certrequest_bytes == encoded,
    }
    _refuse(holds)
    return TBSCertificate(der=encoded, serial_number=0, purpose=template.purpose)


def _read_back(lint: Callable[[], TBSCertificate]) -> TBSCertificate:
    try:
        return lint()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise LintError(f"lint: what was built cannot be read back: {error}") from error


def _refuse(holds: dict[str, bool]) -> None:
    findings = [name for name, held in holds.items() if not held]
    if findings:
        raise LintError(f"lint: not as requested: {', '.join(findings)}")


def _name(got: x509.Name, wanted: x509.Name) -> dict[str, bool]:
    common_names = [str(each.value) for each in got.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return {
        "subject": got.public_bytes() == wanted.public_bytes(),
        "common name": len(common_names) == 1 and not common_names[0].startswith(("system:", OPERATORS_PREFIX)),
    }


def _extensions(got: x509.Extensions, expected: _Expected) -> dict[str, bool]:
    found = [(each.value, each.critical) for each in got]
    holds = {type(value).__name__: (value, critical) in found for value, critical in expected}
    return {**holds, "extensions": found == expected}


def _expected_extensions(path_length: int, permitted: tuple[str, ...], key_identifier: bytes) -> _Expected:
    key_usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    expected: _Expected = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (key_usage, True),
        (purposes, False),
        (x509.SubjectKeyIdentifier(key_identifier), False),
    ]
    if permitted:
        expected.append((x509.NameConstraints([x509.DNSName(name) for name in permitted], None), True))
    return expected


def _by_another_builder(template: CaTemplate, expected: _Expected) -> bytes:
    """The TBSCertificate as pyca writes it. The key that signs is thrown away: it chooses the algorithm alone."""
    # RSA or EC: no other algorithm is known to `algorithm_for`.
    key = cast("CertificatePublicKeyTypes", load_der_public_key(template.subject_public_key_info))
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(template.issuer)
        .public_key(key)
        .serial_number(template.serial_number)
        .not_valid_before(template.not_before)
        .not_valid_after(template.not_after)
    )
    for value, critical in expected:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(_throwaway(template.algorithm), template.algorithm.digest()).tbs_certificate_bytes


def _throwaway(algorithm: SignatureAlgorithm) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if algorithm.rsa:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _requested_by_another_builder(expected: _Expected) -> bytes:
    """The value of the extensionRequest as pyca writes it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for value, critical in expected:
        builder = builder.add_extension(value, critical=critical)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.attributes.get_attribute_for_oid(der.EXTENSION_REQUEST).value
