"""The whole walk, check by check."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from csr_signer.errors import SignerError
from signerctl.api_server import ApiServerError
from signerctl.doctor import api_server, authority, cluster, documents, function, identity, result, waiting
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.interface.program import CommandError

_FORBIDDEN: Final = 403
_PAUSE: Final = 3.0
"""Seconds between two walks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of the walk.

    Attributes:
        name: Its name in the output.
        needs: The checks before it without which it cannot run.
        stops_requests: Whether no certificate is issued while it fails.
        is_symptom: Whether its error may follow from another check's.
        run: The check itself.
    """

    name: str
    needs: tuple[str, ...] = ()
    stops_requests: bool = False
    is_symptom: bool = False
    run: Callable[[Examination], Result]


CHECKS: Final = (
    Check(name="configuration", run=documents.configuration),
    Check(name="api-server", stops_requests=True, run=api_server.reached),
    # The exporter's way to the function.
    Check(
        name="exporter-configuration",
        stops_requests=True,
        needs=("configuration",),
        run=documents.exporter_configuration,
    ),
    Check(name="exporter", stops_requests=True, is_symptom=True, needs=("configuration",), run=cluster.exporter),
    Check(name="token", stops_requests=True, needs=("exporter-configuration",), run=identity.token),
    Check(name="sts", stops_requests=True, needs=("token",), run=identity.security_token_service),
    Check(name="iam", stops_requests=True, needs=("sts",), run=identity.iam),
    Check(name="invoker", stops_requests=True, needs=("iam",), run=function.invoker),
    Check(
        name="function", stops_requests=True, is_symptom=True, needs=("exporter-configuration",), run=function.function
    ),
    # The function's way to the API server and to the key.
    Check(name="rights", stops_requests=True, needs=("configuration", "api-server"), run=api_server.rights),
    Check(name="pods", stops_requests=True, needs=("configuration", "api-server"), run=api_server.pods),
    Check(name="kms-key", stops_requests=True, needs=("configuration",), run=authority.key),
    # What relying parties accept.
    Check(name="issuer", needs=("configuration",), run=authority.issuer),
    Check(name="trust-bundle", needs=("configuration",), run=authority.trust_bundle),
    Check(name="installation", needs=("configuration", "api-server"), run=cluster.installation),
    Check(name="release", needs=("configuration", "api-server"), run=cluster.release),
    Check(name="key-pairs", needs=("configuration", "api-server"), run=cluster.key_pairs),
    Check(name="waiting", needs=("configuration", "api-server"), run=waiting.waiting),
    # What protects the cluster.
    Check(name="guards", stops_requests=True, needs=("configuration", "api-server"), run=cluster.guards),
    Check(name="clock", stops_requests=True, run=api_server.clock),
)
"""All checks in their order. Their names are an interface, like violation codes."""


Show = Callable[[Check, Result], None]


def walk(examination: Examination) -> Iterator[tuple[Check, Result]]:
    """Runs all checks, and yields each with its result; one whose prerequisite failed is skipped."""
    blocked: set[str] = set()
    for check in CHECKS:
        missing = [name for name in check.needs if name in blocked]
        outcome = result.unknown(f"needs {', '.join(missing)}") if missing else run_check(check, examination)
        if outcome.blocks:
            blocked.add(check.name)
        yield check, outcome


def run_check(check: Check, examination: Examination) -> Result:
    """Runs a check; an error of its calls is its result."""
    try:
        return check.run(examination)
    except ApiServerError as error:
        if error.answer is not None and error.answer.status == _FORBIDDEN:
            return result.unknown(f"you may not look: {error.message}", "run doctor with a user that may")
        return result.error(error.message, "check the kubeconfig, the context, and the way to the API server")
    except CommandError as error:
        return result.error(error.message, "correct it, and run doctor again")
    except SignerError as error:
        return result.error(str(error), "correct it, and run doctor again")
    except Exception as error:  # noqa: BLE001 - one check's fault must not hide the results of the others
        return result.error(f"internal error in signerctl: {type(error).__name__}: {error}", "report it with this line")


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
        timeout: After this many seconds, no walk begins; 0: one walk.
        clock: Monotonic seconds.
        sleep: Waits for seconds.
    """
    end = clock() + timeout
    results = _walk(begin(), {}, show)
    while errors(results) and clock() < end:
        sleep(min(_PAUSE, max(0.0, end - clock())))
        results = _walk(begin(), results, show)
    return results


def errors(results: Mapping[str, Result]) -> int:
    """Returns the number of checks that found an error."""
    return sum(each.level == "error" for each in results.values())


def _walk(examination: Examination, before: Mapping[str, Result], show: Show) -> Mapping[str, Result]:
    results = {}
    for check, outcome in walk(examination):
        results[check.name] = outcome
        earlier = before.get(check.name)
        if earlier is None or (earlier.level, earlier.remedy) != (outcome.level, outcome.remedy):
            show(check, outcome)
    return results
