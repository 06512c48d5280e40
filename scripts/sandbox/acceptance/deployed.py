"""With --deployed: the signer as it is deployed. Without --evict and --attack nothing changes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.acceptance import attack, journey, pods
from sandbox.acceptance.pods import Workload
from sandbox.acceptance.report import Outcome, failed, ok, skipped
from sandbox.acceptance.throwaway import checked
from sandbox.api import NAMESPACES, NODES, Api, ApiError
from sandbox.calico.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.acceptance.options import Options
    from sandbox.acceptance.report import Run

_SECONDS = 120.0
_LEVELS = {"ok": ok, "warning": ok, "error": failed, "skipped": skipped}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """The deployed signer.

    Attributes:
        name: Its signerName.
        trust_bundle: PEM file of the CAs that its certificates must chain to.
    """

    name: str
    trust_bundle: Path


def signer_of(options: Options) -> Signer:
    """Returns the cluster's first signer in the configuration document.

    Raises:
        ValueError: The document has none.
    """
    path = options.configuration
    if path is None:
        raise ValueError("--configuration: Required value")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        signers = [each for each in document["signers"] if options.cluster in {None, each["cluster"]}]
        first = signers[0]
        return Signer(name=first["signer_name"], trust_bundle=path.parent / first["issuer"]["trust_bundle"])
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: has no signer of the cluster {options.cluster or 'that it names'}") from error


def intentions(options: Options, workload: Workload) -> str:
    """Returns what the run does to the cluster."""
    lines = [f"evicts the pod {options.evict} once, through the Eviction API"] if options.evict else []
    if options.attack:
        lines.append(
            f"creates the namespace {workload.namespace} with an account, a binding of tigera-csr-creator and a pod\n"
            f"that no node runs, files one hostile CSR for {signer_of(options).name} from it, and deletes all of them"
        )
    return "\n".join(lines) or "reads only"


def run(options: Options, run: Run, workload: Workload, directory: Path) -> None:
    """Makes all checks."""
    _doctor(options, run)
    with Api.from_kubeconfig(options.kubeconfig) as api:
        way = _evicted(options, run, api, directory)
        run.add("records of that CSR", _records(options, way))
        if options.attack:
            run.check("hostile CSR is refused", lambda: _attacked(options, api, workload))
        else:
            run.add("hostile CSR is refused", skipped("needs --attack"))


def _doctor(options: Options, run: Run) -> None:
    """Adds a check for each of doctor's."""
    command = [sys.executable, "-m", "signerctl", "doctor", *options.doctor, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    try:
        items = json.loads(done.stdout)["items"]
    except (ValueError, KeyError):
        run.add("signerctl doctor", failed(done.stderr.strip()[-1000:]))
        return
    for item in items:
        todo = f"; to do: {item['remedy']}" if item["remedy"] else ""
        level = "warning: " if item["level"] == "warning" else ""
        run.add(f"doctor {item['check']}", _LEVELS[item["level"]](f"{level}{item['found']}{todo}"))


def _evicted(options: Options, run: Run, api: Api, directory: Path) -> journey.Journey | None:
    """Evicts the operator's pod, and follows its replacement."""
    name = "pod of a kubelet"
    if not journey.kubelets(api):
        run.add(name, skipped("no kubelet: no node is Ready"))
        return None
    if options.evict is None:
        run.add(name, skipped("needs --evict NAMESPACE/POD"))
        return None
    namespace, _, pod = options.evict.partition("/")
    try:
        find = journey.evict(api, namespace, pod)
    except (ApiError, ValueError) as error:
        run.add(name, failed(journey.refusal(error) if isinstance(error, ApiError) else str(error)))
        return None
    signer = signer_of(options)
    way = journey.follow(api, find, signer_name=signer.name, seconds=options.seconds, until_ready=True)
    checked(run, way, prefix=name, trust_bundle=signer.trust_bundle, directory=directory)
    run.check(f"{name}: Ready", lambda: ok(way.text) if "Ready" in way.seconds else failed(way.text))
    if way.issued:
        run.check(f"{name}: host network", lambda: journey.host_addresses(api, way.pod))
    return way


def _records(options: Options, way: journey.Journey | None) -> Outcome:
    """Looks for the function's records of the CSR in Cloud Logging."""
    if way is None or not way.csr:
        return skipped("no CSR")
    if options.project is None or shutil.which("gcloud") is None:
        return skipped("needs --project, and gcloud in PATH")
    uid = way.csr["metadata"]["uid"]
    query = f'labels.log="csr-signer" AND labels.csr_uid="{uid}"'
    command = ["gcloud", "logging", "read", query, "--project", options.project, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        return failed(f"gcloud: {done.stderr.strip()[-500:]}")
    events = [entry.get("labels", {}).get("event", "?") for entry in json.loads(done.stdout or "[]")]
    wanted = {"intent", "issued"}
    return ok(", ".join(events)) if wanted <= set(events) else failed(f"{events}: intent and issued are expected")


def _attacked(options: Options, api: Api, workload: Workload) -> Outcome:
    hostile = Workload(namespace=workload.namespace, signer_name=signer_of(options).name)
    with World(api) as world:
        try:
            if not world.has_role():  # `remove` would delete that of a served demo
                world.add_role()
            world.add_namespace(hostile.namespace)
            world.add_service_account(hostile.namespace, pods.ACCOUNT, binding=f"{hostile.namespace}:csr-creator")
            name = f"node-certs:calico-node-{hostile.namespace[-5:]}"
            return attack.refused(world, hostile, request_name=name, seconds=options.seconds)
        finally:
            world.remove()


def facts(api: Api) -> Outcome:
    """Returns what the cluster is: Kubernetes' version, nodes, and Calico."""
    version = api.get("/version")["gitVersion"]
    nodes = api.get(NODES)["items"]
    calico = [_image(pod) for pod in api.get(f"{NAMESPACES}/calico-system/pods")["items"]]
    images = ", ".join(sorted(set(filter(None, calico)))) or "no Calico pods"
    return ok(f"Kubernetes {version}; {len(nodes)} nodes, {journey.kubelets(api)} Ready; {images}")


def _image(pod: dict[str, Any]) -> str:
    """Returns the image of a calico-node pod."""
    containers = pod["spec"]["containers"]
    return str(containers[0]["image"]) if pod["metadata"]["name"].startswith("calico-node") else ""
