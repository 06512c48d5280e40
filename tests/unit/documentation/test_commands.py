"""Every command line of ours in the pages can be typed: the command exists, and so does each option."""

import importlib.util
import os
import re
from pathlib import Path

import click
import pytest

from sandbox.demo import options as demo
from signerctl.command_line import main as signerctl
from tests.paths import ROOT
from tests.unit.documentation.pages import Command, commands, pages

EVERY = sorted({command for page in pages() for command in commands(page)}, key=str)
CALLS = [command for command in EVERY if command.words[0] == "signerctl"]
SCRIPTS = [command for command in EVERY if command.words[0] != "signerctl"]


def _resolve(words: tuple[str, ...]) -> tuple[click.Command, click.Context, list[str]]:
    """Returns the command that the words name, and the rest of the words."""
    command: click.Command = signerctl
    context, rest = click.Context(command, info_name="signerctl"), list(words[1:])
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command {rest[0]!r}"
        command, context, rest = found, click.Context(found, parent=context, info_name=rest[0]), rest[1:]
    return command, context, rest


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_signerctl_accepts_the_command_line(call: Command) -> None:
    """The command exists, with every option and choice; a command to copy has all that it requires."""
    assert _problems(call) == []


def _problems(call: Command) -> list[str]:
    """Returns arguments that the command does not take, and what a command to copy lacks.

    Raises:
        click.UsageError: an option or a choice does not exist.
    """
    if "COMMAND" in call.words:
        return []
    command, context, rest = _resolve(call.words)
    if not call.to_copy and ("..." in rest or not rest):
        return []
    given, left, _ = command.make_parser(context).parse_args([each for each in rest if each not in {"-h", "--help"}])
    takes_more = any(isinstance(each, click.Argument) and each.nargs == -1 for each in command.params)
    surplus = [] if takes_more else [f"surplus: {each}" for each in left]
    for parameter in command.params:
        value = given.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)
    required = [each.name or "" for each in command.params if each.required and call.to_copy]
    return surplus + [f"missing: {name}" for name in required if not given.get(name)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("signerctl ca create --common-name x", "missing: key_version"),
        ("signerctl doctor --configuration x surplus", "surplus: surplus"),
    ],
)
def test_a_wrong_line_is_found(line: str, problem: str) -> None:
    """So that the test above can fail."""
    assert problem in _problems(Command(page=ROOT / "any.md", words=tuple(line.split()), to_copy=True))


def _sources(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"no module {module}"
    folders = spec.submodule_search_locations or [str(Path(spec.origin or "").parent)]
    return "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in Path(folder).glob("*.py"))


@pytest.mark.parametrize("call", SCRIPTS, ids=str)
def test_scripts_exist_with_their_options(call: Command) -> None:
    """The script can be run, its module is there, and its source has each option."""
    script = ROOT / call.words[0].removeprefix("$REPO/")
    assert os.access(script, os.X_OK), script
    arguments = list(call.words[1:])
    if script.name == "demo":
        demo.parse([each for each in arguments if each != "--help"])
        return
    if script.name == "python":
        if "-m" not in arguments:
            return
        module = arguments[arguments.index("-m") + 1]
        if module == "signerctl":
            words = ("signerctl", *arguments[arguments.index("-m") + 2 :])
            assert _problems(Command(page=call.page, words=words, to_copy=call.to_copy)) == []
            return
    else:
        found = re.search(r"-m (\S+)", script.read_text(encoding="utf-8"))
        assert found
        module = found[1]
    if module in {"pytest", "ruff", "mypy"}:
        return
    source = _sources(module) + (_sources("sandbox.bench") if module == "development.bench" else "")
    absent = [each for each in arguments if each.startswith("--") and f'"{each.partition("=")[0]}"' not in source]
    assert absent == []


def test_the_pages_show_commands() -> None:
    """The tests above find what they read: a pattern that matches nothing would hold nothing."""
    assert len(CALLS) > 40
    assert len(SCRIPTS) > 20
