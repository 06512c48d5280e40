"""Why a pod has filed no CSR."""

from collections.abc import Mapping
from typing import Any, Final

from csr_signer.violation import quote
from signerctl.api_server import ApiServer
from signerctl.doctor.examination import Examination
from signerctl.explanation import story
from signerctl.explanation.story import Explanation
from signerctl.explanation.verdict import Verdict

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_PROVISIONER: Final = "key-cert"

Json = Mapping[str, Any]


def explain(pod: Json, found: Examination) -> Explanation:
    """Explains a pod without a CSR.

    Raises:
        CommandError: The API server does not answer.
    """
    metadata = pod["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    account = pod["spec"].get("serviceAccountName", "default")
    return Explanation(
        kind="Pod",
        name=f"{namespace}/{name}",
        facts={
            "uid": metadata["uid"],
            "serviceAccount": account,
            "node": pod["spec"].get("nodeName", ""),
            "phase": (pod.get("status") or {}).get("phase", ""),
            "age": story.age(pod, found.now),
        },
        step=0,
        verdict=_verdict(pod, found, namespace, account),
        events=story.events_on(found.api, namespace, name, ""),
    )


def _verdict(pod: Json, found: Examination, namespace: str, account: str) -> Verdict:
    if not any(signer.profile.rows_of(namespace, account) for signer in found.signers):
        return Verdict(
            state="foreign",
            why=f"no profile of the cluster names service account {quote(f'{namespace}/{account}')}",
            turn="operator",
            remedy="if this pod shall get certificates, compare the profile, its release and its namespaces with it",
        )
    if not pod["spec"].get("nodeName"):
        return _waiting("it has no node yet, so its init container has not asked", "kubectl describe pod says why")
    if not _may_create(found.api, namespace, account):
        return _waiting(
            f"service account {namespace}/{account} may not create CertificateSigningRequests",
            "Calico's operator grants it with certificateManagement: compare Installation default, and RBAC",
        )
    return _of_init_containers(pod)


def _of_init_containers(pod: Json) -> Verdict:
    names = [each["name"] for each in pod["spec"].get("initContainers") or () if _PROVISIONER in each["name"]]
    if not names:
        return _waiting(
            "it has no init container key-cert-provisioner, so it never asks for a certificate",
            "turn on certificateManagement in Installation default, and let the pod be replaced",
        )
    statuses = (pod.get("status") or {}).get("initContainerStatuses") or ()
    for status in statuses:
        waiting = (status.get("state") or {}).get("waiting")
        if waiting:
            reason = quote(str(waiting.get("reason", "")))
            return _waiting(
                f"its init container {status['name']} waits: {reason}",
                f"kubectl describe pod, and kubectl logs --container {status['name']}",
            )
    return _waiting(
        f"its init container {names[0]} has filed no CSR yet, or its CSR was deleted: kube-controller-manager deletes"
        " pending CSRs after a day and issued ones after an hour",
        f"kubectl logs --container {names[0]}",
    )


def _waiting(why: str, remedy: str) -> Verdict:
    return Verdict(state="waiting", why=f"the pod has filed no CSR: {why}", turn="requester", remedy=remedy)


def _may_create(api: ApiServer, namespace: str, account: str) -> bool:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            "resourceAttributes": {
                "verb": "create",
                "group": "certificates.k8s.io",
                "resource": "certificatesigningrequests",
            },
        },
    }
    return bool(api.create(_REVIEWS, body)["status"].get("allowed"))
