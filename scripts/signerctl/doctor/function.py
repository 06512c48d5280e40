"""The function behind Cloud Run's front door: one event about a CSR that does not exist.

The function reads every CSR that an event names, so its answer `gone` proves the way through the front door, its
configuration, its credential for the API server and its right to read CSRs. It changes nothing.
"""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

import urllib3

from csr_signer.violation import quote
from signerctl.api_server import server_time
from signerctl.doctor import result
from signerctl.doctor.examination import Examination, FunctionAnswer, cause_of
from signerctl.doctor.http import SILENT_SECONDS, exchange, is_late
from signerctl.doctor.result import Result

# The contract of docs/architecture.md; csr_signer.events.cloud_event needs packages of the deployed function.
_EVENT_TYPE: Final = "dev.csrsigner.certificatesigningrequest.actionable.v1"
_NAME: Final = "signerctl-doctor"
_CODE: Final = re.compile(r"[A-Za-z-]{1,64}")
"""An outcome or a reason of the function; never a token, which another server might send back."""
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_SERVER_ERROR: Final = 500
_READ_LOG: Final = "its log names the fault: gcloud functions logs read, or the record `fault` in the audit records"


def invoker(examination: Examination) -> Result:
    """Checks that the front door admits the exporter's ID token."""
    exporter = examination.exporter
    if exporter.federation is None:
        return result.unknown("the exporter's ID token is not made on this machine; see function")
    answer = _answer(examination)
    account = quote(exporter.federation.service_account)
    if answer.status == _UNAUTHORIZED:
        return result.error(
            f"{exporter.url} answers 401: it does not accept the ID token's audience {quote(exporter.audience)}",
            "function.audience must be the service's URI: run `signerctl cluster manifests` with Terraform's present"
            " outputs, and apply the folder",
        )
    if answer.status == _FORBIDDEN:
        return result.error(
            f"{exporter.url} answers 403: {account} may not invoke the function",
            f"grant roles/run.invoker on the service to {account} (`terraform apply`), and check that"
            f" function.audience {quote(exporter.audience)} is the service's URI",
        )
    if not answer.outcome:
        return result.unknown("no answer from the function; see function")
    return result.ok(f"{account} may invoke the function")


def function(examination: Examination) -> Result:
    """Checks that the function answers, and that it can read CSRs."""
    answer, url = _answer(examination), examination.exporter.url
    if answer.is_late:
        return result.error(
            f"{url}: no answer within {SILENT_SECONDS:.0f} s",
            "run doctor again, because an instance may be starting. If this stays, read the function's log: it may wait"
            " for the API server or Cloud KMS, or the network may drop the connection; `gcloud run services update`"
            " starts new instances",
        )
    if answer.cause:
        return result.error(
            f"{url}: no answer: {answer.cause}",
            "check that the service runs and that function.url is its URL: gcloud run services describe; then firewall,"
            " DNS and ingress between the exporter's nodes and it",
        )
    if not answer.outcome:
        return _of_another_server(examination, answer)
    if (answer.outcome, answer.reason) == ("ignored", "gone"):
        return result.ok(f"{url} answers, and reads CSRs at the API server")
    said = f"{url} answers {answer.status} {answer.reason or answer.outcome}"
    return _FAULTS.get(answer.reason, lambda text: result.error(text, _READ_LOG))(said)


def _of_another_server(examination: Examination, answer: FunctionAnswer) -> Result:
    url = examination.exporter.url
    if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
        if examination.id_token:
            return result.unknown("the front door refuses the exporter's ID token; see invoker")
        return result.unknown(
            f"{url} answers {answer.status} to a caller without a token, as it must; no more is known"
        )
    if answer.status >= _SERVER_ERROR:
        return result.error(
            f"{url} answers {answer.status} without the function: no instance of it serves requests",
            "see that the service is deployed and starts: gcloud run services describe, and its log",
        )
    return result.error(
        f"{url} answers {answer.status}, and not as the function does",
        "compare function.url with the service's URI, and the service's ingress with the exporter's network",
    )


def _answer(examination: Examination) -> FunctionAnswer:
    if examination.function_answer is None:
        examination.function_answer = _ask(examination)
    return examination.function_answer


def _ask(examination: Examination) -> FunctionAnswer:
    authorization = {"Authorization": f"Bearer {examination.id_token}"} if examination.id_token else {}
    headers = {"Content-Type": "application/cloudevents+json", "User-Agent": _NAME, **authorization}
    body = json.dumps(_event(examination.exporter.source))
    try:
        answer = exchange("POST", examination.exporter.url, headers=headers, body=body)
    except urllib3.exceptions.HTTPError as error:
        return FunctionAnswer(status=0, cause=cause_of(error), is_late=is_late(error))
    dates = server_time(answer.date)
    if dates is not None:
        examination.dates["function"] = dates
    outcome, reason = _code(answer.fields, "outcome"), _code(answer.fields, "reason")
    return FunctionAnswer(status=answer.status, outcome=outcome, reason=reason)


def _event(source: str) -> dict[str, Any]:
    """Returns an event about a CSR that does not exist: its name and uid are random."""
    uid = str(uuid.uuid4())
    name = f"{_NAME}-{uid}"
    return {
        "specversion": "1.0",
        "id": f"{uid}/pending",
        "source": source,
        "type": _EVENT_TYPE,
        "subject": name,
        "datacontenttype": "application/json",
        "data": {"name": name, "uid": uid},
    }


def _code(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


_FAULTS: Final = {
    "EventError": lambda said: result.error(
        f"{said}: its configuration does not know this cluster's source or caller",
        "the deployed document differs from --configuration: `terraform apply`",
    ),
    "ConfigurationError": lambda said: result.error(
        f"{said}: an operator must act: its document, its credential or its right at the API server is wrong",
        f"see the other checks; {_READ_LOG}",
    ),
    "ApiServerUnavailableError": lambda said: result.error(
        f"{said}: the API server does not answer the function",
        "see api-server; if it is ok, check clusters.*.server, and firewall and authorized networks between the"
        " function and the API server",
    ),
    "ConcurrencyLimitError": lambda said: result.warning(
        f"{said}: the function is overloaded", "run doctor again; if it stays, see docs/metrics.md"
    ),
}
