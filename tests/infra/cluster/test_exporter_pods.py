"""The guard of the exporter's namespace on a real API server: the manifests' pod is let in, no loosened one is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import NAMESPACES, Api, ApiError
from tests.infra.cluster.manifests import EXAMPLES
from tests.infra.cluster.requesters import Requesters, refusal, until_not_refused, until_refused

if TYPE_CHECKING:
    from sandbox.control_plane.real import RealControlPlane

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("guarded")]

PODS = f"{NAMESPACES}/kms-csr-signer/pods"
Document = dict[str, Any]


@pytest.fixture(scope="module", params=["demo", "pod"])
def template(
    request: pytest.FixtureRequest, render: Callable[[str], list[Document]], requesters: Requesters
) -> Document:
    """The pod of the StatefulSet, with a priority that needs no quota."""
    requesters.world.add_account("kms-csr-signer", "default")
    (stateful_set,) = [each for each in render(request.param) if each["kind"] == "StatefulSet"]
    found: Document = stateful_set["spec"]["template"]
    found["spec"].pop("priorityClassName")
    return found


def attempt(api: Api, template: Document, change: Callable[[Document, Document], object]) -> Callable[[], object]:
    """Creates the pod after a change of its spec or container; nothing is kept."""
    pod = copy.deepcopy(template)
    change(pod["spec"], pod["spec"]["containers"][0])
    pod["metadata"]["name"] = "csr-exporter-9"
    return lambda: api.post(PODS, pod, dryRun="All")


def put(where: Document, **values: object) -> None:
    """Sets keys."""
    where.update(values)


def context(container: Document, **values: object) -> None:
    """Sets keys of the container's securityContext."""
    container["securityContext"].update(values)


def probe(container: Document, **values: object) -> None:
    """Sets keys of a probe's httpGet."""
    container["readinessProbe"]["httpGet"].update(values)


def seccomp(spec: Document, kind: str) -> None:
    """Sets the pod's seccomp profile."""
    spec["securityContext"]["seccompProfile"] = {"type": kind}


def unmask(spec: Document, container: Document) -> None:
    """Shows the container all of /proc, which needs a user namespace."""
    put(spec, hostUsers=False)
    context(container, procMount="Unmasked")


