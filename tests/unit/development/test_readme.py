"""README says what is: its configuration loads, and the commands that it names are there."""

import os
import re
from pathlib import Path

import pytest

from csr_signer.configuration.schema import Document
from csr_signer.document import read
from development.lock import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_configuration_in_readme_is_a_configuration(tmp_path: Path) -> None:
    """The YAML block is read by the function's own reader, with every key known."""
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "configuration.yaml"
    path.write_text(block, encoding="utf-8")
    document = read(Document, path)
    assert document.signers[0].signer_name == "example.com/calico"


@pytest.mark.parametrize("command", sorted(set(re.findall(r"scripts/[a-z-]+", README))))
def test_every_command_in_readme_can_be_run(command: str) -> None:
    """A reader who types it finds it."""
    assert os.access(ROOT / command, os.X_OK)


def test_the_links_lead_somewhere() -> None:
    """Every file that README links to exists."""
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
