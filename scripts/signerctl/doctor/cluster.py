"""What the cluster runs: Calico's Installation and release, and the guards."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from csr_signer.objects.json_fields import Mask
from csr_signer.violation import quote
from signerctl import installation as calico
from signerctl.api_server import ApiServer, Json
from signerctl.ca import verification
from signerctl.cluster.rendering import NO_GUARDS
from signerctl.doctor import result
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.guards import manifest
from signerctl.options import ACTIONS

_INSTALLATION: Final = "/apis/operator.tigera.io/v1/installations/default"
_CLUSTER_INFORMATION: Final = "/apis/crd.projectcalico.org/v1/clusterinformations/default"
_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
_COLLECTIONS: Final = {
    "ValidatingAdmissionPolicy": f"{_ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
}
_DEFAULTS: Final[Mapping[str, object]] = {
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "scope": "*",
}
"""What the API server adds to a policy's matchConstraints."""
_MINOR: Final = re.compile(r"v?([0-9]+\.[0-9]+)(?:[.-].*)?")
_VERSION: Final[Mask] = {"status": {"calicoVersion": None}, "spec": {"calicoVersion": None}}


def installation(examination: Examination) -> Result:
    """Checks that Calico asks this signer, and accepts its certificates."""
    document = examination.api.get(_INSTALLATION)
    if document is None:
        return result.not_applicable("the cluster has no Installation of the tigera operator")
    if not (document.get("spec") or {}).get("certificateManagement"):
        return result.warning(
            "Installation default: spec.certificateManagement: Required value: Calico does not ask the signer",
            "last step of the installation: `signerctl ca bundle` writes the patch",
        )
    management = calico.parse(json.dumps(document).encode())
    matching = [each for each in examination.signers if each.signer_name == management.signer_name]
    signer = (matching or examination.signers)[0]
    checks = verification.check_installation(management, signer.issuer, examination.now, signer_name=signer.signer_name)
    remedy = "`signerctl ca bundle` writes the right patch; docs/rotation.md has the order during a rotation"
    return result.worst(result.of_checks(checks, remedy, prefix="Installation default: "))


def release(examination: Examination) -> Result:
    """Compares Calico's release in the cluster with the release of the profile."""
    configured = {
        signer.profile.release
        for signer in examination.document.signers
        if signer.cluster == examination.cluster and signer.profile.name == "calico" and signer.profile.release
    }
    if not configured:
        return result.not_applicable("no signer has the profile calico")
    tellers = [
        each
        for path in (_INSTALLATION, _CLUSTER_INFORMATION)
        if (each := examination.api.get(path, _VERSION)) is not None
    ]
    if not tellers:
        return result.not_applicable(
            "Calico is not installed: the cluster has no Installation and no ClusterInformation"
        )
    running = next(filter(None, map(_calico_version, tellers)), None)
    if running is None:
        return result.unknown("neither Installation default nor ClusterInformation default tells Calico's version")
    match = _MINOR.fullmatch(running)
    if match is not None and {match[1]} == configured:
        return result.ok(f"Calico {quote(running)} runs, as profile.release")
    return result.error(
        f"Calico {quote(running)} runs, but profile.release is {', '.join(map(quote, sorted(configured)))}",
        "if you installed that release, write it into the configuration, run `terraform apply`, and apply the"
        " cluster's manifests, whose guards depend on it",
    )


def guards(examination: Examination) -> Result:
    """Checks that the guards in the cluster are those that this release makes, and enforced."""
    if examination.options.guards == NO_GUARDS:
        return result.not_applicable("--guards none: the cluster should have no guards")
    user = examination.function_user
    if user is None:
        return result.unknown("the function's username is unknown; see rights")
    if examination.api.get(_ADMISSION) is None:
        return result.not_applicable("the API server has no ValidatingAdmissionPolicy: Kubernetes 1.30 has")
    facts = examination.guarded(user)
    facts = replace(facts, exporter=replace(facts.exporter, secret=examination.metrics_secret))
    wanted = manifest.documents(facts, actions=ACTIONS[examination.options.guards])
    problems = [problem for document in wanted for problem in _differences(examination.api, document)]
    if problems:
        return result.error(
            "; ".join(problems),
            "kubectl apply -k the cluster's folder, written by this release's `signerctl cluster manifests`, or apply"
            " the output of `signerctl guards`; if another approver is configured, give doctor the same --approver",
        )
    return result.ok(f"{len(wanted) // 2} policies and their bindings, with action {examination.options.guards}")


def _differences(api: ApiServer, wanted: Json) -> Iterator[str]:
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    present = api.get(f"{_COLLECTIONS[kind]}/{name}")
    if present is None:
        yield f"{kind} {name}: Not found"
        return
    difference = _difference(wanted["spec"], _without_defaults(present.get("spec") or {}), "spec")
    if difference:
        yield f"{kind} {name}: {difference} differs from what this release makes"


def _difference(wanted: object, present: object, path: str) -> str:
    """Returns the path of the first difference; empty if there is none."""
    if isinstance(wanted, Mapping) and isinstance(present, Mapping):
        for key in sorted({*wanted, *present}):
            if found := _difference(wanted.get(key), present.get(key), f"{path}.{key}"):
                return found
        return ""
    if isinstance(wanted, Sequence) and not isinstance(wanted, str) and isinstance(present, Sequence):
        if len(wanted) != len(present):
            return path
        pairs = zip(wanted, present, strict=True)
        return next((at for i, (a, b) in enumerate(pairs) if (at := _difference(a, b, f"{path}[{i}]"))), "")
    return "" if wanted == present else path


def _without_defaults(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {
            key: _without_defaults(each)
            for key, each in value.items()
            if key not in _DEFAULTS or each != _DEFAULTS[key]
        }
    return [_without_defaults(each) for each in value] if isinstance(value, list) else value


def _calico_version(teller: Json) -> str:
    """Returns the version that Calico's operator or Calico's own API reports; empty if it reports none yet."""
    return str(
        next((found for key in ("status", "spec") if (found := (teller.get(key) or {}).get("calicoVersion"))), "")
    )
