"""Decisions once more: from what the API server has and what the configuration says, through the pure modules alone."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from csr_signer.audit import certificate_facts
from csr_signer.ca import issuer
from csr_signer.configuration import loader
from csr_signer.issuance import certificate, lint
from csr_signer.kms.client import connect
from csr_signer.kms.key import CloudKmsKey
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.policy import attestation, decision
from csr_signer.policy.attestation import Attestation
from csr_signer.policy.decision import Decision, Permit, Refusal
from csr_signer.policy.signer import Signer
from csr_signer.request import pkcs10
from csr_signer.violation import describe
from sandbox.api import NAMESPACES, NODES, Api, ApiError, csr_path, quoted
from sandbox.deployment import Deployment
from sandbox.documents import CLUSTER

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a decision was made of, as documents of the API server; None where it had none."""

    csr: bytes
    pod: bytes | None
    node: bytes | None

    @classmethod
    def of(cls, api: Api, name: str) -> "Recorded":
        """As the API server has them now."""
        csr = api.get(csr_path(name))
        extra = csr["spec"].get("extra", {})
        _, _, namespace, _ = csr["spec"]["username"].split(":")
        pod = node = None
        if attestation.POD_NAME in extra:
            pod = _find(api, f"{NAMESPACES}/{namespace}/pods/{quoted(extra[attestation.POD_NAME][0])}")
        if pod is not None:
            node = _find(api, f"{NODES}/{quoted(pod['spec']['nodeName'])}")
        return cls(csr=json.dumps(csr).encode(), pod=_document(pod), node=_document(node))


def decide(
    recorded: Recorded, signer: Signer, *, now: datetime | None = None, age: timedelta | None = None
) -> Decision:
    """The decision, as the pipeline makes it: at the time that the record names, or at an age of the CSR."""
    name = json.loads(recorded.csr)["metadata"]["name"]
    csr = CertificateSigningRequest.from_api(recorded.csr, name=name)
    return decision.decide(
        csr=csr,
        request=pkcs10.parse(csr.request),
        attestation=_attest(csr, recorded, signer),
        signer=signer,
        now=now or csr.created + (age or timedelta(0)),
    )


def _attest(csr: CertificateSigningRequest, recorded: Recorded, signer: Signer) -> Attestation:
    identity = attestation.identify(csr.requester, credential_id=signer.credential_id)
    if not isinstance(identity, PodIdentity):
        return Attestation(identity=None, pod=None, violations=identity)
    rows = signer.profile.rows_of(identity.namespace, identity.service_account)
    if not rows:
        return Attestation(identity=identity, pod=None, violations=())
    if recorded.pod is None:
        return attestation.attest(identity, None)
    pod = Pod.from_api(recorded.pod, name=identity.pod_name, namespace=identity.namespace)
    if not pod.host_network or all(row.addresses == "omit" for row in rows):
        return attestation.attest(identity, pod)
    node = Node() if recorded.node is None else Node.from_api(recorded.node, name=pod.node_name)
    return attestation.attest(identity, pod, node)


class Answers:
    """What the audit records of a deployment must say about its CSRs, by their configuration."""

    def __init__(self, deployment: Deployment) -> None:
        self._configuration = loader.load(deployment.directory / "function.json")
        self._kms = deployment.kms

    def signer(self, name: str) -> Signer:
        """As the configuration document says it."""
        return self._configuration.signers[CLUSTER, name]

    def to(self, recorded: Recorded, decided_at: str) -> dict[str, Any]:
        """What the record of the outcome says of the decision: all that follows from the documents and its time."""
        api = json.loads(recorded.csr)
        signer = self.signer(api["spec"]["signerName"])
        facts: dict[str, Any] = {"configuration_digest": signer.configuration_digest}
        match decide(recorded, signer, now=datetime.fromisoformat(decided_at)):
            case Permit() as permit:
                facts |= {"event": "issued", **self._certified(permit, signer)}
            case Refusal() as refusal:
                codes = list(dict.fromkeys(violation.code for violation in refusal.violations))
                message = describe(refusal.violations)
                facts |= {"event": "refused", "reason": refusal.reason, "codes": codes, "violations": message}
            case deferral:
                facts |= {"event": "deferred", "message": f"deferred: {deferral.missing}"}
        return facts

    def _certified(self, permit: Permit, signer: Signer) -> dict[str, Any]:
        ca = signer.issuer
        with connect(endpoint=None, unsafe_plaintext_endpoint=self._kms) as client:
            key = CloudKmsKey(client=client, key_version=ca.key_version, protection_level=ca.protection_level)
            algorithm = issuer.confirm(ca, key.public_key())
        tbs = lint.lint(certificate.build(permit, ca, algorithm), permit, ca, algorithm)
        facts: dict[str, Any] = json.loads(json.dumps(certificate_facts(permit, tbs, ca.key_version)))
        # Whoever may rewrite a status changes what is confirmed by it, and nothing else.
        del facts["unconfirmed_addresses"]
        return facts


def _find(api: Api, path: str) -> dict[str, Any] | None:
    try:
        return api.get(path)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return None


def _document(found: dict[str, Any] | None) -> bytes | None:
    return None if found is None else json.dumps(found).encode()
