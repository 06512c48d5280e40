"""`scripts/acceptance`: see `--help`."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from sandbox.acceptance import access, deployed, options, pods, report, throwaway
from sandbox.acceptance.options import Options
from sandbox.acceptance.pods import Workload
from sandbox.acceptance.report import Run, failed
from sandbox.api import Api
from sandbox.demo import interrupt

_CANNOT_RUN = 2


def main(arguments: list[str] | None = None) -> int:
    """Runs all checks, writes the report, and returns the exit status."""
    given = options.parse(arguments)
    namespace = pods.new_namespace()
    workload = Workload(namespace=namespace, signer_name=f"{namespace}.example.com/pods")
    run = Run()
    try:
        given.report.open("a").close()  # before anything changes in the cluster
    except OSError as error:
        print(f"acceptance: {error}", file=sys.stderr)
        return _CANNOT_RUN
    try:
        status = _status(given, run, workload)
    finally:
        interrupt.ignore()
        run.write(given.report, mode="deployed signer" if given.deployed else "signer of this run", redact=given.redact)
    print(f"{run.summary()}; report: {given.report}")
    return status or int(run.has_failed)


def _status(given: Options, run: Run, workload: Workload) -> int:
    """Runs all checks, and returns the exit status if they could not be made."""
    try:
        interrupt.stop_parts()
        with tempfile.TemporaryDirectory(prefix="kms-csr-signer-acceptance-") as directory:
            _run(given, run, workload, Path(directory))
    except interrupt.InterruptedDemoError:
        print("acceptance: interrupted", file=sys.stderr)
        return interrupt.STATUS
    except Exception as error:  # noqa: BLE001 - the report is written whatever happens
        print(f"acceptance: {report.one_line(str(error))}", file=sys.stderr)
        run.add("run", failed(f"{type(error).__name__}: {error}"))
        return _CANNOT_RUN
    return 0


def _run(given: Options, run: Run, workload: Workload, directory: Path) -> None:
    given = replace(given, kubeconfig=access.write(given.kubeconfig, given.context, directory))
    with Api.from_kubeconfig(given.kubeconfig) as api:
        if not given.deployed:
            throwaway.refuse_if_deployed(api)
        changes = deployed.intentions(given, workload) if given.deployed else throwaway.intentions(workload)
        print(f"In the cluster at {api.server}, this run {changes}\n", flush=True)
        run.check("cluster", lambda: deployed.facts(api))
    (deployed.run if given.deployed else throwaway.run)(given, run, workload, directory)


if __name__ == "__main__":
    sys.exit(main())
