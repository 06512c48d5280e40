"""The command line of `scripts/demo`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sandbox.options import MAX_PODS, loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

PODS = 60
_DESCRIPTION = """
Runs kms-csr-signer on this machine, with everything around it: a control plane, Cloud KMS and Google's identity
services as doubles, the function, the exporter. A fleet of Calico pods asks for certificates, every chain is verified
with openssl, Goldmane and Whisker get key pairs, and attackers are refused. The exit status is 0 only if all went as it
should.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line's options.

    Attributes:
        plane: Kind of control plane, or the kubeconfig of a running one.
        kubernetes: Version of the real control plane; None for the found or pinned version.
        force: Whether to continue in a cluster with Calico's own pods.
        kms: HOST:PORT of another KMS; None for the double.
        pods: Number of pods that request certificates; 0 for neither fleet nor attackers.
        key_pairs: Whether Goldmane and Whisker get key pairs.
        serve: Whether to keep everything running until interrupted.
        live: Whether to draw on the terminal; False for plain lines.
        directory: The permanent folder for files and logs; None for a temporary folder.
    """

    plane: Literal["embedded", "real"] | Path
    kubernetes: str | None
    force: bool
    kms: str | None
    pods: int
    key_pairs: bool
    serve: bool
    live: bool
    directory: Path | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parses the command line; ends the program for bad input and for --help."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.kubernetes is not None and not given.real:
        parser.error("--kubernetes needs --real")
    if given.force and given.kubeconfig is None:
        parser.error("--force needs --kubeconfig")
    if not 0 <= given.pods <= MAX_PODS:
        parser.error(f"--pods: Invalid value: {given.pods}: must be 0 to {MAX_PODS}")
    return Options(
        plane=given.kubeconfig or ("real" if given.real else "embedded"),
        kubernetes=given.kubernetes,
        force=given.force,
        kms=given.kms,
        pods=given.pods,
        key_pairs=not (given.no_key_pairs or given.force),  # the cluster's operator would mount the Secrets
        serve=given.serve,
        live=sys.stdout.isatty() and not given.plain,
        directory=given.directory,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=_DESCRIPTION)
    planes = parser.add_mutually_exclusive_group()
    planes.add_argument(
        "--real",
        action="store_true",
        help="use a real etcd and kube-apiserver, built once if missing (6 to 8 minutes); the default is a double",
    )
    planes.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="use another cluster, as its administrator; the demo lists its objects there, and deletes them at the end",
    )
    parser.add_argument("--kubernetes", metavar="VERSION", help="with --real: use another version, like v1.36.3")
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --kubeconfig: continue although Calico runs there; implies --no-key-pairs",
    )
    parser.add_argument(
        "--kms",
        type=loopback,
        metavar="HOST:PORT",
        help="use another implementation of the KMS gRPC API, plaintext on this machine",
    )
    parser.add_argument("--pods", type=int, default=PODS, metavar="N", help="number of pods; by default %(default)s")
    parser.add_argument(
        "--no-key-pairs",
        action="store_true",
        help="leave signerctl key-pairs out: Goldmane and Whisker wait for their key pairs",
    )
    parser.add_argument(
        "--serve", action="store_true", help="keep everything running for other clients, until interrupted"
    )
    parser.add_argument("--plain", action="store_true", help="print plain lines, also on a terminal")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="keep files and logs in this new folder")
    return parser
