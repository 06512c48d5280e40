"""The example manifests' guards are what `signerctl guards` makes of the documents beside them."""

import shutil
from pathlib import Path

import pytest
import yaml

from csr_signer.request.pkcs10 import LARGEST_REQUEST
from development import guards
from signerctl import csr_bounds, csr_policies
from tests.paths import DOCS
from tests.unit.signerctl.stage import signerctl

DOCUMENT = DOCS / "guards.md"


def test_the_examples_are_what_the_code_says() -> None:
    """The committed manifests are the generated ones."""
    assert guards.main(["--check"]) == 0


@pytest.mark.parametrize("folder", guards.EXAMPLES, ids=lambda folder: folder.name)
def test_the_command_prints_the_same(folder: Path) -> None:
    """What an operator gets is what is checked in."""
    cluster, function = guards.EXAMPLES[folder]
    options = ("--configuration", folder / "function.yaml", "--cluster", cluster, "--function-user", function)
    assert signerctl("guards", *options).stdout == (folder / "guards.yaml").read_text(encoding="utf-8")


def test_a_stale_example_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed word in any of them fails the check, names the command, and is mended by it."""
    copies = {tmp_path / folder.name: example for folder, example in guards.EXAMPLES.items()}
    for folder in guards.EXAMPLES:
        shutil.copytree(folder, tmp_path / folder.name)
    monkeypatch.setattr(guards, "EXAMPLES", copies)
    assert guards.main(["--check"]) == 0
    stale = next(iter(copies)) / "guards.yaml"
    stale.write_text(stale.read_text(encoding="utf-8").replace("failurePolicy: Fail", "failurePolicy: Ignore", 1))
    assert guards.main(["--check"]) == 1
    assert "development.guards" in capsys.readouterr().out
    assert guards.main([]) == 0
    assert guards.main(["--check"]) == 0


def test_the_document_tells_of_every_policy_and_its_bounds() -> None:
    """Each policy has its row, and the numbers are the code's."""
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    for document in yaml.safe_load_all(guards.example(guards.CLUSTER / "guards")):
        assert f"| `{document['metadata']['name']}` |" in text
    for number in (csr_bounds.LONGEST_ANNOTATION, csr_policies.LONGEST_MESSAGE):
        assert f"more than {number:,} characters" in text
    for size in (LARGEST_REQUEST, csr_policies.LARGEST_CERTIFICATE):
        assert f"more than {size // 1024} KiB" in text
    assert f"more than {csr_bounds.MOST_LABELS} labels or {csr_bounds.MOST_LABELS} annotations" in text
