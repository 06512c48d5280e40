"""A real kube-apiserver uses the rendered AuthenticationConfiguration, with a double of Google's token issuer.

Kubernetes 1.30 to 1.37 serve the document's version. These tests run on the pinned version; for another one, build it
and name its folder:

    KUBEBUILDER_ASSETS=$(scripts/control-plane build --kubernetes v1.30.14) scripts/test PATH-OF-THIS-FILE
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.api import Api, ApiError
from sandbox.google.model import ServiceAccount
from tests.infra.terraform.issuer import Issuer
from tests.patience import PATIENCE
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.infra.terraform.plans import Plan

pytestmark = pytest.mark.real

WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
EMAIL = "csr-signer@example-signer.iam.gserviceaccount.com"
NUMBER = "104567890123456789012"  # infra/tests/deployment.tftest.hcl
AUDIENCE = "https://csr-signer.example.com/7d1f0a52-0f8e-4a4e-9c47-7c4a7a8b3c55"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """A double of Google's token issuer."""
    with Issuer(tmp_path_factory.mktemp("issuer")) as started:
        yield started


@pytest.fixture(scope="module")
def api(planned: Mapping[str, Plan], issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server with the rendered document, except for the address of Google's keys."""
    document = yaml.safe_load(planned["deployed"].outputs["authentication_configurations"]["site"])
    document["jwt"][0]["issuer"] |= issuer.settings()
    directory = tmp_path_factory.mktemp("structured")
    path = directory / "authentication.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with (
        real_control_plane(directory, extra_arguments=[f"--authentication-config={path}"]) as started,
        Api.from_kubeconfig(started.kubeconfig) as administrator,
    ):
        # The API server fetches the issuer's keys after it begins to serve.
        deadline = time.monotonic() + PATIENCE
        while isinstance(seen := user(administrator, token(issuer)), int) and time.monotonic() < deadline:
            pass
        assert not isinstance(seen, int), f"the function's own token is refused with {seen}"
        yield administrator


def token(issuer: Issuer, *, number: str = NUMBER, audience: str = AUDIENCE, **claims: object) -> str:
    """Returns an ID token as Google's metadata server makes it with format=full."""
    account = ServiceAccount(email=EMAIL, unique_id=number)
    return issuer.tokens.id_token(account, audience, {"email": EMAIL, "email_verified": True, **claims})


def user(api: Api, bearer: str) -> dict[str, Any] | int:
    """Returns the username that the API server sees, or the status of its refusal."""
    try:
        return dict(api.with_token(bearer).post(WHO_AM_I, {})["status"]["userInfo"])
    except ApiError as error:
        return error.status


def test_the_function_has_the_username_of_the_manifests(api: Api, issuer: Issuer, planned: Mapping[str, Plan]) -> None:
    """Its ID token gives it the username in the manifests, and no group except system:authenticated."""
    seen = user(api, token(issuer))
    assert isinstance(seen, dict)
    assert seen["username"] == planned["deployed"].outputs["manifests"]["site"]["function_user"]
    assert seen["groups"] == ["system:authenticated"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"number": "104567890123456789013"}, id="another account that was given the same email"),
        pytest.param({"audience": "https://another-cluster.example.com/"}, id="a token for another cluster"),
        pytest.param({"email_verified": False}, id="an email that was not verified"),
        pytest.param({"iss": "https://issuer.example.com"}, id="another issuer"),
        pytest.param({"exp": 1}, id="a token that has ended"),
    ],
)
def test_a_token_with_another_claim_is_refused(api: Api, issuer: Issuer, wrong: dict[str, Any]) -> None:
    """Google signs tokens for all its customers and any audience, so one wrong claim must be enough to refuse."""
    assert user(api, token(issuer, **wrong)) == 401


def test_a_token_of_another_key_is_refused(api: Api, issuer: Issuer, tmp_path: Path) -> None:
    """The claims are right, but another key signed the token."""
    with Issuer(tmp_path) as stranger:
        assert user(api, token(stranger)) == 401
