"""The exporter: whether it is ready, and its rights in the cluster."""

from typing import Final

import urllib3

from csr_signer.violation import quote
from signerctl import objects
from signerctl.doctor import result
from signerctl.doctor.examination import Examination, cause_of
from signerctl.doctor.http import SILENT_SECONDS, exchange, is_late
from signerctl.doctor.result import Result
from signerctl.objects import SERVICE_ACCOUNT, User

VERBS: Final = ("list", "watch")
"""The exporter's rights on CSRs, as in exporter.yaml."""
_OK: Final = 200


def ready(examination: Examination) -> Result:
    """Checks that the exporter is ready."""
    if examination.options.exporter_url is not None:
        return _page(examination.options.exporter_url)
    workload = examination.stateful_set
    if workload is None:
        return result.unknown("the exporter is not in this cluster", "give --exporter-url to ask its /readyz")
    wanted, running = workload["spec"].get("replicas", 1), (workload.get("status") or {}).get("readyReplicas", 0)
    if running == wanted > 0:
        return result.ok(f"{running} of {wanted} replicas are ready")
    namespace = examination.options.exporter.namespace
    remedy = (
        f"kubectl --namespace {namespace} describe pods, and logs statefulset/csr-exporter"
        if wanted
        else f"kubectl --namespace {namespace} scale statefulset csr-exporter --replicas 2"
    )
    text = f"{running} of {wanted} replicas are ready"
    return result.warning(text, remedy) if running else result.error(text, remedy)


def rights(examination: Examination) -> Result:
    """Checks that the exporter's service account may list and watch CSRs."""
    account = examination.options.exporter
    user = User.of(f"{SERVICE_ACCOUNT}{account.namespace}:{account.service_account}")
    csrs = {"group": "certificates.k8s.io", "resource": "certificatesigningrequests"}
    missing = [verb for verb in VERBS if not objects.allows(examination.api, user, {**csrs, "verb": verb})]
    if missing:
        return result.error(
            f"{user.name} is not allowed to {' or '.join(missing)} CSRs",
            "kubectl apply -k the cluster's folder: ClusterRole and ClusterRoleBinding kms-csr-signer:export give the"
            " right",
        )
    return result.ok(f"{user.name} is allowed to {' and '.join(VERBS)} CSRs")


def _page(url: str) -> Result:
    """Asks the exporter's own page."""
    where = f"{url.rstrip('/')}/readyz"
    try:
        answer = exchange("GET", where)
    except urllib3.exceptions.HTTPError as error:
        return _without_answer(where, error)
    try:
        reasons = "; ".join(map(str, answer.fields["reasons"]))
    except (KeyError, TypeError):
        return result.error(
            f"{where} answers {answer.status}, which is not an answer of the exporter", "correct --exporter-url"
        )
    remedy = "the exporter's log says more; see the other checks"
    if answer.status != _OK:
        return result.error(f"{where}: {quote(reasons)}", remedy)
    if reasons:
        return result.warning(f"{where}: ready, but {quote(reasons)}", remedy)
    return result.ok(f"{where}: ready")


def _without_answer(where: str, error: urllib3.exceptions.HTTPError) -> Result:
    if is_late(error):
        return result.error(
            f"{where}: no answer within {SILENT_SECONDS:.0f} s: the exporter hangs, or the network drops the"
            " connection",
            "read the exporter's log, which has a line `status` each minute; without one, restart the exporter: it"
            " sends all waiting CSRs again, and none is lost",
        )
    if "refused" in str(error):
        return result.error(
            f"{where}: nothing listens there: the exporter does not run, or --exporter-url is wrong",
            "start the exporter, and read its log; in a cluster, kubectl describe its pods",
        )
    return result.unknown(f"{where}: {cause_of(error)}: this says nothing about the exporter", "correct --exporter-url")
