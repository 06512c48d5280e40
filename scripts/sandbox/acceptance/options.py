"""The command line of `scripts/acceptance`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.options import loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """
Proves on a real cluster what one machine cannot show: kubelet, real API server, real Calico, real Cloud KMS. Without
--deployed, it runs function, exporter and a KMS double here, with a signerName and a namespace of their own in the
cluster, and deletes them at the end. With --deployed, it examines the deployed signer, and changes nothing without
--evict or --attack. It prints a line for each check, and writes a report to attach to an issue. Exit status: 0: no
check failed, but there may be warnings; 1: a check failed, or an option's check could not be made; 2: it cannot run;
130: interrupted.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line's options.

    Attributes:
        kubeconfig: Of the cluster, for its administrator.
        context: The kubeconfig's context; None for the current one.
        report: The report's file.
        redact: Whether the report replaces names of hosts and projects.
        deployed: Whether to examine the deployed signer.
        kms: HOST:PORT of another plaintext KMS on this machine; None for the double.
        image: Image of Calico's key-cert-provisioner, for a pod that a kubelet starts.
        doctor: Arguments of `signerctl doctor` for the deployed signer.
        configuration: The function's configuration document; None without `deployed`.
        cluster: The cluster's key in it; None for the only one.
        evict: NAMESPACE/NAME of the pod to evict.
        attack: Whether to file hostile CSRs at the deployed signer.
        project: Google Cloud project of the records; needs `evict`.
        seconds: The longest wait for a pod.
    """

    kubeconfig: Path
    context: str | None
    report: Path
    redact: bool
    deployed: bool
    kms: str | None
    image: str | None
    doctor: tuple[str, ...]
    configuration: Path | None
    cluster: str | None
    evict: str | None
    attack: bool
    project: str | None
    seconds: float


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parses the command line; ends the program for bad input and for --help."""
    parser = _parser()
    given = parser.parse_args(arguments)
    deployed = {"--evict": given.evict, "--attack": given.attack, "--project": given.project}
    deployed |= {"--configuration": given.configuration}
    wrong = [name for name, value in deployed.items() if value and not given.deployed]
    if wrong:
        parser.error(f"{wrong[0]} needs --deployed")
    if given.deployed and given.configuration is None:
        parser.error("--deployed needs --configuration")
    if given.project and not given.evict:
        parser.error("--project needs --evict")
    if given.evict and given.evict.count("/") != 1:
        parser.error(f'--evict: Invalid value: "{given.evict}": must be NAMESPACE/POD')
    return Options(
        kubeconfig=given.kubeconfig,
        context=given.context,
        report=given.report,
        redact=given.redact,
        deployed=given.deployed,
        kms=given.kms,
        image=given.image,
        doctor=tuple(_doctor(given)),
        configuration=given.configuration,
        cluster=given.cluster,
        evict=given.evict,
        attack=given.attack,
        project=given.project,
        seconds=given.seconds,
    )


def _doctor(given: argparse.Namespace) -> list[str]:
    """Returns the arguments of `signerctl doctor`."""
    named = {
        "--configuration": given.configuration,
        "--kubeconfig": given.kubeconfig,
        "--context": given.context,
        "--cluster": given.cluster,
        "--exporter-configuration": given.exporter_configuration,
        "--exporter-url": given.exporter_url,
        "--guards": given.guards,
    }
    return [text for name, value in named.items() if value is not None for text in (name, str(value))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/acceptance", description=_DESCRIPTION)
    parser.add_argument("--kubeconfig", type=Path, required=True, metavar="FILE", help="of the cluster's administrator")
    parser.add_argument("--context", help="the kubeconfig's context")
    parser.add_argument("--report", type=Path, default=Path("acceptance.md"), metavar="FILE", help="%(default)s")
    parser.add_argument("--redact", action="store_true", help="replace names of hosts and projects in the report")
    parser.add_argument("--seconds", type=float, default=120.0, help="longest wait for a pod: %(default)g")
    own = parser.add_argument_group("a signer of its own (default)")
    own.add_argument("--kms", type=loopback, metavar="HOST:PORT", help="another KMS, plaintext on this machine")
    own.add_argument("--image", help="Calico's key-cert-provisioner: its pod, started by a kubelet, is a check")
    deployed = parser.add_argument_group("the deployed signer")
    deployed.add_argument("--deployed", action="store_true", help="examine the deployed signer")
    deployed.add_argument("--configuration", type=Path, metavar="FILE", help="the function's configuration document")
    deployed.add_argument("--cluster", help="the cluster's key in the configuration document")
    deployed.add_argument("--exporter-configuration", type=Path, metavar="FILE", help="as for signerctl doctor")
    deployed.add_argument("--exporter-url", metavar="URL", help="as for signerctl doctor")
    deployed.add_argument("--guards", help="as for signerctl doctor")
    deployed.add_argument(
        "--evict", metavar="NAMESPACE/POD", help="CHANGES: evict this pod, and follow its replacement's certificate"
    )
    deployed.add_argument(
        "--attack", action="store_true", help="CHANGES: create a namespace and pods, and file hostile CSRs from them"
    )
    deployed.add_argument("--project", help="Google Cloud project of the function's records, for gcloud; needs --evict")
    return parser
