"""Every command and option in the help exists, and docs/ca.md and docs/rotation.md use every command of `ca`."""

import re
import shlex

import click
import pytest

from signerctl.command_line import ca, main
from tests.paths import DOCS
from tests.unit.signerctl.runbook import commands, sections, words
from tests.unit.signerctl.stage import signerctl

COMMANDS = sorted(ca.commands)
ACTIONS = ["bundle", "create", "cross-sign", "import", "request", "show", "verify"]


def typed(text: str) -> list[list[str]]:
    """Returns the calls of signerctl in shell commands as words, without pipes and redirections."""
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
    """Asserts that the command exists, has these options, and gets all that are required."""
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


def test_the_document_uses_every_command() -> None:
    """No command is missing, and none is undocumented."""
    assert COMMANDS == ACTIONS
    used = {call[1] for blocks in sections().values() for _, text in blocks for call in typed(text)}
    assert used == set(ACTIONS)


@pytest.mark.parametrize("name", ACTIONS)
def test_help_explains_every_command(name: str) -> None:
    """It says when the command is needed, and has a valid example and the next step."""
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
    """`signerctl ca --help` names the commands and points to docs/rotation.md."""
    text = signerctl("ca", "--help").stdout
    assert all(name in text for name in ACTIONS)
    assert "docs/rotation.md" in text
    assert main.commands["ca"] is ca


def test_an_unknown_command_is_a_usage_error() -> None:
    """The exit status is 2, and the message has the program's own name."""
    result = signerctl("ca", "destroy")
    assert result.exit_code == 2
    assert "No such command" in result.stderr
    assert result.stderr.startswith("Usage: signerctl ca [OPTIONS] COMMAND [ARGS]...\n")


def paths(group: click.Group = main, *above: str) -> list[tuple[str, ...]]:
    """Returns the words of every command and group."""
    found: list[tuple[str, ...]] = [above]
    for name, command in group.commands.items():
        found += paths(command, *above, name) if isinstance(command, click.Group) else [(*above, name)]
    return found


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_command_has_the_short_option_for_help(path: tuple[str, ...]) -> None:
    """-h prints the same as --help, and the usage line begins with the program's name."""
    result = signerctl(*path, "-h")
    assert result.exit_code == 0
    assert result.stdout == signerctl(*path, "--help").stdout
    assert result.stdout.startswith(f"Usage: {' '.join(('signerctl', *path))} [OPTIONS]")


def test_the_exit_codes_are_documented() -> None:
    """`signerctl --help` and docs/signerctl.md say the same."""
    shown = signerctl("--help").stdout.partition("Exit codes:\n")[2]
    listed = dict(re.findall(r"^ +(\d+)  (.*)$", shown, re.MULTILINE))
    document = (DOCS / "signerctl.md").read_text(encoding="utf-8")
    assert listed == dict(re.findall(r"^\| (\d+) \| (.*) \|$", document, re.MULTILINE))
    assert set(listed) == {"0", "1", "2", "3", "130"}


def test_the_document_names_every_command() -> None:
    """docs/signerctl.md leads to the page of each."""
    document = (DOCS / "signerctl.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `signerctl ([a-z -]+)` \|", document, re.MULTILINE))
    groups = {" ".join(path) for path in paths() if path and path[0] != "ca" and path != ("cluster",)}
    assert named == {"ca", *groups}


def test_version_is_printed() -> None:
    """Operators name it in reports."""
    assert signerctl("--version").stdout.startswith("signerctl, version ")
