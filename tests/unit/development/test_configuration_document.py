"""docs/configuration.md: its tables are what the types say, and its example loads."""

import json
import re
from pathlib import Path

import pytest

from csr_exporter import configuration as exporter
from csr_signer.configuration.schema import Document
from csr_signer.document import read
from development import configuration, manifests

TEXT = configuration.DOCUMENT.read_text(encoding="utf-8")
KEYS = {
    program: set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    for program, table in re.findall(r"<!-- keys of the (\w+): .*?-->(.*?)<!-- end -->", TEXT, re.DOTALL)
}


def test_the_tables_are_what_the_types_say() -> None:
    """The committed document is the generated one."""
    assert configuration.main(["--check"]) == 0


def test_a_stale_table_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed default fails the check, which names the command that mends it."""
    copy = tmp_path / "configuration.md"
    copy.write_text(TEXT.replace("| `5m` |", "| `6m` |"))
    monkeypatch.setattr(configuration, "DOCUMENT", copy)
    assert configuration.main(["--check"]) == 1
    assert "development.configuration" in capsys.readouterr().out
    assert configuration.main([]) == 0
    assert configuration.main(["--check"]) == 0


def test_a_document_without_a_place_is_refused() -> None:
    """A document that lost its marks is not overwritten."""
    with pytest.raises(ValueError, match=r"configuration\.md needs two places"):
        configuration.refreshed("# Configuration\n")


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    """The function's own reader reads the YAML block, with every key known."""
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "configuration.yaml"
    path.write_text(block, encoding="utf-8")
    document = read(Document, path)
    assert document.signers[0].signer_name == "example.com/calico"


def test_every_key_of_a_rendered_document_has_a_row() -> None:
    """A reader of a cluster's folder finds each key of its configuration.json, and the parser accepts the document."""
    text = (manifests.EXAMPLES / "demo" / "configuration.json").read_text(encoding="utf-8")
    in_pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "POD_INDEX": "0"}
    assert exporter.parse(text, in_pod).replicas.count == 2
    assert set(_paths(json.loads(text), "")) <= KEYS["exporter"]


def _paths(value: object, above: str) -> list[str]:
    if isinstance(value, dict):
        return [
            path
            for name, item in value.items()
            for path in (f"{above}{name}", *_paths(item, f"{above}{name}."))
            if not path.endswith(".")
        ]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _paths(value[0], f"{above.rstrip('.')}[].")
    return []
