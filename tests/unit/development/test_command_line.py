"""docs/command-line.md: every command and option, as the code has them."""

import re
from pathlib import Path

import pytest

from development import command_line
from signerctl.command_line import main as signerctl
from tests.unit.documentation.pages import anchors, links


def test_the_page_is_what_the_code_says() -> None:
    """The committed page is the generated one."""
    assert command_line.main(["--check"]) == 0


def test_a_stale_page_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that is missing fails the check, which names the command that mends it."""
    copy = tmp_path / "command-line.md"
    copy.write_text(command_line.DOCUMENT.read_text(encoding="utf-8").replace("`--out FILE`", "`--output FILE`"))
    monkeypatch.setattr(command_line, "DOCUMENT", copy)
    assert command_line.main(["--check"]) == 1
    assert "development.command_line" in capsys.readouterr().out
    assert command_line.main([]) == 0
    assert command_line.main(["--check"]) == 0


def test_each_command_has_a_section_and_a_link_to_it() -> None:
    """The list at the top leads to every command, also to those in groups."""
    text = command_line.page()
    assert "## signerctl ca create\n" in text
    assert all(f"`signerctl {name}" in text for name, command in signerctl.commands.items() if not command.hidden)
    assert {link.removeprefix("#") for link in links(command_line.DOCUMENT) if link.startswith("#")} == {
        re.sub(" ", "-", heading) for heading in re.findall(r"^## (.*)$", text, re.MULTILINE)
    }
    assert anchors(command_line.DOCUMENT)
