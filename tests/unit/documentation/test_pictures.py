"""The pictures of README: small, without anything from another server, and the demo's shows a run without a fault."""

import re
from pathlib import Path
from xml.dom import minidom

import pytest

from tests.paths import DOCS, ROOT

MOST_BYTES = 60_000
PICTURES = sorted(DOCS.glob("*.svg"))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_loads_nothing(picture: Path) -> None:
    """A browser shows it without another request, and it is no program."""
    text = picture.read_text(encoding="utf-8")
    minidom.parseString(text)  # noqa: S318 - our own file
    assert len(text.encode()) < MOST_BYTES
    outside = re.findall(r"(?:url\(|href=|src=)[\"']?([^)\"'>]+)", text)
    assert [each for each in outside if not each.startswith("#")] == []
    assert "<script" not in text
    assert "@import" not in text


def test_the_demo_in_the_picture_went_well() -> None:
    """`scripts/python -m sandbox.demo.screenshot` draws only such a run, and nobody has edited it."""
    text = (DOCS / "demo.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert "60 of 60 (openssl verify)" in text
    assert re.search(r"(\d+) of \1", text)
    assert "NOT AS EXPECTED" not in text


def test_readme_shows_both() -> None:
    """Each picture has a text for readers who cannot see it."""
    shown = re.findall(r"!\[([^\]]+)\]\(docs/(\S+\.svg)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {name for _, name in shown} == {picture.name for picture in PICTURES}
    assert all(len(text) > 60 for text, _ in shown)
