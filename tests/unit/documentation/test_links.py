"""Every relative link in the project's pages leads to a file, and to a heading if it names one."""

from pathlib import Path

import pytest

from tests.paths import DOCS, ROOT
from tests.unit.documentation.pages import anchors, links, pages

LONGEST = 250
LONG = {"command-line.md", "recovery.md"}
"""Pages that may be longer: a section for each command or loss, and nobody reads them from top to bottom."""


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A reader who follows a link arrives where its text says."""
    for link in links(page):
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_the_index_names_every_page() -> None:
    """docs/README.md leads to each page, once."""
    listed = [link for link in links(DOCS / "README.md") if "/" not in link]
    present = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert present <= set(listed)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_pages_are_short(page: Path) -> None:
    """A page of more lines answers several questions, and becomes several pages; tables may be long."""
    prose = [line for line in page.read_text(encoding="utf-8").splitlines() if not line.startswith("|")]
    assert page.name in LONG or len(prose) <= LONGEST
