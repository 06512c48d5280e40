"""`scripts/acceptance`: see `--help`."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from urllib3.exceptions import HTTPError

from sandbox.acceptance import access, deployed, options, pods, report, throwaway
from sandbox.acceptance.options import Options
from sandbox.acceptance.pods import Workload
from sandbox.acceptance.report import Run
from sandbox.api import Api, ApiError
from sandbox.demo import interrupt

_CANNOT_RUN = 2


def main(arguments: list[str] | None = None) -> int:
    """Runs all checks, writes the report, and returns the exit status."""
    given = options.parse(arguments)
    namespace = pods.new_namespace()
    workload = Workload(namespace=namespace, signer_name=f"{namespace}.example.com/pods")
    run, status = Run(), 0
    interrupt.stop_parts()
    try:
        with tempfile.TemporaryDirectory(prefix="kms-csr-signer-acceptance-") as directory:
            _run(given, run, workload, Path(directory))
    except interrupt.InterruptedDemoError:
        print("acceptance: interrupted", file=sys.stderr)
        status = interrupt.STATUS
    except (ApiError, HTTPError, OSError, ValueError) as error:
        print(f"acceptance: {report.one_line(str(error))}", file=sys.stderr)
        return _CANNOT_RUN
    mode = "deployed signer" if given.deployed else "signer of this run"
    run.write(given.report, mode=mode, redact=given.redact)
    print(f"{run.summary()}; report: {given.report}")
    return status or int(run.has_failed)


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
