"""What the programs around doctor answer if all is well, by method and path."""

from collections.abc import Callable
from typing import Any

from tests.unit.signerctl.answers import Prepared
from tests.unit.signerctl.doctor.conftest import CALLER

Json = dict[str, Any]
REVIEWS = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews"
BINDING = "GET /apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kms-csr-signer:sign"
NAMESPACE = "GET /api/v1/namespaces/calico-system"
EVENTS = "GET /api/v1/namespaces/default/events"
STS = "POST /v1/token"
IAM = f"POST /v1/projects/-/serviceAccounts/{CALLER}:generateIdToken"
EVENT = "POST /"
HONEST: dict[str, Prepared] = {
    STS: (200, {"access_token": "secret-access", "token_type": "Bearer"}),
    IAM: (200, {"token": "secret-id"}),
    EVENT: (200, {"outcome": "ignored", "reason": "gone"}),
}
"""STS, IAM Credentials and the function."""
CALICO: dict[str, Prepared] = {
    "GET /apis/crd.projectcalico.org/v1/clusterinformations/default": (200, {"spec": {"calicoVersion": "v3.31.2"}})
}
"""A cluster with Calico, which the tigera operator did not install."""


def review(denied: Callable[[Json], bool] = lambda _: False) -> Callable[[Json], tuple[int, Json]]:
    """Answers a SubjectAccessReview."""
    return lambda body: (201, {"status": {"allowed": not denied(body["spec"])}})


def pod(account: str) -> Json:
    """Returns a pod of a service account."""
    return {"metadata": {"name": "p"}, "spec": {"serviceAccountName": account}}
