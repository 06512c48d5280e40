"""Events of the exporter, as a test sends them to the function, and what must have come of them."""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

import urllib3
from cryptography import x509

from sandbox.calico.fleet import Submission
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment
from sandbox.documents import SOURCE
from sandbox.manifests import EXPORTER_EMAIL
from tests.end_to_end.conftest import audit_records


class Filed(Protocol):
    """A filed CSR."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def uid(self) -> str:
        """Its uid."""


def event(submission: Filed) -> bytes:
    """A structured CloudEvent as any sender could make it."""
    return json.dumps(
        {
            "specversion": "1.0",
            "type": "dev.csrsigner.certificatesigningrequest.actionable.v1",
            "source": SOURCE,
            "subject": submission.name,
            "id": f"{submission.uid}/pending",
            "datacontenttype": "application/json",
            "data": {"name": submission.name, "uid": submission.uid},
        }
    ).encode()


def send(pool: urllib3.PoolManager, deployment: Deployment, body: bytes) -> int:
    """Sends an event past the front door, with claims as Cloud Run hands them on; returns the answer's status."""
    claims = (
        base64.urlsafe_b64encode(json.dumps({"email": EXPORTER_EMAIL, "email_verified": True}).encode())
        .decode()
        .rstrip("=")
    )
    headers = {
        "Content-Type": "application/cloudevents+json",
        "Authorization": f"Bearer e30.{claims}.SIGNATURE_REMOVED_BY_GOOGLE",
    }
    return pool.request("POST", deployment.function.url, body=body, headers=headers, timeout=60).status


def assert_issued_once(deployment: Deployment, observer: Observer, submissions: Iterable[Submission]) -> None:
    """Each has one certificate, whose TBSCertificate is the only one that was ever intended for its uid."""
    intended: dict[object, set[object]] = defaultdict(set)
    for record in audit_records(deployment.log("function")):
        if record["event"] == "intent":
            intended[record["csr_uid"]].add(record["tbs_sha256"])
    for submission in submissions:
        seen = observer.observations()[submission.uid]
        assert seen.state == "Approved,Issued"
        assert len(intended[submission.uid]) == 1
        serials = {x509.load_pem_x509_certificate(seen.certificate).serial_number}
        assert len(serials) == 1
