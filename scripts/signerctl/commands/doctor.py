"""`signerctl doctor`: checks the path from the configuration to the guards, and says what is wrong and what to do."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import click

from signerctl.api_server import Json, cluster_options
from signerctl.doctor.examination import Examination, Options
from signerctl.doctor.options import walk_options
from signerctl.doctor.result import Result
from signerctl.doctor.walk import CHECKS, Check, count, until_healthy
from signerctl.interface.durations import DURATION
from signerctl.interface.output import Form, print_document, report_options
from signerctl.interface.program import Command
from signerctl.interface.text import counted, print_hanging

UNKNOWN_EXIT: Final = 3
_LEVEL_WIDTH: Final = len("not applicable")
_NAME_WIDTH: Final = max(len(check.name) for check in CHECKS)


@click.command(cls=Command)
@walk_options
@cluster_options
@click.option("--wait", is_flag=True, help="Repeat until no check finds an error, and print what changes.")
@click.option(
    "--timeout",
    default="10m",
    show_default=True,
    type=DURATION,
    help="With --wait: give up after this time.",
)
@report_options
def doctor(*, options: Options, wait: bool, timeout: timedelta, form: Form) -> None:
    r"""Check the whole path of a certificate, and say what is wrong and what to do.

    You need it after an installation, after each change, and when pods wait for certificates. It checks the whole path
    from the configuration through the exporter's token and the function to the key, the CA, Calico and the guards. It
    runs each check that it can. A result is unknown if this machine or your credentials cannot look, or if an earlier
    check failed. It waits at most ten seconds for each answer. It changes nothing, and prints no token. The function
    records one event about a CSR that does not exist.

    \b
    Example, in the folder of Terraform's root module:
      mkdir -p documents
      terraform output -json documents | jq -r 'to_entries[] | @sh "printf %s \(.value) > documents/\(.key)"' | sh
      signerctl doctor --configuration documents/configuration.yaml --cluster prod --context prod

    Next: correct the first error; later ones often follow from it. The exit status is 1 if a check found an error, and
    3 if none did but a result is unknown.
    """
    results = until_healthy(
        lambda: Examination(options=options),
        _show if form.is_for_people else _ignore,
        timeout=timeout.total_seconds() if wait else 0,
    )
    errors, unknown = count(results, "error"), count(results, "unknown")
    if form.is_for_people:
        click.echo(_summary(results))
    else:
        items = [_document(name, each) for name, each in results.items()]
        print_document({"items": items, "errors": errors, "unknown": unknown}, form=form)
    if errors or unknown:
        click.get_current_context().exit(1 if errors else UNKNOWN_EXIT)


def _summary(results: Mapping[str, Result]) -> str:
    ok, warnings, errors, unknown = (count(results, each) for each in ("ok", "warning", "error", "unknown"))
    return f"{ok} ok, {counted(warnings, 'warning')}, {counted(errors, 'error')}, {unknown} unknown"


def _document(name: str, outcome: Result) -> Json:
    return {"check": name, "level": outcome.level, "found": outcome.found, "remedy": outcome.remedy}


def _ignore(_check: Check, _outcome: Result) -> None:
    """Prints nothing: programs get all results at the end."""


def _show(check: Check, outcome: Result) -> None:
    remedy = f"; to do: {outcome.remedy}" if outcome.remedy else ""
    level = outcome.level.replace("_", " ")
    print_hanging([(level, _LEVEL_WIDTH), (check.name, _NAME_WIDTH)], outcome.found + remedy)
