"""The steps of the demo, from top to bottom."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sandbox import process
from sandbox.calico import attackers
from sandbox.calico.components import components
from sandbox.calico.fleet import Fleet, managements, plan
from sandbox.calico.observer import Observer
from sandbox.calico.render import OURS
from sandbox.demo import clients, interrupt, key_pairs
from sandbox.demo.summary import Summary, attack, durations
from sandbox.demo.verify import violations
from sandbox.deployment import Deployment, Settings
from sandbox.kms import KmsControl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sandbox.calico.fleet import Member
    from sandbox.calico.keys import KeyPool
    from sandbox.calico.render import NodePlan
    from sandbox.demo.options import Options
    from sandbox.demo.summary import Attack
    from sandbox.demo.view import View

_NODES = "demo-node"
_FRAME_SECONDS = 0.1
_LOOK_SECONDS = 0.5
_ATTACK_SECONDS = 30.0
_LEAST_SECONDS = 60.0
_SLOWEST = 20  # the demo gives up if a fleet is slower, in certificates per second


def members(options: Options, settings: Settings) -> tuple[Member, ...]:
    """Returns the fleet, with every component and every kind of key."""
    return plan(
        options.pods,
        components=components(settings.release),
        managements=managements(settings.signer_name),
        prefix=_NODES,
    )


def tell(options: Options, settings: Settings, keys: KeyPool, view: View) -> bool:
    """Starts everything, runs the fleet and the attackers, and keeps serving with --serve.

    Returns:
        Whether all results are as expected.
    """
    if not isinstance(options.plane, str):
        view.note(_intentions(options.plane))
    with Deployment(settings, progress=view.step) as deployment:
        as_expected = options.pods == 0 or _run(options, deployment, keys, view)
        if options.serve:
            _serve(deployment, view)
        view.stage("stopping everything")
    return as_expected


def _run(options: Options, deployment: Deployment, keys: KeyPool, view: View) -> bool:
    signer_name = deployment.settings.signer_name
    fleet = Fleet(deployment.world, members(options, deployment.settings), keys=keys)
    view.stage(f"creating {options.pods} Calico pods and their keys")
    fleet.enter()
    fleet.prepare()
    with Observer(deployment.api, signer_name) as observer:
        view.stage(f"{options.pods} pods request certificates from {signer_name}")
        _issue(fleet, observer, view)
        seen = observer.observations()
        submissions = fleet.submissions
        issued = [
            (each, seen[each.uid].certificate) for each in submissions if each.uid in seen and seen[each.uid].issued
        ]
        view.stage(f"openssl verifies {len(issued)} certificates")
        wrong = violations(issued, deployment.certificate_authority, deployment.directory / "certificates")
        pairs = _key_pairs(options, deployment, fleet.members[0].node, view)
        view.stage("attackers request certificates, each with one fault")
        attacks = _attack(deployment, observer)
    view.attacks(attacks)
    seconds, elapsed = durations(submissions, seen)
    summary = Summary(
        requested=options.pods,
        issued=len(issued),
        violations=wrong,
        attacks=attacks,
        key_pairs=pairs,
        seconds=seconds,
        elapsed=elapsed,
        signatures=_signatures(deployment),
    )
    view.stage("summary")
    view.summary(summary)
    return summary.as_expected


def _issue(fleet: Fleet, observer: Observer, view: View) -> None:
    """Files all requests, and shows their state until all have ended or the time limit is reached."""
    end = time.monotonic() + _LEAST_SECONDS + len(fleet.members) / _SLOWEST
    with view.fleet(len(fleet.members)), ThreadPoolExecutor(max_workers=1) as executor:
        filing = executor.submit(fleet.submit)
        ended = False
        while not ended and time.monotonic() < end:
            submissions = fleet.submissions
            ended = observer.wait([each.uid for each in submissions], _FRAME_SECONDS) and filing.done()
            view.update(submissions, observer.observations())
            if not ended and not filing.done():
                time.sleep(_FRAME_SECONDS / 2)
        filing.result()
        view.update(fleet.submissions, observer.observations())


def _key_pairs(options: Options, deployment: Deployment, node: NodePlan, view: View) -> Mapping[str, str] | None:
    """Returns the violation of each key pair; None without the command."""
    if options.key_pairs:
        return key_pairs.serve(deployment, node, view)
    key_pairs.show_gap(deployment, node, view)
    return None


def _attack(deployment: Deployment, observer: Observer) -> Sequence[Attack]:
    settings = deployment.settings
    prepared = attackers.prepare(
        deployment.world, settings.signer_name, release=settings.release, prefix=f"{_NODES}-attacked"
    )
    filed = deployment.world.each(lambda each: attackers.file(deployment.world, each), prepared)
    observer.wait([each.uid for each in filed if each.uid], _ATTACK_SECONDS)
    return [attack(each, observer.observation(each.uid)) for each in filed]


def _signatures(deployment: Deployment) -> int | None:
    """Returns the number of signatures in the KMS double's audit log; None for another KMS."""
    if deployment.settings.kms is not None:
        return None
    with KmsControl(deployment.kms) as control:
        records = control.records("AsymmetricSign")
    return sum(1 for each in records if each.key_used and each.resource == deployment.signer.key_version)


def _serve(deployment: Deployment, view: View) -> None:
    """Prints the addresses for clients, and waits for SIGINT or SIGTERM; says which parts end meanwhile.

    The other parts go on: users kill parts to see what `signerctl doctor` says.
    """
    interrupted = threading.Event()
    interrupt.set_instead(interrupted.set)
    view.stage("serving until you press Ctrl-C")
    view.facts(clients.facts(deployment))
    if deployment.settings.plane == "embedded":
        view.note("  kubectl needs --real: the API server's double serves only the API of the product")
    for purpose, command in clients.commands(deployment):
        view.command(purpose, command)
    running = process.parts()
    while not interrupted.wait(_LOOK_SECONDS):
        for part in [each for each in running if not each.alive]:
            running.remove(part)
            name, log = ("a part", "") if part.log is None else (part.log.stem, f"; its log: {part.log}")
            view.stage(f"{name} ended with {part.end}; the other parts still run{log}")


def _intentions(kubeconfig: Path) -> str:
    label = ", ".join(f"{key}={value}" for key, value in OURS.items())
    return (
        f"in the cluster of {kubeconfig} the demo creates the namespaces calico-system, kms-csr-signer, tenant-a and\n"
        f"tigera-operator, service accounts, roles and bindings, nodes {_NODES}-* (names only, unschedulable),\n"
        f"pods on them and CSRs, all labelled {label}, and Secrets of Goldmane and Whisker,\n"
        "and deletes them at the end. It uses and keeps existing objects.\n"
        "A DaemonSet that tolerates all taints and has no node selector also gets pods on these nodes."
    )
