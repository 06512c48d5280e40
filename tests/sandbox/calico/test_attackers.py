"""The attacks: each is let through by the API server, and is wrong in the one way that it says."""

import base64
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from sandbox.api import CSRS, Api, csr_path
from sandbox.calico import attackers
from sandbox.calico.attackers import Attacker
from sandbox.calico.components import components
from sandbox.calico.fleet import NODE_NETWORKS, POD_NETWORKS
from sandbox.calico.stories import STORIES
from sandbox.calico.world import World
from tests.sandbox.calico.helpers import RELEASE, SIGNER


@pytest.fixture
def prepared(world: World) -> dict[str, Attacker]:
    """All attackers by the name of their story."""
    return {attacker.story.name: attacker for attacker in attackers.prepare(world, SIGNER, release=RELEASE)}


def _request(attacker: Attacker) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(base64.b64decode(attacker.csr["spec"]["request"]))


def test_api_server_accepts_every_attack(world: World, api: Api, prepared: dict[str, Attacker]) -> None:
    """Every attack becomes a CSR, but that with a dead pod's token where the API server has no cache of tokens."""
    for name, attacker in prepared.items():
        filed = attackers.file(world, attacker)
        if name == "another pod's uid" and filed.rejection:
            assert "401" in filed.rejection
            continue
        csr = api.get(csr_path(attacker.csr["metadata"]["name"]))
        assert csr["metadata"]["uid"] == filed.uid
        assert csr["spec"]["signerName"] == SIGNER


def test_names_are_unique_and_texts_are_one_line() -> None:
    """Stories can be told apart, and each fits a line of a table."""
    assert len({story.name for story in STORIES}) == len(STORIES)
    for story in STORIES:
        assert "\n" not in story.description + story.wrong
        assert story.expected_codes


def test_stolen_name(prepared: dict[str, Attacker]) -> None:
    """The CSR has the name of another pod of the same component."""
    attacker = prepared["stolen name"]
    name = attacker.csr["metadata"]["name"]
    assert name.startswith("node-certs:calico-node-")
    assert not name.endswith(attacker.pod.name)


def test_foreign_address(prepared: dict[str, Attacker]) -> None:
    """The address asked for is none that a pod or node of the cluster can have, everything else is right."""
    attacker = prepared["foreign address"]
    names = _request(attacker).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert len(addresses) == 1
    assert not [network for network in (*NODE_NETWORKS, *POD_NETWORKS) if ip_address(addresses[0]) in network]


@pytest.mark.parametrize(
    ("story", "account"),
    [
        ("wrong service account", ("calico-system", "calico-kube-controllers")),
        ("wrong namespace", ("tenant-a", "calico-node")),
    ],
)
def test_wrong_account(prepared: dict[str, Attacker], story: str, account: tuple[str, str]) -> None:
    """Another account asks for exactly what a calico-node pod asks for."""
    attacker = prepared[story]
    row = components(RELEASE)[0]
    names = _request(attacker).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert (attacker.pod.namespace, attacker.pod.service_account) == account
    assert tuple(names.get_values_for_type(x509.DNSName)) == row.dns_names


def test_unbound_token(world: World, api: Api, prepared: dict[str, Attacker]) -> None:
    """The API server records no pod for the token that is bound to none."""
    attacker = prepared["unbound token"]
    attackers.file(world, attacker)
    extra = api.get(csr_path(attacker.csr["metadata"]["name"]))["spec"].get("extra", {})
    assert "authentication.kubernetes.io/pod-uid" not in extra


def test_keys(prepared: dict[str, Attacker]) -> None:
    """The weak key is weak and the other key is of another kind."""
    weak = _request(prepared["weak key"]).public_key()
    assert isinstance(weak, rsa.RSAPublicKey)
    assert weak.key_size == 1024
    assert isinstance(_request(prepared["other kind of key"]).public_key(), ed25519.Ed25519PublicKey)


def test_sha1(prepared: dict[str, Attacker]) -> None:
    """The signature is made with SHA-1."""
    assert _request(prepared["SHA-1 signature"]).signature_algorithm_oid.dotted_string == "1.2.840.113549.1.1.5"


def test_authority(prepared: dict[str, Attacker]) -> None:
    """CA:TRUE is asked for in the open, or in a list that the parser here does not see."""
    constraints = _request(prepared["CA:TRUE"]).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca
    with pytest.raises(x509.ExtensionNotFound):
        _request(prepared["hidden extension"]).extensions.get_extension_for_class(x509.BasicConstraints)


def test_usages(prepared: dict[str, Attacker]) -> None:
    """The right to sign certificates is asked for twice."""
    attacker = prepared["certificate signing"]
    assert "cert sign" in attacker.csr["spec"]["usages"]
    assert _request(attacker).extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_preparing_files_nothing(api: Api, prepared: dict[str, Attacker]) -> None:
    """Attacks are filed when they are told to be."""
    names = {item["metadata"]["name"] for item in api.get(CSRS)["items"]}
    assert not names & {attacker.csr["metadata"]["name"] for attacker in prepared.values()}
