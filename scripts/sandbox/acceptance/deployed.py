"""With --deployed: the signer as it is deployed. Without --evict and --attack nothing changes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.acceptance import attack, journey, pods, removal
from sandbox.acceptance.pods import Workload
from sandbox.acceptance.report import Outcome, failed, ok, skipped, warning
from sandbox.acceptance.throwaway import checked
from sandbox.api import NAMESPACES, Api, ApiError
from sandbox.calico.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.acceptance.options import Options
    from sandbox.acceptance.report import Run

_SECONDS = 120.0
_LEVELS = {"ok": ok, "warning": warning, "error": failed, "not_applicable": skipped, "unknown": skipped}


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
            f"creates the namespace {workload.namespace} with an account, a role and a binding for it, and two pods\n"
            f"that no node runs, files a hostile CSR for {signer_of(options).name} from each, and deletes all of them"
        )
    return "\n".join(lines) or "reads only"


def run(options: Options, run: Run, workload: Workload, directory: Path) -> None:
    """Makes all checks."""
    with run.checks("signerctl doctor"):
        _doctor(options, run)
    with Api.from_kubeconfig(options.kubeconfig) as api:
        way = journey.Journey()
        with run.checks("pod of a kubelet"):
            way = _evicted(options, run, api, directory)
        run.check("records of that CSR", lambda: _records(options, way))
        if options.attack:
            _attack(options, run, api, workload)
        else:
            run.add("hostile CSRs are refused", skipped("needs --attack"))


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
        run.add(f"doctor {item['check']}", _LEVELS[item["level"]](f"{item['found']}{todo}"))


def _evicted(options: Options, run: Run, api: Api, directory: Path) -> journey.Journey:
    """Evicts the operator's pod, and follows its replacement; the journey has no CSR if it could not."""
    name = "pod of a kubelet"
    if options.evict is None:
        run.add(name, skipped("needs --evict NAMESPACE/POD"))
        return journey.Journey()
    signer = signer_of(options)  # before the eviction: the document may have none
    namespace, _, pod = options.evict.partition("/")
    try:
        find = journey.evict(api, namespace, pod)
    except (ApiError, ValueError) as error:
        run.add(name, failed(journey.refusal(error) if isinstance(error, ApiError) else str(error)))
        return journey.Journey()
    way = journey.follow(api, find, signer_name=signer.name, seconds=options.seconds, until_ready=True)
    checked(run, way, prefix=name, trust_bundle=signer.trust_bundle, directory=directory)
    run.check(f"{name}: Ready", lambda: ok(way.text) if "Ready" in way.seconds else failed(way.text))
    if way.issued:
        run.check(f"{name}: host network", lambda: journey.host_addresses(api, way.pod))
    return way


def _records(options: Options, way: journey.Journey) -> Outcome:
    """Looks for the function's records of the CSR in Cloud Logging."""
    if options.project is None:
        return skipped("needs --evict and --project")
    if not way.csr:
        return failed("no CSR")
    if shutil.which("gcloud") is None:
        return failed("gcloud: Not found in PATH")
    uid = way.csr["metadata"]["uid"]
    query = f'labels.log="csr-signer" AND labels.csr_uid="{uid}"'
    command = ["gcloud", "logging", "read", query, "--project", options.project, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        return failed(f"gcloud: {done.stderr.strip()[-500:]}")
    events = [entry.get("labels", {}).get("event", "?") for entry in json.loads(done.stdout or "[]")]
    wanted = {"intent", "issued"}
    return ok(", ".join(events)) if wanted <= set(events) else failed(f"{events}: intent and issued are expected")


def _attack(options: Options, run: Run, api: Api, workload: Workload) -> None:
    hostile = Workload(namespace=workload.namespace, signer_name=signer_of(options).name)
    with World(api) as world:
        removal.removed_after(
            run,
            lambda: _hostile_checks(options, run, world, hostile),
            lambda: removal.outcome(world.remove, world, api),
        )


def _hostile_checks(options: Options, run: Run, world: World, hostile: Workload) -> None:
    with run.checks("hostile CSRs are refused"):
        world.add_namespace(hostile.namespace)
        world.add_requester(hostile.namespace, pods.ACCOUNT)
        name = f"node-certs:calico-node-{hostile.namespace[-5:]}"
        attack.run(run, world, hostile, request_name=name, seconds=options.seconds)


def facts(api: Api) -> Outcome:
    """Returns what the cluster is: Kubernetes' version, nodes, and Calico."""
    version = api.get("/version")["gitVersion"]
    nodes, ready = journey.nodes(api)
    calico = [_image(pod) for pod in api.get(f"{NAMESPACES}/calico-system/pods")["items"]]
    images = ", ".join(sorted(set(filter(None, calico)))) or "no Calico pods"
    found = f"Kubernetes {version}; {nodes} nodes, {ready} Ready; {images}"
    return ok(found) if ready else warning(f"{found}; without a Ready node, no kubelet is tested")


def _image(pod: dict[str, Any]) -> str:
    """Returns the image of a calico-node pod."""
    containers = pod["spec"]["containers"]
    return str(containers[0]["image"]) if pod["metadata"]["name"].startswith("calico-node") else ""
