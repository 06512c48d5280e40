"""The inputs of a decision as JSON, for the audit record, so that `signerctl replay` can make the decision again.

`decide` is a pure function of CSR, request, attestation, signer and time. The JSON holds the CSR with its request, and
what the API server said about pod and node; the attestation follows from them. The record has the time, and the
configuration document the signer. The requester chooses sizes, so the JSON is bounded.
"""

import base64
import json
from collections.abc import Mapping
from typing import Final

from csr_signer.ca.issuer import Issuer
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import Address, Node, Pod
from csr_signer.policy.attestation import EXTRAS, Attestation, Observation

LARGEST: Final = 8 * 1024
"""Bytes of JSON. The request of an RSA-8192 key needs half of it; a whole entry of Cloud Logging has up to 256 KiB."""
OMITTED: Final = "omitted"
"""The only member of inputs that were left out; its value says why."""

Json = Mapping[str, object]


def decision_inputs(csr: CertificateSigningRequest, attestation: Attestation, issuer: Issuer) -> Json:
    """Returns the inputs of a decision, or the reason why they are left out.

    Args:
        csr: the CSR.
        attestation: with its observation of pod and node.
        issuer: the issuer; its validity may cut a certificate's.
    """
    inputs = {
        "csr": _csr(csr),
        **({} if attestation.observation is None else _observed(attestation.observation)),
        "issuer": {"not_before": issuer.not_before.isoformat(), "not_after": issuer.not_after.isoformat()},
    }
    try:
        size = len(json.dumps(inputs, ensure_ascii=False).encode())
    except UnicodeEncodeError:  # a lone surrogate, because of which a reader may drop the whole line
        return {OMITTED: "not valid Unicode"}
    return inputs if size <= LARGEST else {OMITTED: f"too large: {size} bytes: must have at most {LARGEST}"}


def _csr(csr: CertificateSigningRequest) -> Json:
    requester = csr.requester
    return {
        "name": csr.name,
        "created": csr.created.isoformat(),
        "size": csr.size,
        "usages": list(csr.usages),
        **({} if csr.expiration_seconds is None else {"expiration_seconds": csr.expiration_seconds}),
        "username": requester.username,
        "uid": requester.uid,
        "groups": list(requester.groups),
        "extra": {key: list(requester.extra[key]) for key in EXTRAS if key in requester.extra},
        "request": base64.b64encode(csr.request).decode("ascii"),  # the text of `kubectl get csr -o yaml`
    }


def _observed(observation: Observation) -> Json:
    pod = {"pod": {"exists": False} if observation.pod is None else _pod(observation.pod)}
    return pod if observation.node is None else {**pod, "node": _node(observation.node)}


def _pod(pod: Pod) -> Json:
    return {
        "exists": True,
        "uid": pod.uid,
        "service_account": pod.service_account,
        "node_name": pod.node_name,
        "terminating": pod.terminating,
        "finished": pod.finished,
        "host_network": pod.host_network,
        "addresses": _sorted(pod.addresses),
    }


def _node(node: Node) -> Json:
    return {"addresses": _sorted(node.addresses)}


def _sorted(addresses: frozenset[Address]) -> list[str]:
    return sorted(map(str, addresses))
