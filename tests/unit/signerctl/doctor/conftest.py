"""A loaded configuration, and servers with prepared answers, for one check at a time."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from signerctl.doctor import documents
from signerctl.doctor.examination import Examination, Options
from tests.unit.signerctl.answers import Answers, answering
from tests.unit.signerctl.stage import SIGNER_NAME, Stage

SOURCE = "//example.com/prod"
CALLER = "csr-exporter@p.iam.gserviceaccount.com"
FUNCTION_USER = "csr-access-prod@p.iam.gserviceaccount.com"
Examine = Callable[..., Examination]


@pytest.fixture
def api() -> Iterator[Answers]:
    """The API server; a test prepares its answers."""
    with answering() as answers:
        yield answers


@pytest.fixture
def service() -> Iterator[Answers]:
    """The function, with STS and IAM Credentials on the same address; a test prepares the answers."""
    with answering() as answers:
        yield answers


@pytest.fixture(scope="session")
def authority(shared_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CA certificate of the shared key."""
    return shared_stage.create(tmp_path_factory.mktemp("authority") / "ca.pem")


@pytest.fixture
def document(stage: Stage, authority: Path, tmp_path: Path) -> Path:
    """The function's configuration document, in a folder with the CA certificate."""
    shutil.copy(authority, tmp_path / "ca.pem")
    content = {
        "clusters": {
            "prod": {
                "source": SOURCE,
                "server": "https://gke-0123456789abcdef.europe-west1.gke.goog",
                "authentication": {"google_access_token": {"service_account": FUNCTION_USER}},
                "invokers": [CALLER],
            }
        },
        "signers": [
            {
                "cluster": "prod",
                "signer_name": SIGNER_NAME,
                "profile": {"name": "calico", "release": "3.31"},
                "issuer": {"key_version": stage.key(), "certificate": "ca.pem", "trust_bundle": "ca.pem"},
            }
        ],
        "kms": {"unsafe_plaintext_endpoint": stage.server.endpoint},
    }
    path = tmp_path / "configuration.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def exporter_document(service: Answers, tmp_path: Path) -> Path:
    """The exporter's document: its services are on this machine."""
    (tmp_path / "token").write_text(jwt(exp=4102444800, aud=["the-provider"], sub="system:serviceaccount:k:e"))
    content = {
        "source": SOURCE,
        "signers": [{"signer_name": SIGNER_NAME, "stages": ["pending"]}],
        "function": {"url": f"{service.url}/", "audience": "https://function.example"},
        "identity": {
            "kind": "workload_identity_federation",
            "token_file": str(tmp_path / "token"),
            "sts_audience": "the-provider",
            "service_account": CALLER,
            "unsafe_sts_url": service.url,
            "unsafe_iam_credentials_url": service.url,
        },
    }
    path = tmp_path / "exporter.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def examine(api: Answers, document: Path, tmp_path: Path) -> Examine:
    """Makes an examination whose configuration is loaded."""

    def make(**options: object) -> Examination:
        chosen: dict[str, Any] = {"configuration": document, "kubeconfig": api.kubeconfig(tmp_path), **options}
        found = Examination(options=Options(**chosen))
        loaded = documents.configuration(found)
        assert loaded.level == "ok", loaded.found
        return found

    return make


def jwt(**claims: object) -> str:
    """Returns a token whose claims can be read; no check verifies it."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"
