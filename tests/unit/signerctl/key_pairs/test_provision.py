"""One key pair from the token to the Secret: what goes wrong leaves nothing half written, and says what to do."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.api import CSRS
from signerctl.api_server import connect
from signerctl.interface.program import CommandError
from signerctl.key_pairs.need import ANNOTATION, Need
from signerctl.key_pairs.provision import Provider
from tests.unit.signerctl.answers import Answers, answering
from tests.unit.signerctl.key_pairs.test_need import CA, GOLDMANE, KEY, NAME, pod, secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

CSR = f"{CSRS}/goldmane-key-pair%3Agoldmane-1"
TOKEN = "/api/v1/namespaces/calico-system/serviceaccounts/goldmane/token"
SECRETS = "/api/v1/namespaces/tigera-operator/secrets"
UID = "00000000-0000-4000-8000-000000000001"


def signed(csr: Json, *, key: ec.EllipticCurvePublicKey | None = None, names: tuple[str, ...] = ()) -> bytes:
    """The certificate that the signer issues for a CSR, or one for another key or other names."""
    request = x509.load_pem_x509_csr(base64.b64decode(csr["spec"]["request"]))
    now = datetime.now(UTC)
    common_name = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    alternative = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    wanted = x509.SubjectAlternativeName([x509.DNSName(name) for name in names]) if names else alternative
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(common_name))
        .issuer_name(NAME)
        .public_key(key or request.public_key())
        .serial_number(2)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365))
        .add_extension(wanted, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


class World:
    """The API server: issues what is filed, and remembers what is written.

    Attributes:
        status: The status of the filed CSR; None: the signer issues it.
        written: The Secrets that were created or replaced, with the method.
        deleted: How often a CSR was deleted.
    """

    def __init__(self, answers: Answers, folder: Path) -> None:
        self.answers = answers
        self.status: Json | None = None
        self.uid = UID
        self.written: list[tuple[str, Json]] = []
        self.deleted = 0
        self.now = 0.0
        self._filed: Json = {}
        self._api = connect(answers.kubeconfig(folder))
        answers.prepared |= {
            f"POST {TOKEN}": (201, {"status": {"token": "token-of-the-pod"}}),
            f"DELETE {CSR}": lambda _: self._delete(),
            f"POST {CSRS}": self._file,
            f"GET {CSR}": lambda _: (200, self._filed),
            f"POST {SECRETS}": lambda body: self._write("POST", body),
            f"PUT {SECRETS}/goldmane-key-pair": lambda body: self._write("PUT", body),
        }

    def provide(self, *, present: Json | None = None) -> x509.Certificate:
        """Provides Goldmane's key pair."""
        need = Need(key_pair=GOLDMANE, state="missing", why="", pod=pod(), secret=present)
        provider = Provider(
            api=self._api,
            anchors=[CA],
            timeout=timedelta(seconds=90),
            clock=lambda: self.now,
            sleep=self._sleep,
        )
        issued = provider.issue(need)
        provider.write(issued)
        return issued.leaf

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _delete(self) -> tuple[int, object]:
        self.deleted += 1
        return 200, {"kind": "Status"}

    def _file(self, body: Json) -> tuple[int, object]:
        issued = {"certificate": base64.b64encode(signed(body)).decode()}
        metadata = {**body["metadata"], "uid": UID, "creationTimestamp": "2026-11-01T00:00:00Z"}
        status = issued if self.status is None else self.status
        self._filed = {**body, "metadata": {**metadata, "uid": self.uid}, "status": status}
        return 201, {**body, "metadata": metadata}

    def _write(self, method: str, body: Json) -> tuple[int, object]:
        self.written.append((method, body))
        return 200, body


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An API server whose signer issues everything."""
    with answering() as answers:
        yield World(answers, tmp_path)


def failed(world: World, **changes: Any) -> str:
    """The error of a run that writes no Secret."""
    with pytest.raises(CommandError) as error:
        world.provide(**changes)
    assert not world.written
    return error.value.message


def test_a_key_pair_goes_from_the_pods_token_to_the_secret(world: World) -> None:
    """Only the pod's token files the CSR; the Secret has the key of the certificate, and says whose it is."""
    leaf = world.provide()
    asked = {method + " " + path: headers for method, path, headers, _ in world.answers.received}
    assert asked[f"POST {TOKEN}"]["authorization"] == "Bearer operator"
    assert (
        asked[f"POST {CSRS}"]["authorization"] == asked[f"DELETE {CSR}"]["authorization"] == "Bearer token-of-the-pod"
    )
    (body,) = (json.loads(body) for _, path, _, body in world.answers.received if path == TOKEN)
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "goldmane-1", "uid": "uid-of-goldmane-1"}
    assert body["spec"]["boundObjectRef"] == reference
    ((method, written),) = world.written
    assert (method, written["type"]) == ("POST", "kubernetes.io/tls")
    assert written["metadata"]["annotations"] == {ANNOTATION: "calico-system/goldmane"}
    pem = base64.b64decode(written["data"]["tls.crt"])
    assert x509.load_pem_x509_certificate(pem) == leaf
    assert base64.b64decode(written["data"]["tls.key"]).startswith(b"-----BEGIN PRIVATE KEY-----")


