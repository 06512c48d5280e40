"""`scripts/acceptance`: see `--help`."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from sandbox.acceptance import access, deployed, journey, options, pods, report, throwaway
from sandbox.acceptance.options import Options
from sandbox.acceptance.pods import Workload
from sandbox.acceptance.report import Run, failed
from sandbox.api import Api
from sandbox.demo import interrupt

_CANNOT_RUN = 2


def main(arguments: list[str] | None = None) -> int:
    """Runs all checks, and returns the exit status. It writes the report, unless the run made no check."""
    given = options.parse(arguments)
    namespace = pods.new_namespace()
    workload = Workload(namespace=namespace, signer_name=f"{namespace}.example.com/pods")
    run = Run()
    mode = "deployed signer" if given.deployed else "signer of this run"
    try:
        status = _status(given, run, workload)
    finally:
        interrupt.ignore()
        if run.lines:
            run.write(given.report, mode=mode, redact=given.redact)
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
        if run.lines:
            run.add("run", failed(f"{type(error).__name__}: {error}"))
        return _CANNOT_RUN
    return 0


def _run(given: Options, run: Run, workload: Workload, directory: Path) -> None:
    given = replace(given, kubeconfig=access.write(given.kubeconfig, given.context, directory))
    with Api.from_kubeconfig(given.kubeconfig) as api:
        if not given.deployed:
            throwaway.refuse_if_deployed(api)
        option = "--evict" if given.evict else "--image" if given.image else None
        if option is not None:
            journey.require_kubelet(api, option)
        _require_writable(given.report)  # before anything changes in the cluster
        changes = deployed.intentions(given, workload) if given.deployed else throwaway.intentions(workload)
        print(f"In the cluster at {api.server}, this run {changes}\n", flush=True)
        run.check("cluster", lambda: deployed.facts(api))
    (deployed.run if given.deployed else throwaway.run)(given, run, workload, directory)


def _require_writable(report: Path) -> None:
    try:
        report.open("a").close()
    except OSError as error:
        raise ValueError(f'--report: Invalid value: "{report}": {error.strerror}') from error


if __name__ == "__main__":
    sys.exit(main())
