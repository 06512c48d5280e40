"""The example folders of infra/cluster are what `signerctl cluster manifests` writes."""

import shutil
from pathlib import Path

import pytest
import yaml

from csr_signer.request.pkcs10 import LARGEST_REQUEST
from development import manifests
from signerctl.guards import csr_bounds, csr_policies, event_bounds
from tests.paths import DOCS
from tests.unit.signerctl.outputs import function_user
from tests.unit.signerctl.stage import signerctl

DOCUMENT = DOCS / "guards.md"


def test_the_examples_are_what_the_code_says() -> None:
    """The committed folders are the rendered ones."""
    assert manifests.main(["--check"]) == 0


@pytest.mark.parametrize("cluster", manifests.CLUSTERS)
def test_the_command_writes_the_same(tmp_path: Path, cluster: str) -> None:
    """An operator gets the files that are checked in, and no others."""
    exporter, tool = manifests.OPTIONS.image, str(manifests.OPTIONS.renewal_image)
    key_pairs = ("--key-pairs-image", tool) if cluster in manifests.WITH_KEY_PAIRS else ()
    images = ("--image", exporter, "--renewal-image", tool, *key_pairs)
    options = ("--terraform-output", manifests.TERRAFORM_OUTPUT, *images, "--function-user", function_user(cluster))
    result = signerctl("cluster", "manifests", *options, "--cluster", cluster, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    folders = (tmp_path, manifests.EXAMPLES / cluster)
    written, committed = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert written == committed


def test_a_stale_example_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed word fails the check, which names the command that mends it."""
    shutil.copytree(manifests.EXAMPLES, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(manifests, "EXAMPLES", tmp_path)
    assert manifests.main(["--check"]) == 0
    stale = tmp_path / "demo" / "guards.yaml"
    stale.write_text(stale.read_text(encoding="utf-8").replace("failurePolicy: Fail", "failurePolicy: Ignore", 1))
    assert manifests.main(["--check"]) == 1
    assert "development.manifests" in capsys.readouterr().out
    assert manifests.main([]) == 0
    assert manifests.main(["--check"]) == 0


def test_the_document_tells_of_every_policy_and_its_bounds() -> None:
    """Each policy has its row, and the numbers are the code's."""
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    guards = (manifests.EXAMPLES / "demo" / "guards.yaml").read_text(encoding="utf-8")
    for document in yaml.safe_load_all(guards):
        assert f"| `{document['metadata']['name']}` |" in text
    for number in (csr_bounds.LONGEST_ANNOTATION, csr_policies.LONGEST_MESSAGE):
        assert f"more than {number:,} characters" in text
    assert f"a message of at most {event_bounds.LONGEST_MESSAGE:,} characters" in text
    for size in (LARGEST_REQUEST, csr_policies.LARGEST_CERTIFICATE):
        assert f"more than {size // 1024} KiB" in text
    assert f"more than {csr_bounds.MOST_LABELS} labels or {csr_bounds.MOST_LABELS} annotations" in text
