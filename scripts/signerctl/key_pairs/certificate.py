"""The checks of an issued certificate before its key pair reaches a Secret. Pure."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer import der
from csr_signer.ca import chain, checks
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote
from signerctl.interface.program import CommandError
from signerctl.key_pairs.catalog import KeyPair

_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
}


def check(
    pem: bytes, key_pair: KeyPair, public_key: CertificatePublicKeyTypes, *, anchors: Sequence[x509.Certificate]
) -> x509.Certificate:
    """Returns the certificate of a CSR's status.

    Args:
        pem: `status.certificate`: the certificate, and its chain.
        key_pair: What was asked for.
        public_key: Of the key that was made.
        anchors: The CAs that the components trust.

    Raises:
        CommandError: It is another certificate than the one that was asked for.
    """
    try:
        found = der.attempt(lambda: x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise CommandError(f"{key_pair.path}: the certificate cannot be read: {quote(str(error))}") from error
    leaf, *above = found
    problems = violations(leaf, key_pair, anchors=anchors, above=above)
    if _encoded(leaf.public_key()) != _encoded(public_key):
        problems.insert(0, "it is for another key")
    if problems:
        why = "; ".join(problems)
        raise CommandError(f"{key_pair.path}: the issued certificate does not fit, so the Secret stays as it is: {why}")
    return leaf


def violations(
    leaf: x509.Certificate,
    key_pair: KeyPair,
    *,
    anchors: Sequence[x509.Certificate],
    above: Sequence[x509.Certificate] = (),
) -> list[str]:
    """Returns why a certificate does not fit a key pair; empty if it does.

    Args:
        leaf: The certificate.
        key_pair: The key pair.
        anchors: The CAs that the components trust.
        above: The certificates after it, the issuing CA first.
    """
    problems = []
    common_names = [str(each.value) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if common_names != [key_pair.common_name]:
        problems.append(f"common name: Invalid value: {quote(common_names)}: must be {quote(key_pair.common_name)}")
    names = checks.extension(leaf, x509.SubjectAlternativeName)
    got = [] if names is None else names.get_values_for_type(x509.DNSName)
    if sorted(got) != sorted(key_pair.dns_names):
        problems.append(f"DNS names: Invalid value: {quote(got)}: must be {quote(list(key_pair.dns_names))}")
    usage = checks.extension(leaf, x509.ExtendedKeyUsage)
    purposes = {_PURPOSES.get(each, each.dotted_string) for each in usage or ()}
    if purposes != key_pair.purposes:
        must = quote(sorted(key_pair.purposes))
        problems.append(f"extended key usage: Invalid value: {quote(sorted(purposes))}: must be {must}")
    if not _chains(leaf, tuple(above), tuple(anchors)):
        problems.append("it does not chain to a CA of --trust-bundle (by default caCert of the Installation)")
    return problems


def _chains(leaf: x509.Certificate, above: tuple[x509.Certificate, ...], anchors: tuple[x509.Certificate, ...]) -> bool:
    if any(checks.issued_by(leaf, anchor) for anchor in anchors):
        return True
    if not above or not checks.issued_by(leaf, above[0]):
        return False
    try:
        chain.path_of(above, anchors, purposes=())
    except ConfigurationError:
        return False
    return True


def _encoded(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
