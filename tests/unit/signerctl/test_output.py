"""Lists have kubectl's forms: a table with headings, a wide table, JSON and YAML."""

import io
import json
import sys
import threading

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from signerctl.interface.output import Column, Form, output_options, print_list, report_options
from signerctl.interface.program import Command
from signerctl.interface.progress import while_waiting
from tests.patience import PATIENCE

COLUMNS = (Column(title="name"), Column(title="node", wide=True), Column(title="state"))
ROWS = (("typha-1", "worker-1", "ok"), ("typha-2", "worker-2", "error"))
ITEMS = ({"name": "typha-1", "ready": True}, {"name": "typha-2", "ready": False})


@click.command(cls=Command)
@click.option("--empty", is_flag=True)
@output_options
def listing(*, empty: bool, form: Form) -> None:
    """Print a list."""
    print_list(COLUMNS, () if empty else ROWS, () if empty else ITEMS, form=form, none="no pods")


def run(*arguments: str) -> Result:
    """Runs the command."""
    return CliRunner().invoke(listing, arguments)


@pytest.mark.parametrize(
    ("arguments", "headings"), [((), ["NAME", "STATE"]), (("-o", "wide"), ["NAME", "NODE", "STATE"])]
)
def test_a_table_has_a_heading_and_a_line_for_each_row(arguments: tuple[str, ...], headings: list[str]) -> None:
    """Only `-o wide` has the wide columns."""
    lines = run(*arguments).stdout.splitlines()
    assert lines[0].split() == headings
    assert [line.split()[0] for line in lines[1:]] == ["typha-1", "typha-2"]


@pytest.mark.parametrize("arguments", [("-o", "json"), ("--output", "json"), ("--json",)])
def test_json_holds_the_items(arguments: tuple[str, ...]) -> None:
    """All spellings of the option print the same document."""
    assert json.loads(run(*arguments).stdout) == {"items": list(ITEMS)}


def test_yaml_holds_the_items() -> None:
    """YAML is the same document."""
    assert yaml.safe_load(run("-o", "yaml").stdout) == {"items": list(ITEMS)}


def test_an_empty_list_is_an_empty_table_and_an_empty_document() -> None:
    """A program reads a document also if there is nothing to list."""
    empty = run("--empty")
    assert (empty.stdout, empty.stderr) == ("", "no pods\n")
    assert json.loads(run("--empty", "--json").stdout) == {"items": []}


def test_an_unknown_form_is_refused_with_the_allowed_ones() -> None:
    """The error lists what the option takes."""
    refused = run("-o", "xml")
    assert refused.exit_code == 2
    assert all(form.value in refused.stderr for form in Form)


def test_a_report_has_no_wide_form() -> None:
    """A form that changed nothing would promise more columns."""

    @click.command(cls=Command)
    @report_options
    def report(*, form: Form) -> None:
        click.echo(form.name)

    assert [CliRunner().invoke(report, ("-o", each)).stdout for each in ("table", "json", "yaml")] == [
        *("TABLE\n", "JSON\n", "YAML\n")
    ]
    assert CliRunner().invoke(report).stdout == "TABLE\n"
    refused = CliRunner().invoke(report, ("-o", "wide"))
    assert refused.exit_code == 2
    assert "wide" not in refused.stderr.partition("is not one of")[2]


def test_text_cannot_control_the_terminal() -> None:
    """Names come from requesters."""

    @click.command(cls=Command)
    @output_options
    def hostile(*, form: Form) -> None:
        print_list([Column(title="name")], [("a\x1b[2Jb",)], [{"name": "a\x1b[2Jb"}], form=form)

    for form in Form:
        assert "\x1b" not in CliRunner().invoke(hostile, ("-o", form.value)).stdout


class _Said(io.StringIO):
    """Standard error that tells when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken = threading.Event()

    def write(self, text: str) -> int:
        """Writes."""
        written = super().write(text)
        self.spoken.set()
        return written


def test_a_long_wait_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is silent for seconds looks dead."""
    said = _Said()
    monkeypatch.setattr(sys, "stderr", said)
    with while_waiting("Cloud KMS", after=0):
        assert said.spoken.wait(PATIENCE)
    assert said.getvalue() == "waiting for Cloud KMS\n"
