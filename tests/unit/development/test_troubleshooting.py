"""docs/troubleshooting.md: every breakdown has its section, and every link leads to one."""

import pytest
import yaml

from development import troubleshooting
from sandbox.breakdowns.injections import INJECTIONS
from sandbox.breakdowns.row import Line, Tool
from sandbox.breakdowns.table import BREAKDOWNS
from tests.paths import ROOT


def test_the_document_is_what_the_table_says() -> None:
    """The committed document is the generated one."""
    assert troubleshooting.main(["--check"]) == 0


def test_every_breakdown_can_be_injected_and_is_explained() -> None:
    """A row without an injection would not be tested; a row without doctor or explain would not help."""
    assert [row.name for row in BREAKDOWNS] == list(INJECTIONS)
    for row in BREAKDOWNS:
        assert {Tool.CSR, Tool.DOCTOR, Tool.EXPLAIN} <= {line.tool for line in row.says}, row.name


def test_every_alert_leads_to_its_causes() -> None:
    """An operator who comes from an alert finds it."""
    rules = yaml.safe_load((ROOT / "scripts/signerctl/cluster/templates/alerts.yaml").read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    text = troubleshooting.DOCUMENT.read_text(encoding="utf-8")
    assert {name for name in alerts if f"`{name}`" not in text} == set()


def test_a_document_without_a_place_is_refused() -> None:
    """A document that lost its marks is not overwritten."""
    with pytest.raises(ValueError, match=r"troubleshooting\.md has no lines"):
        troubleshooting.refreshed("# Troubleshooting\n")


@pytest.mark.parametrize(
    ("text", "output", "found"),
    [
        pytest.param("error kms-key ...: DISABLED", "error    kms-key   key 1: DISABLED\n", True, id="columns"),
        pytest.param("error kms-key ...: DISABLED", "error kms-key\nkey 1: DISABLED\n", False, id="two lines"),
        pytest.param("state (is) *", "the state (is) * now", True, id="no pattern"),
        pytest.param("turn operator", "turn time", False, id="another text"),
    ],
)
def test_a_line_is_found_in_one_line_of_the_output(text: str, output: str, *, found: bool) -> None:
    """Three dots stand for any text of the line, and the width of columns does not matter."""
    assert Line(tool=Tool.DOCTOR, text=text).is_in(output) is found