def test_a_secret_is_replaced_only_as_it_was_read(world: World) -> None:
    """With its resourceVersion and its type, which the API server lets nobody change."""
    present = secret(b"old")
    present["metadata"]["resourceVersion"] = "7"
    present["type"] = "Opaque"
    world.provide(present=present)
    ((method, written),) = world.written
    assert (method, written["type"], written["metadata"]["resourceVersion"]) == ("PUT", "Opaque", "7")


def test_an_earlier_csr_of_the_pod_is_deleted_first(world: World) -> None:
    """A run that was interrupted after it left one, whose key is gone."""
    world.provide()
    assert world.deleted == 1


REFUSED = {"conditions": [{"type": "Denied", "status": "True", "reason": "NameNotAllowed", "message": "the name"}]}
OTHERS = (ec.generate_private_key(ec.SECP256R1()).public_key(), ("goldmane",))


def test_a_refusal_is_told(world: World) -> None:
    """With the signer's words."""
    world.status = REFUSED
    why = failed(world)
    assert 'the signer refused CSR "goldmane-key-pair:goldmane-1": Denied, NameNotAllowed: the name' in why


def test_a_certificate_that_does_not_come_is_told(world: World) -> None:
    """With the command that says why."""
    world.status = {}
    why = failed(world)
    assert 'no certificate for CSR "goldmane-key-pair:goldmane-1" within 90 s' in why
    assert "signerctl explain csr/goldmane-key-pair:goldmane-1" in why


def test_another_csr_under_the_name_is_not_used(world: World) -> None:
    """Another program deleted ours, and filed one of its own."""
    world.uid = "another"
    assert "another program deleted CSR" in failed(world)


WRONG = {
    "another key": ({"key": OTHERS[0]}, "it is for another key"),
    "other names": ({"names": OTHERS[1]}, "DNS names: Invalid value"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG)
def test_another_certificate_is_not_used(world: World, *, changes: dict[str, Any], words: str) -> None:
    """Whoever may sign could write one."""
    world.answers.prepared[f"POST {CSRS}"] = lambda body: _with_another(world, body, changes)
    assert words in failed(world)


def _with_another(world: World, body: Json, changes: dict[str, Any]) -> tuple[int, object]:
    world.status = {"certificate": base64.b64encode(signed(body, **changes)).decode()}
    return world._file(body)  # noqa: SLF001 - the double's own


def test_a_component_that_may_not_file_names_the_role(world: World) -> None:
    """The operator's role for requesters does not name Goldmane."""
    world.answers.prepared[f"POST {CSRS}"] = 403, {"reason": "Forbidden", "message": "cannot create"}
    why = failed(world)
    assert "service account calico-system/goldmane may not file its CSR: " in why
    assert "kms-csr-signer:key-pairs in key-pairs.yaml" in why


def test_a_secret_that_changed_meanwhile_stays(world: World) -> None:
    """The next run reads it again."""
    world.answers.prepared[f"POST {SECRETS}"] = 409, {"reason": "AlreadyExists", "message": "exists"}
    with pytest.raises(CommandError, match="Secret tigera-operator/goldmane-key-pair: another program changed it"):
        world.provide()
