"""The whole walk, check by check."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from csr_signer.errors import SignerError
from signerctl.api_server import ApiServerError
from signerctl.doctor import (
    api_server,
    authority,
    cluster,
    documents,
    exporter,
    function,
    identity,
    key_pairs,
    result,
    waiting,
)
from signerctl.doctor.examination import API_SERVER, RIGHTS, Examination, PrerequisiteError
from signerctl.doctor.result import Level, Result
from signerctl.interface.program import CommandError
from signerctl.interface.progress import while_waiting

_PAUSE: Final = 3.0
"""Seconds between two walks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of the walk.

    A check that asks the API server also needs the check `api-server`: `Examination.api` says so.

    Attributes:
        name: Its name in the output.
        asks: Whom it asks; empty if it asks no server.
        needs: The checks before it without which it cannot run.
        stops_requests: Whether no certificate is issued while it fails.
        is_symptom: Whether its error may follow from another check's.
        run: The check itself.
    """

    name: str
    asks: str = ""
    needs: tuple[str, ...] = ()
    stops_requests: bool = False
    is_symptom: bool = False
    run: Callable[[Examination], Result]


_THE_API_SERVER: Final = "the API server"
_THE_FUNCTION: Final = "the function"
CHECKS: Final = (
    Check(name="configuration", run=documents.configuration),
    Check(name=API_SERVER, asks=_THE_API_SERVER, stops_requests=True, run=api_server.reached),
    # The exporter's way to the function.
    Check(
        name="exporter-configuration",
        asks=_THE_API_SERVER,
        stops_requests=True,
        needs=("configuration",),
        run=documents.exporter_configuration,
    ),
    Check(name="exporter", asks="the exporter", stops_requests=True, is_symptom=True, run=exporter.ready),
    Check(name="exporter-rights", asks=_THE_API_SERVER, stops_requests=True, run=exporter.rights),
    Check(
        name="token",
        asks=_THE_API_SERVER,
        stops_requests=True,
        needs=("exporter-configuration",),
        run=identity.token,
    ),
    Check(name="sts", asks="STS", stops_requests=True, needs=("token",), run=identity.security_token_service),
    Check(name="iam", asks="IAM Credentials", stops_requests=True, needs=("sts",), run=identity.iam),
    Check(name="invoker", asks=_THE_FUNCTION, stops_requests=True, needs=("iam",), run=function.invoker),
    Check(
        name="function",
        asks=_THE_FUNCTION,
        stops_requests=True,
        is_symptom=True,
        needs=("exporter-configuration",),
        run=function.function,
    ),
    # The function's way to the API server and to the key.
    Check(name=RIGHTS, asks=_THE_API_SERVER, stops_requests=True, needs=("configuration",), run=api_server.rights),
    Check(name="pods", asks=_THE_API_SERVER, stops_requests=True, needs=("configuration",), run=api_server.pods),
    Check(name="kms-key", asks="Cloud KMS", stops_requests=True, needs=("configuration",), run=authority.key),
    # What relying parties accept.
    Check(name="issuer", needs=("configuration",), run=authority.issuer),
    Check(name="trust-bundle", needs=("configuration",), run=authority.trust_bundle),
    Check(name="installation", asks=_THE_API_SERVER, needs=("configuration",), run=cluster.installation),
    Check(name="release", asks=_THE_API_SERVER, needs=("configuration",), run=cluster.release),
    Check(name="key-pairs", asks=_THE_API_SERVER, needs=("configuration",), run=key_pairs.provided),
    Check(name="waiting", asks=_THE_API_SERVER, is_symptom=True, needs=("configuration",), run=waiting.waiting),
    # What protects the cluster.
    Check(name="guards", asks=_THE_API_SERVER, stops_requests=True, needs=("configuration",), run=cluster.guards),
    Check(name="clock", stops_requests=True, run=api_server.clock),
)
"""All checks in their order. Their names are an interface, like violation codes."""


Show = Callable[[Check, Result], None]


def walk(examination: Examination, checks: Sequence[Check] = CHECKS) -> Iterator[tuple[Check, Result]]:
    """Runs checks, and yields each with its result, which is unknown if a prerequisite failed."""
    for check in checks:
        outcome = run_check(check, examination)
        if outcome.blocks:
            examination.blocked.add(check.name)
        yield check, outcome


def run_check(check: Check, examination: Examination) -> Result:
    """Runs a check; an error of its calls is its result."""
    if missing := [name for name in check.needs if name in examination.blocked]:
        return result.unknown(f"needs {', '.join(missing)}")
    try:
        with while_waiting(check.asks):
            return check.run(examination)
    except click.UsageError:
        raise
    except PrerequisiteError as error:
        return result.unknown(error.message)
    except ApiServerError as error:
        if error.is_silent:  # it would not answer the next check either
            examination.blocked.add(API_SERVER)
        return _of_api_server(error)
    except (CommandError, SignerError) as error:
        return result.error(str(error), "correct it, and run doctor again")
    except Exception as error:  # noqa: BLE001 - one check's fault must not hide the results of the others
        return result.error(f"internal error in signerctl: {type(error).__name__}: {error}", "report it with this line")


def _of_api_server(error: ApiServerError) -> Result:
    if error.is_forbidden:
        return result.unknown(f"you may not look: {error.message}", "use credentials that may")
    if error.is_silent:
        return result.error(
            error.message,
            "look at kube-apiserver and etcd on the control plane's machines; if they run, check the kubeconfig, the"
            " context, and the network between this machine and them",
        )
    return result.error(error.message, "the API server's log and audit log say why, and who wrote the object")


def until_healthy(
    begin: Callable[[], Examination],
    show: Show,
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, Result]:
    """Walks until no check finds an error, and returns the last results by check.

    Args:
        begin: Returns a new examination for each walk.
        show: Is told each result whose level or remedy is new.
        timeout: In seconds; the last walk begins at its end. 0: one walk.
        clock: Monotonic seconds.
        sleep: Waits for seconds.
    """
    end = clock() + timeout
    results = _walk(begin(), {}, show)
    while count(results, "error") and clock() < end:
        sleep(min(_PAUSE, max(0.0, end - clock())))
        results = _walk(begin(), results, show)
    return results


def count(results: Mapping[str, Result], level: Level) -> int:
    """Returns the number of checks with results of a level."""
    return sum(each.level == level for each in results.values())


def _walk(examination: Examination, before: Mapping[str, Result], show: Show) -> Mapping[str, Result]:
    results = {}
    for check, outcome in walk(examination):
        results[check.name] = outcome
        earlier = before.get(check.name)
        if earlier is None or (earlier.level, earlier.remedy) != (outcome.level, outcome.remedy):
            show(check, outcome)
    return results
