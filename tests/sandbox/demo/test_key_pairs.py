"""The demo's look at key pairs: one that a component cannot use is found; a Secret that exists stays."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sandbox.api import NAMESPACES, Api
from sandbox.calico.key_pairs import key_pairs
from sandbox.demo.key_pairs import EMPTY, violation
from sandbox.kubernetes import KubernetesServer
from sandbox.pki import Authority
from tests.sandbox.demo.running import run

GOLDMANE, BACKEND = key_pairs("3.31")
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
AUTHORITY, OTHER = Authority.create("demo CA"), Authority.create("another CA")


def files(authority: Authority, *purposes: x509.ObjectIdentifier) -> dict[str, bytes]:
    """The files of a key pair for some purposes."""
    made = authority.issue("goldmane", dns_names=("goldmane",))
    leaf = x509.load_pem_x509_certificate(made.certificate_pem)
    builder = x509.CertificateBuilder(
        issuer_name=leaf.issuer,
        subject_name=leaf.subject,
        public_key=leaf.public_key(),
        serial_number=leaf.serial_number,
        not_valid_before=leaf.not_valid_before_utc,
        not_valid_after=leaf.not_valid_after_utc,
    )
    for each in leaf.extensions:
        value = x509.ExtendedKeyUsage(purposes) if isinstance(each.value, x509.ExtendedKeyUsage) else each.value
        builder = builder.add_extension(value, each.critical)
    certificate = builder.sign(authority.key, hashes.SHA256())
    return {"tls.crt": certificate.public_bytes(Encoding.PEM), "tls.key": made.key_pem}


def found(tmp_path: Path, mounted: dict[str, bytes], *, client: bool = False) -> str:
    """The violation of Goldmane's key pair, or of one that a client uses too."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(AUTHORITY.certificate_pem)
    return violation(BACKEND if client else GOLDMANE, mounted, authority, tmp_path)


def test_good_key_pair(tmp_path: Path) -> None:
    """A certificate of the CA for the component's uses, with its key."""
    assert found(tmp_path, files(AUTHORITY, SERVER)) == ""
    assert found(tmp_path, files(AUTHORITY, SERVER, CLIENT), client=True) == ""


@pytest.mark.parametrize(
    ("mounted", "client", "message"),
    [
        ({}, False, EMPTY),
        (files(OTHER, SERVER), False, "openssl does not verify it for servers"),
        (files(AUTHORITY, CLIENT), False, "openssl does not verify it for servers"),
        (files(AUTHORITY, SERVER), True, "openssl does not verify it for servers and clients"),
        (
            files(AUTHORITY, SERVER) | {"tls.key": files(AUTHORITY, SERVER)["tls.key"]},
            False,
            "its certificate is for another key",
        ),
    ],
    ids=["empty", "another CA", "not for servers", "not for clients", "another key"],
)
def test_bad_key_pair(tmp_path: Path, mounted: dict[str, bytes], *, client: bool, message: str) -> None:
    """One fault is enough."""
    assert found(tmp_path, mounted, client=client) == message


def test_a_secret_that_exists_stays(tmp_path: Path) -> None:
    """The demo neither replaces nor deletes it, names it, and says what to do."""
    path = f"{NAMESPACES}/calico-system/secrets/whisker-backend-key-pair"
    annotations = {"kms-csr-signer/key-pair-of": "calico-system/whisker"}
    with KubernetesServer(tmp_path / "cluster") as cluster, Api.from_kubeconfig(cluster.kubeconfig) as api:
        api.post(NAMESPACES, {"metadata": {"name": "calico-system"}})
        secret = {"metadata": {"name": "whisker-backend-key-pair", "annotations": annotations}, "data": {"tls.crt": ""}}
        before = api.post(path.rpartition("/")[0], secret)
        done = run("--pods", "2", "--kubeconfig", str(cluster.kubeconfig), temporary=tmp_path)
        assert api.get(path) == before
        assert [each["metadata"]["name"] for each in api.get("/api/v1/secrets")["items"]] == [
            "whisker-backend-key-pair"
        ]
    assert done.returncode == 2
    assert done.stderr == f"demo: the cluster has {path}, which the demo does not change: use --no-key-pairs\n"
