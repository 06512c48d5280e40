"""Why a pod has filed no CSR."""

from collections.abc import Sequence
from typing import Final

from csr_signer.violation import quote
from signerctl import objects
from signerctl.api_server import ApiServer, Json
from signerctl.doctor import key_pairs
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.doctor.walk import run_check
from signerctl.explanation import story
from signerctl.explanation.story import Explanation
from signerctl.explanation.verdict import Turn, Verdict
from signerctl.interface.text import shell_word
from signerctl.key_pairs.catalog import KeyPair
from signerctl.objects import SERVICE_ACCOUNT, User

_PROVISIONER: Final = "key-cert"


def explain(pod: Json, examination: Examination) -> Explanation:
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
        created=objects.created(pod),
        facts={
            "uid": metadata["uid"],
            "service_account": account,
            "node": pod["spec"].get("nodeName", ""),
            "phase": (pod.get("status") or {}).get("phase", ""),
        },
        step=0,
        account=f"{namespace}/{account}",
        verdict=_verdict(pod, examination, namespace, account),
        events=story.readable(examination.api, namespace, kind="Pod", name=name),
    )


def _verdict(pod: Json, examination: Examination, namespace: str, account: str) -> Verdict:
    rows = [row for signer in examination.signers for row in signer.profile.rows_of(namespace, account)]
    if not rows:
        return Verdict(
            state="foreign",
            why=f"no profile of the cluster names service account {quote(f'{namespace}/{account}')}",
            turn=Turn.OPERATOR,
            remedy="if this pod shall get certificates, compare the profile, its release and its namespaces with it",
        )
    pairs = key_pairs.of_account(examination, f"{namespace}/{account}")
    if pairs and not any(_PROVISIONER in name for name in _init_containers(pod)):
        return _of_key_pairs(pairs, run_check(story.key_pair_check(pairs), examination))
    if not pod["spec"].get("nodeName"):
        return _waiting(
            "it has no node yet, so its init container has not asked", f"kubectl describe {_named(pod)} says why"
        )
    if not _may_create(examination.api, namespace, account):
        return _waiting(
            f"service account {namespace}/{account} may not create CertificateSigningRequests",
            "Calico's operator grants it with certificateManagement: compare Installation default, and RBAC",
        )
    return _of_init_containers(pod)


def _of_key_pairs(pairs: Sequence[KeyPair], found: Result) -> Verdict:
    names = " and ".join(pair.secret for pair in pairs)
    why = (
        "the tigera operator gives it no init container that requests a certificate;"
        f" it mounts {names} once the Secret exists"
    )
    if found.level == "ok":
        return Verdict(state="issued", why=f"{why}; {found.found}", turn=Turn.NONE, depends_on_peers=True)
    return Verdict(
        state="unknown" if found.level == "unknown" else "waiting",
        why=why,
        turn=Turn.OPERATOR,
        remedy="signerctl key-pairs shows whether the Secret exists, and provides it: docs/key-pairs.md",
        depends_on_peers=True,
    )


def _init_containers(pod: Json) -> list[str]:
    return [each["name"] for each in pod["spec"].get("initContainers") or ()]


def _of_init_containers(pod: Json) -> Verdict:
    containers = _init_containers(pod)
    names = [each for each in containers if _PROVISIONER in each]
    if not names:
        return _waiting(
            "it has no init container key-cert-provisioner, so it never asks for a certificate",
            "turn on certificateManagement in Installation default, and let the pod be replaced",
        )
    statuses = (pod.get("status") or {}).get("initContainerStatuses") or ()
    for status in statuses:
        waiting = (status.get("state") or {}).get("waiting")
        if waiting and status["name"] in containers:  # other programs may write the status
            reason = quote(str(waiting.get("reason", "")))
            return _waiting(
                f"its init container {status['name']} waits: {reason}",
                f"kubectl describe {_named(pod)}, and kubectl logs {_named(pod)} --container"
                f" {shell_word(status['name'])}",
            )
    return _waiting(
        f"its init container {names[0]} has filed no CSR yet, or its CSR was deleted: kube-controller-manager deletes"
        " pending CSRs after a day and issued ones after an hour",
        f"kubectl logs {_named(pod)} --container {shell_word(names[0])}",
    )


def _waiting(why: str, remedy: str) -> Verdict:
    return Verdict(
        state="waiting",
        why=f"the pod has filed no CSR for a signerName of --configuration: {why}",
        turn=Turn.REQUESTER,
        remedy=remedy,
        depends_on_peers=True,
    )


def _named(pod: Json) -> str:
    """Returns the words with which kubectl finds a pod."""
    return f"--namespace {shell_word(pod['metadata']['namespace'])} pod/{shell_word(pod['metadata']['name'])}"


def _may_create(api: ApiServer, namespace: str, account: str) -> bool:
    create = {"verb": "create", "group": "certificates.k8s.io", "resource": "certificatesigningrequests"}
    return objects.allows(api, User.of(f"{SERVICE_ACCOUNT}{namespace}:{account}"), create)
