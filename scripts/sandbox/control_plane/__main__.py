"""The real control plane's command line: `start` serves until interrupted, `build` finds or builds the programs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sandbox.control_plane import binaries, modules
from sandbox.control_plane.errors import NotAvailableError, StartError
from sandbox.control_plane.real import RealControlPlane

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        if options.command == "build":
            print(binaries.ensure(options.kubernetes, controllers=options.controllers).folder)
            return 0
        return _serve(options.directory, options.kubernetes, controllers=options.controllers)
    except (NotAvailableError, StartError, ValueError) as error:
        print(f"control-plane: {error}", file=sys.stderr)
        return 1


def _serve(directory: Path, version: str | None, *, controllers: bool) -> int:
    with RealControlPlane.start(directory, kubernetes=version, controllers=controllers) as control_plane:
        ready = {
            "part": "control-plane",
            "server": control_plane.server,
            "kubeconfig": str(control_plane.kubeconfig),
            "certificate_authority": str(control_plane.certificate_authority),
            "version": control_plane.version,
        }
        print(json.dumps(ready), flush=True)
        while control_plane.alive:
            time.sleep(0.5)
        raise StartError(f"a program ended by itself, its log is in {str(directory)!r}")


def _leave(_number: int, _frame: object) -> NoReturn:
    """Unwinds the stack, so that all programs are stopped; a termination signal is no failure."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="control-plane",
        description="A real etcd and kube-apiserver on the loopback address, found on this machine"
        " (KUBEBUILDER_ASSETS, PATH) or built once from pinned Go modules.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser(
        "start", help="serve until interrupted; prints one line of JSON when the API server is ready"
    )
    start.add_argument("--directory", type=Path, required=True, help="new folder for data, kubeconfig and logs")
    build = commands.add_parser("build", help="only find or build the programs; prints their folder")
    for each in (start, build):
        each.add_argument(
            "--controllers",
            action="store_true",
            help="with kube-controller-manager, which is built once if it is missing",
        )
        each.add_argument(
            "--kubernetes",
            metavar="VERSION",
            help=f"like v1.36.3; by default what is found, else {modules.pinned_version()}, which alone is"
            " pinned by checksum in this repository",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