LOOSENED: dict[str, tuple[Callable[[Document, Document], object], str]] = {
    "another account": (lambda s, _: put(s, serviceAccountName="default"), "serviceAccountName"),
    "the host's processes": (lambda s, _: put(s, hostPID=True), "hostPID and hostIPC"),
    "the host's IPC": (lambda s, _: put(s, hostIPC=True), "hostPID and hostIPC"),
    "the host's files": (
        lambda s, _: s["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "spec.volumes: Unsupported value",
    ),
    "a Secret": (
        lambda s, _: s["volumes"].append({"name": "secret", "secret": {"secretName": "any"}}),
        "spec.volumes: Unsupported value",
    ),
    "a projected Secret": (
        lambda s, _: s["volumes"].append({"name": "any", "projected": {"sources": [{"secret": {"name": "any"}}]}}),
        "Forbidden: Secrets",
    ),
    "a Secret in a variable": (
        lambda _, c: c["env"].append(
            {"name": "ANY", "valueFrom": {"secretKeyRef": {"name": "any", "key": "any", "optional": True}}}
        ),
        "Forbidden: Secrets",
    ),
    "a Secret in the environment": (
        lambda _, c: put(c, envFrom=[{"secretRef": {"name": "any"}}]),
        "Forbidden: Secrets",
    ),
    "sysctls": (lambda s, _: put(s["securityContext"], sysctls=[{"name": "net.a", "value": "1"}]), "sysctls"),
    "user 0 of the pod": (lambda s, _: put(s["securityContext"], runAsUser=0), "user 0"),
    "SELinux options of the pod": (lambda s, _: put(s["securityContext"], seLinuxOptions={"role": "any"}), "SELinux"),
    "AppArmor unconfined": (
        lambda s, _: put(s["securityContext"], appArmorProfile={"type": "Unconfined"}),
        "AppArmor Unconfined",
    ),
    "a tag": (lambda _, c: put(c, image="csr-exporter:latest"), "image: Invalid value"),
    "a tag before a space": (lambda _, c: put(c, image=f"any:latest @sha256:{'0' * 64}"), "image: Invalid value"),
    "privileged": (
        lambda _, c: context(c, privileged=True, allowPrivilegeEscalation=True),
        "allowPrivilegeEscalation: Invalid value: must be false",
    ),
    "privilege escalation": (lambda _, c: c["securityContext"].pop("allowPrivilegeEscalation"), "must be false"),
    "capabilities kept": (
        lambda _, c: c["securityContext"].pop("capabilities"),
        "capabilities: Invalid value: must drop ALL",
    ),
    "a capability added": (
        lambda _, c: context(c, capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
        "capabilities: Invalid value: must drop ALL",
    ),
    "root": (lambda s, _: s["securityContext"].pop("runAsNonRoot"), "runAsNonRoot: Invalid value: must be true"),
    "root in the container": (lambda _, c: context(c, runAsNonRoot=False), "runAsNonRoot: Invalid value: must be true"),
    "user 0": (lambda _, c: context(c, runAsUser=0), "runAsUser must not be 0"),
    "seccomp unconfined": (lambda s, _: seccomp(s, "Unconfined"), "seccompProfile"),
    "no seccomp": (lambda s, _: s["securityContext"].pop("seccompProfile"), "seccompProfile"),
    "the container's seccomp": (lambda _, c: context(c, seccompProfile={"type": "Unconfined"}), "seccompProfile"),
    "proc unmasked": (unmask, "procMount"),
    "a port of the host": (lambda _, c: put(c, ports=[{"containerPort": 9876, "hostPort": 9876}]), "hostPort"),
    "a probe elsewhere": (lambda _, c: probe(c, host="169.254.169.254"), "probes that do not use HTTP on 127.0.0.1"),
    "a TCP probe": (
        lambda _, c: put(c, startupProbe={"tcpSocket": {"host": "10.0.0.1", "port": 80}}),
        "probes that do not use HTTP on 127.0.0.1",
    ),
    "a hook": (
        lambda _, c: put(c, lifecycle={"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}),
        "lifecycle hooks",
    ),
    "an unpinned init container": (
        lambda s, c: put(s, initContainers=[{"name": "init", "image": "any", "securityContext": c["securityContext"]}]),
        "image: Invalid value",
    ),
}
"""By what is loosened: how, and a part of what is said."""


def test_the_manifests_pod_is_let_in(api: Api, template: Document) -> None:
    """As it is, with or without the host's network."""
    assert fails(attempt(api, template, lambda *_: None)) == 0


@pytest.mark.parametrize("loosened", LOOSENED)
def test_a_loosened_pod_is_not(api: Api, template: Document, loosened: str) -> None:
    """One field at a time."""
    change, words = LOOSENED[loosened]
    if template["spec"].get("hostNetwork") and loosened in ("proc unmasked", "sysctls"):
        # Beside hostNetwork the API server itself refuses them, before it asks any policy.
        with pytest.raises(ApiError, match="422"):
            attempt(api, template, change)()
        return
    assert words in refusal(attempt(api, template, change))


def test_no_container_is_added_to_a_running_pod(api: Api, template: Document, guarded: RealControlPlane) -> None:
    """`kubectl debug` would put one into the exporter's pod, beside its tokens; nor is its image changed to a tag."""
    pod = copy.deepcopy(template)
    pod["metadata"]["name"] = "csr-exporter-8"
    path = f"{PODS}/csr-exporter-8"
    api.post(PODS, pod)
    try:
        ephemeral = [{"name": "debug", "image": pod["spec"]["containers"][0]["image"]}]
        debug = {"spec": {"ephemeralContainers": ephemeral}}
        words = refusal(lambda: api.patch(f"{path}/ephemeralcontainers", debug, subtype="strategic-merge"))
        assert words == "spec.ephemeralContainers: Forbidden"
        image = {"spec": {"containers": [{"name": "csr-exporter", "image": "csr-exporter:latest"}]}}
        assert "image: Invalid value" in refusal(lambda: api.patch(path, image, subtype="strategic-merge"))
        api.patch(path, {"metadata": {"labels": {"a": "b"}}})
    finally:
        api.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})


def test_a_pod_from_before_loses_its_finalizers(api: Api, kubectl: Callable[..., object], template: Document) -> None:
    """Else a pod that was there before the policy, with a finalizer, could never be deleted; it is not loosened."""
    pod = copy.deepcopy(template)
    pod["metadata"] |= {"name": "csr-exporter-7", "finalizers": ["example.com/any"]}
    pod["spec"]["containers"][0]["image"] = "csr-exporter:latest"
    path = f"{PODS}/csr-exporter-7"
    kubectl("delete", "validatingadmissionpolicybinding", "kms-csr-signer-exporter-pods")
    try:
        until_not_refused(lambda: fails(lambda: api.post(PODS, pod)))
    finally:
        kubectl("apply", "-k", str(EXAMPLES / "demo"))
    try:
        until_refused("kms-csr-signer-exporter-pods", attempt(api, template, lambda _, c: put(c, image="any")))
        image = {"spec": {"containers": [{"name": "csr-exporter", "image": "csr-exporter:other"}]}}
        assert "image: Invalid value" in refusal(lambda: api.patch(path, image, subtype="strategic-merge"))
        api.patch(path, {"metadata": {"labels": {"a": "b"}}})
    finally:
        api.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
        api.patch(path, {"metadata": {"finalizers": None}})
    with pytest.raises(ApiError, match="404"):
        api.get(path)


def fails(call: Callable[[], object]) -> int:
    """0 where a call succeeds, as a command says it."""
    try:
        call()
    except ApiError:
        return 1
    return 0


def test_other_namespaces_are_not_its_business(api: Api) -> None:
    """Any pod elsewhere is as before."""
    spec = {"hostPID": True, "serviceAccountName": "calico-node", "containers": [{"name": "any", "image": "any"}]}
    pod = api.post(f"{NAMESPACES}/calico-system/pods", {"metadata": {"name": "any"}, "spec": spec}, dryRun="All")
    assert pod["spec"]["hostPID"] is True
