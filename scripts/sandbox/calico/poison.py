"""CSRs that are made to stop a signer for all others: by their size, by bytes that JSON cannot carry, by their name.

Each is filed by a Calico pod of its own, with that pod's token. `Dose.refusal` is what an API server says that refuses
one, as the guards make it do.
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
"""Pods whose CSRs have a name that is poison, one filed before each of as many honest pods."""
NAMES: Final = tuple(
    f"user not permitted to {verb} requests {number}" for number in range(BESIDE // 2) for verb in ("approve", "sign")
)
"""What kube-apiserver says of a client without rights; any path segment is a legal name of a CSR."""
BROKEN: Final = b"\xff"
"""No UTF-8, whatever comes next."""
DEPTHS: Final = (900, managed_fields.DEEPEST - 1)
"""Just less deep than Python reads JSON, and as deep as the API server takes."""
_SIZE: Final = 1_540_000  # etcd takes 1.5 MiB in one request
_COMMA: Final = len(',"f:1000":')
_POLICY: Final = "poison"
_API: Final = "/apis/admissionregistration.k8s.io/v1"
_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of poison.

    Attributes:
        name: What is wrong.
        file: Files a pod's CSR with it.
    """

    name: str
    file: Callable[[Api, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """One CSR that was filed, or refused.

    Attributes:
        kind: Name of its kind.
        name: The CSR's name, or the pod's own CSR's where the API server refused it.
        uid: Its uid, empty where the API server refused it.
        refusal: What the API server said then.
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
    """Chains of objects side by side, as many as etcd stores: no other text of a size is more objects."""

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
    """The pods that file it, and what they have filed.

    Attributes:
        doses: In the order in which they were filed.
    """

    def __init__(self, world: World, pods: Callable[[int], Fleet]) -> None:
        """Nothing is filed yet.

        Args:
            world: Where: on a real API server, as the double takes neither protobuf nor managedFields.
            pods: Makes as many pods as are asked for.
        """
        self.doses: list[Dose] = []
        self._world = world
        self._pods = pods(len(KINDS))

    @property
    def uids(self) -> set[str]:
        """Of the CSRs that the API server took."""
        return {dose.uid for dose in self.doses if dose.uid}

    def file(self, count: int | None = None) -> None:
        """File so many more of the kinds, or all that are left, one after the other."""
        start = len(self.doses)
        for number in range(start, len(KINDS) if count is None else min(start + count, len(KINDS))):
            self.doses.append(_file(self._world, self._pods, number, KINDS[number]))

    def file_beside(self, honest: Fleet) -> None:
        """File one more before each of the honest pods' requests, all one after the other."""
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
    """Put an admission policy in by which nobody decides CSRs of these names; return when it is in force.

    Any cluster may have policies of others: this one stands for those that refuse a CSR for what is in it.

    Args:
        world: Where.
        name: Of a CSR that was filed, one of `NAMES`.

    Raises:
        TimeoutError: The API server does not act on it.
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
