"""Finds the CSRs that an operator means: by a CSR's name, or by the name of the pod that filed them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from csr_signer import field_error
from csr_signer.policy.attestation import POD_NAME
from csr_signer.rfc1123 import IS_SUBDOMAIN
from csr_signer.violation import quote
from signerctl import objects
from signerctl.api_server import ApiServer, Json
from signerctl.interface.program import CommandError
from signerctl.interface.text import warn
from signerctl.objects import CSRS, SERVICE_ACCOUNT

_MAX_CSRS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a name means.

    Attributes:
        csrs: The CSRs, the newest first.
        pod: The pod, if the operator named a pod that exists.
    """

    csrs: tuple[Json, ...]
    pod: Json | None


def find(
    api: ApiServer, name: str, *, namespace: str | None, namespaces: Collection[str], signer_names: Collection[str]
) -> Found:
    """Finds the CSRs of a name.

    Args:
        api: The API server.
        name: A CSR's or pod's name; `csr/NAME`, `pod/NAME` or `NAMESPACE/NAME` says which.
        namespace: The pod's namespace; None: any of the profiles'.
        namespaces: The profiles' namespaces.
        signer_names: The function's signerNames. A pod may have CSRs of other signers, which are not the function's.

    Raises:
        CommandError: Nothing has this name, or several pods have it.
    """
    kind, _, rest = name.partition("/")
    if rest and kind not in {"csr", "pod"}:
        kind, namespace = "pod", kind
    elif not rest:
        kind, rest = "", name
    searched = [namespace] if namespace else sorted(namespaces)
    csr = None if kind == "pod" else api.get(objects.named(CSRS, rest), objects.CSR)
    is_pod_name = kind != "csr" and IS_SUBDOMAIN.fullmatch(rest) is not None  # Calico's CSRs have a colon in their name
    of_pod = _of_pod(api, rest, searched, signer_names) if is_pod_name else None
    if csr is not None and of_pod is not None:
        # Any user may give a CSR the name of another's pod.
        must = f"a CSR and a pod have this name: give csr/{rest} or pod/{rest}"
        raise CommandError(field_error.invalid("POD|CSR", rest, must))
    found = of_pod if csr is None else Found(csrs=(csr,), pod=None)
    if found is None:
        raise CommandError(_nothing(rest, kind, searched))
    return found


def _nothing(name: str, kind: str, searched: list[str]) -> str:
    pods = f"pods in {', '.join(searched)}, and CSRs that such a pod filed"
    where = {"csr": "CSRs by name", "pod": pods}.get(kind, f"CSRs by name, {pods}")
    hint = "kubectl get csr and kubectl get pods list names; give the pod's namespace with --namespace"
    return f"{field_error.not_found('POD|CSR', name, f'searched {where}')}: {hint}"


def _of_pod(api: ApiServer, name: str, namespaces: list[str], signer_names: Collection[str]) -> Found | None:
    pods = [
        pod
        for each in namespaces
        if (pod := api.get(objects.named(f"/api/v1/namespaces/{each}/pods", name), objects.POD)) is not None
    ]
    if len(pods) > 1:
        places = " or ".join(f"{pod['metadata']['namespace']}/{name}" for pod in pods)
        raise CommandError(f"POD|CSR: Invalid value: {quote(name)}: several pods have this name: give {places}")
    wanted = {pod["metadata"]["namespace"] for pod in pods} or set(namespaces)
    csrs = sorted(
        (csr for csr in _filed(api, name, signer_names) if requester(csr)[0] in wanted),
        key=objects.created,
        reverse=True,
    )
    if len(csrs) > _MAX_CSRS:
        warn(f"the pod has {len(csrs)} CSRs: the newest {_MAX_CSRS} are explained")
    return Found(csrs=tuple(csrs[:_MAX_CSRS]), pod=pods[0] if pods else None) if pods or csrs else None


def _filed(api: ApiServer, pod: str, signer_names: Collection[str]) -> Iterator[Json]:
    """Yields the CSRs that a pod of this name filed, by what the API server recorded about the token."""
    for name in signer_names:
        for csr in api.list(CSRS, objects.CSR, fieldSelector=f"spec.signerName={name}"):
            if csr["spec"]["signerName"] == name and requester(csr)[1] == pod:
                yield csr


def requester(csr: Json) -> tuple[str, str]:
    """Returns namespace and name of the pod behind a CSR, as the API server recorded them; empty if there is none."""
    spec = csr["spec"]
    username = str(spec.get("username", ""))
    names = (spec.get("extra") or {}).get(POD_NAME) or ("",)
    if not username.startswith(SERVICE_ACCOUNT) or not names[0]:
        return "", ""
    return username.removeprefix(SERVICE_ACCOUNT).partition(":")[0], str(names[0])
