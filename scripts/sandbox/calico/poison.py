"""Hostile CSRs, made to stop the signer for other pods: by size, by bytes that JSON cannot carry, or by name.

A separate Calico pod files each with its own token. `Dose.refusal` has the API server's error if the guards refuse it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox import managed_fields, protobuf
from sandbox.api import CSRS, ApiError, csr_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.api import Api
    from sandbox.calico.fleet import Fleet
    from sandbox.calico.world import World

BESIDE: Final = 24
"""Number of pods with hostile CSR names; each files its CSR before one honest pod."""
NAMES: Final = tuple(
    f"user not permitted to {verb} requests {number}" for number in range(BESIDE // 2) for verb in ("approve", "sign")
)
"""These names repeat kube-apiserver's error for a client without rights; any path segment is a legal CSR name."""
BROKEN: Final = b"\xff"
"""Bytes that are never valid UTF-8."""
DEPTHS: Final = (900, managed_fields.DEEPEST - 1)
"""Just below the depth that Python's JSON parser accepts, and the API server's own limit."""
_SIZE: Final = 1_540_000  # etcd accepts 1.5 MiB per request
_COMMA: Final = len(',"f:1000":')
_POLICY: Final = "poison"
_API: Final = "/apis/admissionregistration.k8s.io/v1"
_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of hostile CSR.

    Attributes:
        name: The fault.
        file: Files a pod's CSR with the fault.
    """

    name: str
    file: Callable[[Api, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """One hostile CSR that the API server stored or refused.

    Attributes:
        kind: The name of its kind.
        name: The CSR's name; if the API server refused it, the name of the pod's own CSR.
        uid: Its uid; empty if the API server refused it.
        refusal: The API server's error in that case.
    """

    kind: str
    name: str
    uid: str = ""
    refusal: str = ""


def _named(name: str) -> Kind:
    def file(api: Api, csr: Mapping[str, Any]) -> Mapping[str, Any]:
        renamed = {**csr, "metadata": {**csr["metadata"], "name": name}}
        body = protobuf.certificate_signing_request(renamed, annotations={"poison": BROKEN})
        return api.post_protobuf(CSRS, body)

    return Kind(name=f"named {name!r}", file=file)


def _annotated(api: Api, csr: Mapping[str, Any]) -> Mapping[str, Any]:
    return api.post_protobuf(CSRS, protobuf.certificate_signing_request(csr, annotations={"poison": BROKEN}))


def _generated(api: Api, csr: Mapping[str, Any]) -> Mapping[str, Any]:
    return api.post_protobuf(CSRS, protobuf.certificate_signing_request(csr, generate_name=BROKEN))


def _nested(levels: int) -> Kind:
    """Returns a CSR full of nested objects, up to etcd's size limit."""

    def file(api: Api, csr: Mapping[str, Any]) -> Mapping[str, Any]:
        chain = '{"f:a":' * levels + "{}" + "}" * levels
        chains = ",".join(f'"f:{number}":{chain}' for number in range(_SIZE // (len(chain) + _COMMA)))
        body = managed_fields.nested(csr, 1, "f:a")
        return api.post(CSRS, body.replace(b'{"f:a":{}}', f"{{{chains}}}".encode()))

    return Kind(name=f"managedFields {levels} deep", file=file)


KINDS: Final = (
    *map(_nested, DEPTHS),
    *[Kind(name="bytes in an annotation", file=_annotated)] * 2,
    *[Kind(name="bytes in generateName", file=_generated)] * 2,
    *map(_named, NAMES),
)


class Poison:
    """The pods that file hostile CSRs, and the filed CSRs.

    Attributes:
        doses: The CSRs in filing order.
    """

    def __init__(self, world: World, pods: Callable[[int], Fleet]) -> None:
        """Prepares the pods, without filing a CSR.

        Args:
            world: The cluster. It has a real API server: the double reads neither protobuf nor managedFields.
            pods: Makes the given number of pods.
        """
        self.doses: list[Dose] = []
        self._world = world
        self._pods = pods(len(KINDS))

    @property
    def uids(self) -> set[str]:
        """Returns the uids of the CSRs that the API server stored."""
        return {dose.uid for dose in self.doses if dose.uid}

    def file(self, count: int | None = None) -> None:
        """Files the next `count` kinds, or all remaining kinds, one after the other."""
        start = len(self.doses)
        for number in range(start, len(KINDS) if count is None else min(start + count, len(KINDS))):
            self.doses.append(_file(self._world, self._pods, number, KINDS[number]))

    def file_beside(self, honest: Fleet) -> None:
        """Files one before each honest pod's request, one after the other."""
        for number in range(len(honest.members)):
            self.file(1)
            honest.submit_one(number)


def _file(world: World, pods: Fleet, number: int, kind: Kind) -> Dose:
    csr = pods.request(number)
    try:
        filed = kind.file(pods.apis[number], csr)
    except ApiError as error:
        return Dose(kind=kind.name, name=csr["metadata"]["name"], refusal=error.message)
    world.remember(csr_path(filed["metadata"]["name"]))
    return Dose(kind=kind.name, name=filed["metadata"]["name"], uid=filed["metadata"]["uid"])


def refuse_decisions(world: World, name: str) -> None:
    """Creates an admission policy that refuses every decision on CSRs of these names; returns when it is enforced.

    It stands for policies of other operators that refuse a CSR because of its content.

    Args:
        world: The cluster.
        name: The name of a filed CSR, one of `NAMES`.

    Raises:
        TimeoutError: The API server does not enforce it.
    """
    rule = {
        "apiGroups": ["certificates.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["certificatesigningrequests/approval", "certificatesigningrequests/status"],
    }
    unless = "!object.metadata.name.startsWith('user not permitted ')"
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": unless, "message": "not this one", "reason": "Forbidden"}],
    }
    binding = {"policyName": _POLICY, "validationActions": ["Deny"]}
    kind = "ValidatingAdmissionPolicy"
    world.ensure(f"{_API}/validatingadmissionpolicies", kind, {"spec": policy}, _POLICY)
    world.ensure(f"{_API}/validatingadmissionpolicybindings", f"{kind}Binding", {"spec": binding}, _POLICY)
    end = time.monotonic() + _SECONDS
    while not _is_refused(world.api, name):
        if time.monotonic() > end:
            raise TimeoutError(f"the API server does not act on the policy {_POLICY!r} within {_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)


def _is_refused(admin: Api, name: str) -> bool:
    failed = {"type": "Failed", "status": "True", "reason": "Poison", "message": ""}
    try:
        admin.patch(csr_path(name, "status"), {"status": {"conditions": [failed]}}, dryRun="All")
    except ApiError as error:
        return _POLICY in error.message
    return False
