"""The exporter's way to its ID token: the pod's token, STS and IAM Credentials. No check prints a token.

The calls are those of the exporter (infra/exporter/csr_exporter/identity.py), from the operator's machine.
"""

import base64
import json
import re
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote as percent_encode
from urllib.parse import urlencode

import urllib3

from csr_signer import field_error
from csr_signer.violation import quote
from signerctl.api_server import ApiServerError
from signerctl.doctor import result
from signerctl.doctor.examination import Examination, cause_of
from signerctl.doctor.exporter_document import METADATA_SERVER, Federation
from signerctl.doctor.http import HttpAnswer, exchange
from signerctl.doctor.result import Result

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_SECONDS: Final = 600
_OK: Final = 200
_HEADER_VALUE: Final = re.compile(r"[!-~]+")
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def token(examination: Examination) -> Result:
    """Gets the token that the exporter exchanges: its projected file, or one that the API server makes like it."""
    federation = examination.exporter.federation
    if federation is None:
        return _without(examination)
    try:
        examination.subject_token = _token_file(examination, federation)
        where = federation.token_file
    except (OSError, ValueError):
        requested = _request_token(examination)
        if isinstance(requested, Result):
            return requested
        examination.subject_token, where = requested, "the API server's TokenRequest"
    claims = _claims(examination.subject_token)
    expiry = claims.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return result.error(
            field_error.malformed(where, "must be a JWT with the claim exp, as the API server makes it"),
            "see what wrote it: the kubelet writes the projected token of the exporter's pod",
        )
    left = expiry - time.time()
    if left <= 0:
        return result.error(
            f"{where}: the token expired {-left:.0f} s ago, by this machine's clock",
            "see that the kubelet renews the projected token, and compare the clocks",
        )
    audience = claims.get("aud")
    named = ", ".join(map(str, audience)) if isinstance(audience, list) else str(audience)
    subject = quote(str(claims.get("sub", "")))
    return result.ok(f"{where}: {subject} for {quote(named)}, valid for {left / 60:.0f} min")


def _token_file(examination: Examination, federation: Federation) -> str:
    """Reads the exporter's projected token.

    Raises:
        OSError, ValueError: It cannot be read; or the ConfigMap names it, whose writer could name any file of the
            operator's.
    """
    if examination.options.exporter_configuration is None:
        raise ValueError("the document is the cluster's")
    return Path(federation.token_file).read_text(encoding="ascii").strip()


def _request_token(examination: Examination) -> str | Result:
    exporter, audience = examination.options.exporter, _projected_audience(examination)
    if audience is None:
        return result.unknown(
            "the token file is not on this machine, and the cluster has no StatefulSet csr-exporter with its audience"
        )
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [audience], "expirationSeconds": _SECONDS},
    }
    path = f"/api/v1/namespaces/{exporter.namespace}/serviceaccounts/{exporter.service_account}/token"
    try:
        return str(examination.api.create(path, body)["status"]["token"])
    except ApiServerError as error:
        if error.answer is not None and error.answer.reason == "NotFound":
            account = f"{exporter.namespace}/{exporter.service_account}"
            return result.error(f"ServiceAccount {account}: Not found", "kubectl apply -k the cluster's folder")
        raise


def _projected_audience(examination: Examination) -> str | None:
    """Returns the audience of the token that the exporter's pods mount."""
    for volume in examination.volumes:
        for source in (volume.get("projected") or {}).get("sources") or ():
            if "serviceAccountToken" in source:
                return str(source["serviceAccountToken"].get("audience", "")) or None
    return None


def security_token_service(examination: Examination) -> Result:
    """Exchanges the token at STS for a federated access token."""
    federation = examination.exporter.federation
    if federation is None:
        return _without(examination)
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": federation.sts_audience,
        "scope": _SCOPE,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": examination.subject_token,
    }
    try:
        url = f"{federation.sts_url}/v1/token"
        answer = exchange("POST", url, headers=_FORM, body=urlencode(form))
    except urllib3.exceptions.HTTPError as error:
        return _unreachable("STS", federation.sts_url, error)
    examination.access_token = _token(answer.fields.get("access_token"))
    if answer.status != _OK or not examination.access_token:
        said = f"{answer.fields.get('error', '')}: {answer.fields.get('error_description', '')}"
        said = said.replace(examination.subject_token, "TOKEN")
        return result.error(
            f"STS answers {answer.status} for audience {quote(federation.sts_audience)}: {quote(said)}",
            "if it says that the token is not valid yet, or no more, set the cluster's clock (see clock); otherwise"
            " compare identity.sts_audience with the workload identity provider's name, and the provider's issuer, keys"
            " and attribute condition with the cluster: `terraform apply`, then `signerctl cluster manifests`",
        )
    return result.ok(f"accepts the token for {quote(federation.sts_audience)}")


def iam(examination: Examination) -> Result:
    """Asks IAM Credentials for the exporter's ID token."""
    federation = examination.exporter.federation
    if federation is None:
        return _without(examination)
    account = quote(federation.service_account)
    try:
        answer = _generate_id_token(examination, federation)
    except urllib3.exceptions.HTTPError as error:
        return _unreachable("IAM Credentials", federation.iam_credentials_url, error)
    examination.id_token = _token(answer.fields.get("token"))
    if answer.status != _OK or not examination.id_token:
        said = answer.fields.get("error")
        message = said.get("message", "") if isinstance(said, dict) else ""
        return result.error(
            f"generateIdToken for {account}: {answer.status} {_without_token(examination, message)}",
            f"the exporter's principal needs roles/iam.workloadIdentityUser on {account}, which must exist and be"
            " enabled: `terraform apply` grants it; a grant takes up to seven minutes",
        )
    return result.ok(f"ID token of {account} for {quote(examination.exporter.audience)}")


def _without_token(examination: Examination, message: object) -> str:
    return quote(str(message).replace(examination.access_token, "TOKEN"))


def _generate_id_token(examination: Examination, federation: Federation) -> HttpAnswer:
    account = percent_encode(federation.service_account, safe="@")
    url = f"{federation.iam_credentials_url}/v1/projects/-/serviceAccounts/{account}:generateIdToken"
    body = json.dumps({"audience": examination.exporter.audience, "includeEmail": True})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {examination.access_token}"}
    return exchange("POST", url, headers=headers, body=body)


def _token(value: object) -> str:
    """Returns a token that a header can carry; empty for another value, which an error of http.client would print."""
    return value if isinstance(value, str) and _HEADER_VALUE.fullmatch(value) else ""


def _unreachable(name: str, url: str, error: Exception) -> Result:
    return result.unknown(
        f"this machine gets no answer from {name} at {url}: {cause_of(error)}; whether the exporter does is not known",
        "see the check exporter; the exporter's nodes must reach it by https: firewall, DNS, VPC Service Controls",
    )


def _without(examination: Examination) -> Result:
    """Returns the result for an exporter that does not get its ID token through workload identity federation."""
    kind = examination.exporter.identity
    if kind == METADATA_SERVER:
        return result.unknown("the exporter asks its node's metadata server, which this machine cannot reach")
    return result.not_applicable(f"identity.kind is {quote(kind)}: the exporter sends events without a token")


def _claims(token: str) -> dict[str, Any]:
    """Returns the claims of a JWT without verifying it; its receiver verifies it."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
