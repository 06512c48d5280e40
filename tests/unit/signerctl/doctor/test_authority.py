"""doctor checks the key, the issuer and the trust bundle as the function and `ca verify` do."""

from datetime import timedelta
from pathlib import Path

import click
import pytest
import yaml
from google.cloud.kms_v1 import CryptoKeyVersion
from google.protobuf.field_mask_pb2 import FieldMask

from csr_signer.kms import key as kms_key
from sandbox.kms import Corruption, Fault
from signerctl.doctor import authority, documents
from signerctl.doctor.examination import Examination, Options
from tests.unit.signerctl.doctor.conftest import Examine
from tests.unit.signerctl.stage import Stage


def test_a_usable_key_is_ok(examine: Examine) -> None:
    """It is enabled, protected as required, and the issuer's own."""
    outcome = authority.key(examine())
    assert outcome.level == "ok"
    assert "holds its public key" in outcome.found


def test_a_changed_answer_of_kms_is_an_error(examine: Examine, stage: Stage) -> None:
    """Something changes answers between this machine and the key: that is no outage."""
    stage.server.faults.add(Fault(method="GetPublicKey", times=0, corruption=Corruption.PEM_CRC32C))
    outcome = authority.key(examine())
    assert outcome.level == "error"
    assert "wrong answer from KMS" in outcome.found
    assert "incident" in outcome.remedy


def test_without_credentials_the_key_is_unknown(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to log in."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent")
    content = yaml.safe_load(document.read_text())
    del content["kms"]
    document.write_text(yaml.safe_dump(content))
    found = Examination(options=Options(configuration=document))
    assert documents.configuration(found).level == "ok"
    outcome = authority.key(found)
    assert outcome.level == "unknown"
    assert "you may not read the key: Cloud KMS: no credentials: " in outcome.found
    assert "log in with `gcloud auth application-default login`" in outcome.remedy


FAULTS = {
    "no right of the operator": ("PERMISSION_DENIED", "unknown"),
    "KMS out of reach": ("UNAVAILABLE", "unknown"),
    "no such key version": ("NOT_FOUND", "error"),
}


@pytest.mark.parametrize(("status", "level"), FAULTS.values(), ids=FAULTS)
def test_a_key_that_the_operator_may_not_read_is_no_error(
    examine: Examine, stage: Stage, monkeypatch: pytest.MonkeyPatch, *, status: str, level: str
) -> None:
    """The operator's rights and network are not the function's."""
    monkeypatch.setattr(kms_key, "OVERALL_SECONDS", 0.5)
    stage.server.faults.add(Fault(method="GetPublicKey", status=status, times=0))
    outcome = authority.key(examine())
    assert outcome.level == level
    assert outcome.blocks
    assert outcome.remedy


def test_a_disabled_key_is_an_error(stage: Stage, document: Path) -> None:
    """The message says how to enable it."""
    version = stage.key(number=77)
    stage.create(document.parent / "ca.pem", "--force", key=version)
    found = examined(document, version)
    state = CryptoKeyVersion(name=version, state=CryptoKeyVersion.CryptoKeyVersionState.DISABLED)
    stage.client.update_crypto_key_version(crypto_key_version=state, update_mask=FieldMask(paths=["state"]))
    outcome = authority.key(found)
    assert outcome.level == "error"
    assert "gcloud kms keys versions enable" in outcome.found


def examined(document: Path, key_version: str) -> Examination:
    """Returns an examination of the document with another key version."""
    content = yaml.safe_load(document.read_text())
    content["signers"][0]["issuer"]["key_version"] = key_version
    document.write_text(yaml.safe_dump(content))
    found = Examination(options=Options(configuration=document))
    assert documents.configuration(found).level == "ok"
    return found


def test_another_key_is_an_error(stage: Stage, document: Path) -> None:
    """The issuer's certificate must hold the public key of the configured version."""
    found = examined(document, stage.key(number=2))
    outcome = authority.key(found)
    assert outcome.level == "error"
    assert "public key" in outcome.found


EXPIRIES = {"today": (0, "ok"), "within months": (3250, "warning"), "after its end": (4000, "error")}


@pytest.mark.parametrize(("days", "level"), EXPIRIES.values(), ids=EXPIRIES)
def test_a_ca_that_ends_is_told_in_time(examine: Examine, *, days: int, level: str) -> None:
    """A leaf never outlives its CA, so the CA must be rotated a leaf's lifetime before its end."""
    found = examine()
    found.now += timedelta(days=days)
    outcome = authority.issuer(found)
    assert outcome.level == level, outcome.found


def test_the_configured_trust_bundle_is_ok(examine: Examine) -> None:
    """It names the chain to the anchor."""
    outcome = authority.trust_bundle(examine())
    assert outcome.level == "ok"
    assert "trust anchor" in outcome.found


def test_a_document_that_the_function_cannot_load_is_an_error(document: Path) -> None:
    """The message is the function's own."""
    document.write_text(document.read_text().replace("example.com/calico", "kubernetes.io/calico"))
    found = Examination(options=Options(configuration=document))
    outcome = documents.configuration(found)
    assert outcome.level == "error"
    assert "signer_name" in outcome.found


def test_a_cluster_must_be_chosen_among_several(document: Path) -> None:
    """The only cluster is the default; a name that the document lacks is an error."""
    with pytest.raises(click.UsageError) as wrong:
        documents.configuration(Examination(options=Options(configuration=document, cluster="other")))
    assert wrong.value.message == '--cluster: Unsupported value: "other": supported values: "prod"'
