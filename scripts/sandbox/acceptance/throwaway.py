"""Without --deployed: a signer for the run. Function, exporter and KMS run here; their objects leave with the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import manifests
from sandbox.acceptance import attack, issued, journey, pods, removal
from sandbox.acceptance.pods import Workload
from sandbox.acceptance.report import Outcome, failed, ok, skipped
from sandbox.api import NAMESPACES, Api, ApiError, quoted
from sandbox.calico.render import OURS
from sandbox.deployment import Deployment, Settings, UserProfile

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.acceptance.options import Options
    from sandbox.acceptance.report import Run
    from sandbox.calico.world import Pod

_NOT_FOUND = 404
_NETWORKS = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")  # any cluster's pods
_PROFILE = """\
name: {account}
usages: [digital signature, key encipherment, key agreement, server auth, client auth]
subject:
  "2.5.4.6": US
  "2.5.4.8": California
  "2.5.4.7": San Francisco
  "2.5.4.10": Tigera
  "2.5.4.11": Engineering
lifetime: {{default: 1d, minimum: 10m, maximum: 1d}}
components:
  - name: {account}
    service_accounts: [{namespace}/{account}]
    request_names: [{{name: "{account}:{{pod}}"}}]
    common_name: {account}
    dns_names: [{{name: {account}}}]
    extended_key_usage: [serverAuth, clientAuth]
    addresses: omit
  - name: {victim.workload}
    service_accounts: [{namespace}/{victim.service_account}]
    request_names: [{{name: "{victim.secret}:{{pod}}"}}]
    common_name: {victim.common_name}
    dns_names: [{{name: {victim.dns_names[0]}}}]
    extended_key_usage: [serverAuth, clientAuth]
    addresses: omit
"""


def intentions(workload: Workload) -> str:
    """Returns what the run does to the cluster."""
    return (
        f"creates the namespaces {workload.namespace} and {manifests.NAMESPACE}, service accounts, roles and\n"
        f"bindings for them, pods in {workload.namespace},\n"
        f"and CSRs for {workload.signer_name}; all but those of a kubelet's pod have the label {removal.LABEL}.\n"
        "The run deletes them at the end, even after Ctrl-C."
    )


def refuse_if_deployed(api: Api) -> None:
    """Checks that the cluster has no signer yet, whose objects would have the same names as those of this run.

    Raises:
        ValueError: It has one.
    """
    try:
        found = api.get(f"{NAMESPACES}/{manifests.NAMESPACE}")
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return
        raise
    where = f"the namespace {manifests.NAMESPACE} exists"
    if (found["metadata"].get("labels") or {}).items() >= OURS.items():
        raise ValueError(
            f"{where}: a served demo or another run uses this cluster; for a served demo use --deployed. If an earlier"
            " run left it, delete it: kubectl delete namespaces,clusterroles,clusterrolebindings,roles,rolebindings"
            f" --namespace default --selector {removal.LABEL}"
        )
    raise ValueError(f"{where}: the signer is deployed here; use --deployed")


def run(options: Options, run: Run, workload: Workload, directory: Path) -> None:
    """Makes all checks."""
    profile = directory / "acceptance.yaml"
    text = _PROFILE.format(account=pods.ACCOUNT, namespace=workload.namespace, victim=attack.VICTIM)
    profile.write_text(text, encoding="utf-8")
    folder = directory / "signer"
    folder.mkdir()
    settings = Settings(
        directory=folder,
        plane=options.kubeconfig,
        calico=False,
        force=True,  # the run creates nothing in Calico's namespace
        kms=options.kms,
        profiles={
            workload.signer_name: UserProfile(file=profile, namespaces=(workload.namespace,), networks=_NETWORKS)
        },
    )
    deployment = Deployment(settings)
    removal.removed_after(
        run, lambda: _all_checks(options, run, deployment, workload), lambda: _stop(options, deployment)
    )


def _all_checks(options: Options, run: Run, deployment: Deployment, workload: Workload) -> None:
    if run.check("signer for this run", lambda: _start(deployment, workload)).level == "failed":
        return
    is_issued = False
    with run.checks("pod without kubelet"):
        is_issued = _without_kubelet(options, run, deployment, workload)
    if not is_issued:
        run.add(
            "further checks", failed("not run: the first pod got no certificate, so each of them would time out too")
        )
        return
    name = f"{workload.component.request_name(pods.ACCOUNT)}-other"
    attack.run(run, deployment.world, workload, request_name=name, seconds=options.seconds)
    with run.checks("pod of a kubelet"):
        _with_kubelet(options, run, deployment, workload)


def _start(deployment: Deployment, workload: Workload) -> Outcome:
    deployment.start()
    deployment.world.add_requester(workload.namespace, pods.ACCOUNT)
    return ok(f"{workload.signer_name}: function, exporter, Google's doubles and KMS run here")


def _stop(options: Options, deployment: Deployment) -> Outcome:
    if not hasattr(deployment, "world"):
        return ok("the run created none")
    with Api.from_kubeconfig(options.kubeconfig) as api:
        return removal.outcome(deployment.stop, deployment.world, api)


def _without_kubelet(options: Options, run: Run, deployment: Deployment, workload: Workload) -> bool:
    pod = pods.create(deployment.world, workload)
    pods.file(deployment.world, pod, pods.environment(workload, pod))
    return _certificate(options, run, deployment, pod, prefix="pod without kubelet", kubelet=False)


def _with_kubelet(options: Options, run: Run, deployment: Deployment, workload: Workload) -> None:
    name = "pod of a kubelet"
    if options.image is None:
        run.add(name, skipped("needs --image"))
    else:
        pod = pods.create(deployment.world, workload, image=options.image)
        _certificate(options, run, deployment, pod, prefix=name, kubelet=True)


def _certificate(options: Options, run: Run, deployment: Deployment, pod: Pod, *, prefix: str, kubelet: bool) -> bool:
    """Follows a pod to its certificate, checks it, and tells whether there is one."""
    path = f"{NAMESPACES}/{pod.namespace}/pods/{quoted(pod.name)}"
    workload = Workload(namespace=pod.namespace, signer_name=next(iter(deployment.settings.profiles)))
    way = journey.follow(
        deployment.api,
        lambda: deployment.api.get(path),
        signer_name=workload.signer_name,
        seconds=options.seconds,
        until_ready=kubelet,
    )
    checked(run, way, prefix=prefix, trust_bundle=deployment.certificate_authority, directory=deployment.directory)
    return way.issued


def checked(run: Run, way: journey.Journey, *, prefix: str, trust_bundle: Path, directory: Path) -> None:
    """Adds the checks of a journey's end."""
    run.add(f"{prefix}: certificate", ok(way.text) if way.issued else failed(way.text), way.waited)
    if not way.issued:
        return
    run.check(f"{prefix}: chain", lambda: issued.chain(way.csr, trust_bundle, directory))
    run.check(f"{prefix}: key and names", lambda: issued.key_and_names(way.csr))
    run.check(f"{prefix}: token", lambda: issued.extras(way.csr, way.pod))
    run.add(f"{prefix}: address", way.address_visibility())
