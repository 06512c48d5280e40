"""Help and docs/ca.md: what they tell to type exists."""

import re
import shlex

import click
import pytest

from signerctl.__main__ import ca, main
from tests.unit.signerctl.runbook import commands, sections, words
from tests.unit.signerctl.stage import signerctl

COMMANDS = sorted(ca.commands)
ACTIONS = ["bundle", "create", "cross-sign", "import", "request", "show", "verify"]


def typed(text: str) -> list[list[str]]:
    """Calls of signerctl in a text of shell commands, each as words without what follows a pipe or an arrow."""
    found = []
    for line in commands(text):
        every = words(line.replace("$", ""))
        for start, word in enumerate(every):
            if word == "signerctl":
                rest = every[start + 1 :]
                ends = [rest.index(mark) for mark in ("|", ">") if mark in rest]
                found.append(rest[: min(ends, default=len(rest))])
    return found


def check(arguments: list[str]) -> None:
    """Fails unless the command exists and takes these options; files need not exist."""
    group, name, *rest = arguments
    assert group == "ca"
    command = ca.commands[name]
    known = {option for each in command.params if isinstance(each, click.Option) for option in each.opts}
    required = {
        each.opts[0] for each in command.params if isinstance(each, click.Option) and each.required and not each.is_flag
    }
    given = {word for word in rest if word.startswith("--")}
    assert given <= known, f"{shlex.join(arguments)}: {given - known}"
    assert required <= given, f"{shlex.join(arguments)}: {required - given}"


def test_the_commands_are_those_of_the_document() -> None:
    """No command is missing, and none is undocumented."""
    assert COMMANDS == ACTIONS
    used = {call[1] for blocks in sections().values() for _, text in blocks for call in typed(text)}
    assert used == set(ACTIONS)


def test_what_the_document_tells_to_type_exists() -> None:
    """Every call of signerctl in docs/ca.md: command, options, and all that are required."""
    calls = [
        call for blocks in sections().values() for language, text in blocks if language == "sh" for call in typed(text)
    ]
    assert len(calls) > 15
    for call in calls:
        check(call)


@pytest.mark.parametrize("name", ACTIONS)
def test_help_teaches(name: str) -> None:
    """What it does, when it is needed, an example that exists, and what comes next."""
    result = signerctl("ca", name, "--help")
    assert result.exit_code == 0
    text = result.stdout
    assert "You need it" in " ".join(text.split())
    assert "Next:" in text
    example = re.search(r"Example:\n((?:    .*\n)+)", text)
    assert example
    calls = typed("\n".join(re.sub(r"\\\n", " ", example[1]).splitlines()).replace("|\n", "| "))
    assert calls
    for call in calls:
        check(call)
    described = [each for each in ca.commands[name].params if isinstance(each, click.Option) and not each.hidden]
    assert all(each.help and each.help.endswith(".") for each in described)


def test_the_overview_names_every_command() -> None:
    """`signerctl ca` without more says what there is, and which way leads where."""
    text = signerctl("ca", "--help").stdout
    assert all(name in text for name in ACTIONS)
    assert "docs/ca.md" in text
    assert main.commands["ca"] is ca


def test_what_is_no_command_is_a_usage_error() -> None:
    """As click says it."""
    result = signerctl("ca", "destroy")
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_the_version_is_told() -> None:
    """For reports."""
    assert signerctl("--version").stdout.startswith("signerctl, version ")
