"""OpenSSL, Go and pyca accept and refuse certificates of our CAs as docs/ca.md says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from csr_signer.errors import ConfigurationError
from tests.interoperability.go import Go
from tests.interoperability.stack import Query
from tests.interoperability.stacks import skip_if_missing
from tests.unit.signerctl.authorities import PURPOSES, ca_certificate, certificates, write
from tests.unit.signerctl.function import leaf_of, loaded
from tests.unit.signerctl.stage import Stage, verified

NEW = 2
"""Number of the new CA's key; the trusted root's is 1."""


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Go's verifier."""
    skip_if_missing(Go)
    return Go(tmp_path)


def go_refusals(go: Go, leaf: Path, roots: Path) -> list[str]:
    """Returns Go's errors about a file's leaf and chain, as server and as client, without comparing host names."""
    server = Query(chain=leaf, roots=roots, purpose="server")
    return [refusal for refusal in go.verify([server, replace(server, purpose="client")]) if refusal]


def pyca_accepts(leaf: Path, roots: Path) -> bool:
    """Tells whether pyca's verifier, which is strict about CAs, accepts a file's leaf and chain."""
    found = certificates(leaf)
    policies = {"ca_policy": ExtensionPolicy.webpki_defaults_ca(), "ee_policy": ExtensionPolicy.permit_all()}
    builder = PolicyBuilder().store(Store(certificates(roots))).extension_policies(**policies)
    try:
        builder.build_client_verifier().verify(found[0], found[1:])
    except VerificationError:
        return False
    return True


def test_leaves_verify_under_the_old_root_and_under_the_new_one(stage: Stage, go: Go, tmp_path: Path) -> None:
    """OpenSSL, Go and pyca accept the function's chain if they trust the old root, the new one, or both."""
    root = stage.create(tmp_path / "root.pem", "--path-length", "1", name="Calico root")
    new = stage.create(tmp_path / "new.pem", key=stage.key(number=NEW), name="Calico CA 2027")
    leaf, crossed = tmp_path / "leaf.pem", tmp_path / "cross.pem"
    files = ("--signing-certificate", root, "--certificate", new, "--out", crossed)
    stage.done("cross-sign", "--key-version", stage.key(), "--new-key-version", stage.key(number=NEW), *files)
    leaf.write_bytes(leaf_of(stage, loaded(stage.key(number=NEW), crossed, root)))
    assert len(certificates(leaf)) == 2
    both = write(tmp_path / "both.pem", *certificates(root), *certificates(new))
    for trusted in (root, new, both):
        assert verified(leaf, trusted, leaf) == []
        assert go_refusals(go, leaf, trusted) == []
        assert pyca_accepts(leaf, trusted)


def test_every_verifier_refuses_a_cross_certificate_below_path_length_0(stage: Stage, go: Go, tmp_path: Path) -> None:
    """OpenSSL, Go, pyca and the function refuse it, so `cross-sign` refuses such a root."""
    signing, key = ec.generate_private_key(ec.SECP256R1()), stage.key(number=NEW)
    new = certificates(stage.create(tmp_path / "new.pem", key=key, name="Calico CA 2027"))[0]
    roots = {
        length: write(
            tmp_path / f"root-{length}.pem",
            ca_certificate("Old root", signing, "Old root", signing, path_length=length, days=(-1, 2000)),
        )
        for length in (0, 1)
    }
    crossed = write(
        tmp_path / "cross.pem", ca_certificate("Calico CA 2027", new.public_key(), "Old root", signing, days=(-1, 2000))
    )
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(leaf_of(stage, loaded(key, crossed, roots[1])))
    with pytest.raises(ConfigurationError, match="path length is 0"):
        leaf_of(stage, loaded(key, crossed, roots[0]))
    assert verified(leaf, roots[1], leaf) == []
    assert all("path length constraint exceeded" in said for said in verified(leaf, roots[0], leaf))
    assert len(verified(leaf, roots[0], leaf)) == 2
    assert go_refusals(go, leaf, roots[1]) == []
    assert all("too many intermediates" in refusal for refusal in go_refusals(go, leaf, roots[0]))
    assert len(go_refusals(go, leaf, roots[0])) == 2
    assert pyca_accepts(leaf, roots[1])
    assert not pyca_accepts(leaf, roots[0])


LEAVES = {
    "permitted names": ("typha-client", ["typha-client", "a.calico-system.svc"], [], ""),
    "a DNS name that is not permitted": ("typha-client", ["example.com"], [], "OpenSSL, Go, pyca"),
    "no DNS name, a common name that is not permitted": ("example.com", [], [], "OpenSSL"),
    "a permitted DNS name, any common name": ("example.com", ["typha-client"], [], ""),
    "an address": ("typha-client", ["typha-client"], ["192.0.2.1"], ""),
}
"""Rows of the document's table of name constraints: common name, DNS names, addresses, and the refusing verifiers."""


@pytest.mark.parametrize(("name", "dns_names", "addresses", "refused_by"), LEAVES.values(), ids=LEAVES)
def test_name_constraints_limit_a_thief_as_the_document_says(
    go: Go, tmp_path: Path, name: str, dns_names: list[str], addresses: list[str], refused_by: str
) -> None:
    """The root permits typha-client and calico-system.svc; a thief of its key signs the leaf."""
    key = ec.generate_private_key(ec.SECP256R1())
    permitted = x509.NameConstraints([x509.DNSName("typha-client"), x509.DNSName("calico-system.svc")], None)
    root = write(tmp_path / "root.pem", ca_certificate("Bound", key, "Bound", key, constraints=permitted))
    names = [*map(x509.DNSName, dns_names), *(x509.IPAddress(ip_address(each)) for each in addresses)]
    leaf = write(tmp_path / "leaf.pem", stolen(name, names, key))
    verdicts = {
        "OpenSSL": not verified(leaf, root),
        "Go": not go_refusals(go, leaf, root),
        "pyca": pyca_accepts(leaf, root),
    }
    assert ", ".join(party for party, accepts in verdicts.items() if not accepts) == refused_by


def stolen(name: str, names: list[x509.GeneralName], key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Returns a leaf that a thief signed with the key of the CA named Bound."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bound")]))
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(PURPOSES, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())
