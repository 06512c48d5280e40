"""What the configuration document says of an issuer: its hash, and a CA that fits the profile."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from csr_signer.configuration.loader import load
from csr_signer.errors import ConfigurationError
from csr_signer.policy.profile import SHIPPED
from tests.unit.function.authorities import Ca, permitted, purposes
from tests.unit.function.builders import SIGNER_NAME
from tests.unit.function.configuration.test_configuration import document, issuer, signer, written

SERVER, CLIENT = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that documents name."""
    (tmp_path / "cluster-ca.pem").write_bytes(b"PEM")
    (tmp_path / "ca.pem").write_bytes(Ca().pem)
    return tmp_path


def made(path: Path) -> Any:
    """The signer of a document."""
    return load(path).signers["demo", SIGNER_NAME]


@pytest.mark.parametrize("signature_hash", ["SHA256", "SHA384", "SHA512"])
def test_a_raw_keys_hash_is_configured(folder: Path, signature_hash: str) -> None:
    """It is the issuer's, and part of the configuration digest: other certificates follow from it."""
    plain, hashed = made(written(folder)), made(written(folder, issuer(signature_hash=signature_hash)))
    assert (plain.issuer.signature_hash, hashed.issuer.signature_hash) == (None, signature_hash)
    assert plain.configuration_digest != hashed.configuration_digest


@pytest.mark.parametrize("signature_hash", ["SHA1", "sha256", "MD5", "", 256])
def test_other_hashes_are_refused(folder: Path, signature_hash: object) -> None:
    """By their key in the document."""
    with pytest.raises(ConfigurationError, match=r"signers\[0\]\.issuer\.signature_hash"):
        load(written(folder, issuer(signature_hash=signature_hash)))


def test_every_hash_has_its_digest(folder: Path) -> None:
    """Three hashes, three configurations."""
    digests = {
        made(written(folder, issuer(signature_hash=name))).configuration_digest
        for name in ("SHA256", "SHA384", "SHA512")
    }
    assert len(digests) == 3


def test_a_ca_may_certify_what_the_profile_certifies(folder: Path) -> None:
    """Calico's profile certifies servers and clients: what a CA for servers alone made, Go would refuse."""
    (folder / "ca.pem").write_bytes(Ca(extensions=purposes(SERVER)).pem)
    with pytest.raises(
        ConfigurationError,
        match=r'^signers\[0\]: issuer\.certificate: Invalid value: "CN=Issuing": its extended key usage must',
    ):
        load(written(folder))
    (folder / "ca.pem").write_bytes(Ca(extensions=purposes(SERVER, CLIENT)).pem)
    assert made(written(folder)).issuer.certificates


def test_a_profile_that_certifies_less_needs_less(folder: Path) -> None:
    """A user's profile of clients alone can stand under a CA for clients alone."""
    profile = yaml.safe_load((SHIPPED / "calico.yaml").read_text(encoding="utf-8"))
    for row in profile["components"]:
        row["extended_key_usage"] = ["clientAuth"]
    (folder / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    (folder / "ca.pem").write_bytes(Ca(extensions=purposes(CLIENT)).pem)
    assert made(written(folder, signer(profile={"name": "own.yaml", "release": "3.31"}))).issuer.certificates


def names_of(cluster_domain: str) -> list[str]:
    """What Calico's profile certifies in release 3.31."""
    return ["typha-client", "typha-server", "calico-api", "calico-system", "svc", cluster_domain]


def test_a_ca_with_name_constraints_permits_the_profiles_names(folder: Path) -> None:
    """All of them, with the cluster's own domain: what is missing is named at load, and not at the first pod."""
    names = names_of("cluster.example")
    constraints = permitted(*[x509.DNSName(name) for name in names])
    (folder / "ca.pem").write_bytes(Ca(extensions=constraints).pem)
    whole = document()
    whole["clusters"]["demo"]["cluster_domain"] = "cluster.example"
    path = folder / "whole.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    assert [row.name for row in made(path).profile.components] == ["calico-node", "calico-typha", "calico-apiserver"]
    with pytest.raises(
        ConfigurationError,
        match=r'^signers\[0\]: issuer\.certificate: Forbidden: name constraints do not permit .*\.local by "CN=',
    ):
        load(written(folder))


def test_a_ca_that_permits_no_optional_row_is_refused(folder: Path) -> None:
    """Otherwise a profile of optional rows alone would serve no requester, without a word."""
    profile = yaml.safe_load((SHIPPED / "calico.yaml").read_text(encoding="utf-8"))
    profile["components"] = [row for row in profile["components"] if row.get("optional")]
    (folder / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    (folder / "ca.pem").write_bytes(Ca(extensions=permitted(x509.DNSName("typha-client"))).pem)
    with pytest.raises(ConfigurationError, match=r"Forbidden: name constraints do not permit goldmane by "):
        load(written(folder, signer(profile={"name": "own.yaml", "release": "3.31"})))
