"""`signerctl doctor`: checks the path from the configuration to the guards, and says what is wrong and what to do."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Final

import click

from signerctl.api_server import cluster_options
from signerctl.doctor.examination import Examination, Options
from signerctl.doctor.options import walk_options
from signerctl.doctor.result import Result
from signerctl.doctor.walk import CHECKS, walk
from signerctl.output import Form, output_options, print_document
from signerctl.program import Command
from signerctl.text import print_hanging

_WAIT_SECONDS: Final = 3.0
_NAME_WIDTH: Final = max(len(check.name) for check in CHECKS)


@click.command(cls=Command)
@walk_options
@cluster_options
@click.option("--wait", is_flag=True, help="Repeat until no check finds an error, and print what changes.")
@click.option(
    "--timeout",
    default=600,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="With --wait: give up after this time.",
)
@output_options
def doctor(*, options: Options, wait: bool, timeout: int, form: Form) -> None:
    r"""Check the whole path of a certificate, and say what is wrong and what to do.

    You need it after an installation, after each change, and when pods wait for certificates. It checks the whole path
    from the configuration through the exporter's token and the function to the key, the CA, Calico and the guards. It
    runs each check that it can: a check without its prerequisite is skipped, and so is a check that your credentials do
    not allow. It changes nothing, and prints no token. The function records one event about a CSR that does not exist.

    \b
    Example, in the folder of Terraform's root module:
      mkdir -p documents
      terraform output -json documents | jq -r 'to_entries[] | @sh "printf %s \(.value) > documents/\(.key)"' | sh
      signerctl doctor --configuration documents/configuration.yaml --cluster prod --context prod

    Next: correct the first error; later ones often follow from it. The exit status is 1 if a check found an error.
    """
    end = time.monotonic() + timeout
    show = _show if form.is_for_people else _ignore
    results = _walk(options, {}, show)
    while wait and _errors(results) and time.monotonic() < end:
        time.sleep(min(_WAIT_SECONDS, max(0.0, end - time.monotonic())))
        results = _walk(options, results, show)
    if not form.is_for_people:
        items = [{"check": name, **dataclasses.asdict(each)} for name, each in results.items()]
        print_document({"items": items, "errors": _errors(results)}, form=form)
    if _errors(results):
        click.get_current_context().exit(1)


def _walk(options: Options, before: Mapping[str, Result], show: Callable[[str, Result], None]) -> Mapping[str, Result]:
    """Walks once, and shows each result whose level or remedy is new."""
    results = {}
    for check, outcome in walk(Examination(options=options)):
        results[check.name] = outcome
        earlier = before.get(check.name)
        if earlier is None or (earlier.level, earlier.remedy) != (outcome.level, outcome.remedy):
            show(check.name, outcome)
    return results


def _errors(results: Mapping[str, Result]) -> int:
    return sum(each.level == "error" for each in results.values())


def _ignore(_name: str, _outcome: Result) -> None:
    """Prints nothing: programs get all results at the end."""


def _show(name: str, outcome: Result) -> None:
    remedy = f"; to do: {outcome.remedy}" if outcome.remedy else ""
    print_hanging([(outcome.level, len("warning")), (name, _NAME_WIDTH)], outcome.found + remedy)
