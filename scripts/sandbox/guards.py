"""Creates the guards in an API server as an operator does: with signerctl, from the function's document."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.api import CSRS, Api, ApiError

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.calico.world import World

_SECONDS = 60.0
_POLL_SECONDS = 0.05
_API = "/apis/admissionregistration.k8s.io/v1"
_COLLECTIONS = {
    "ValidatingAdmissionPolicy": f"{_API}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_API}/validatingadmissionpolicybindings",
}
CREATE = "kms-csr-signer-create"
"""The policy for new CSRs. It is created last, so that it shows when all policies are enforced."""


class GuardsError(Exception):
    """signerctl failed, or the API server does not enforce the guards."""


def put_in(world: World, configuration: Path, *, cluster: str, function: str, signer_name: str) -> None:
    """Creates or updates the policies. It waits until the API server enforces new policies, but not for updates.

    Args:
        world: The cluster; `World.remove` deletes the guards.
        configuration: The function's document.
        cluster: The cluster's key in it.
        function: The function's username at the API server.
        signer_name: One of the document's signerNames.

    Raises:
        GuardsError: The guards are not enforced.
    """
    options = ("--configuration", str(configuration), "--cluster", cluster, "--function-user", function)
    done = subprocess.run(
        [sys.executable, "-m", "signerctl", "guards", *options],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise GuardsError(f"signerctl ended with status {done.returncode}: {done.stderr.strip()[-2000:]}")
    documents = list(yaml.safe_load_all(done.stdout))
    # The API server processes objects of a kind in order.
    for document in sorted(documents, key=lambda each: bool(each["metadata"]["name"] == CREATE)):
        kind, name, content = document["kind"], document["metadata"]["name"], {"spec": document["spec"]}
        world.ensure(_COLLECTIONS[kind], kind, content, name)
        world.api.patch(f"{_COLLECTIONS[kind]}/{name}", content)  # one of an earlier document
    _wait(world.api, signer_name)


def _wait(admin: Api, signer_name: str) -> None:
    """Waits until the API server refuses an administrator's CSR, in dry runs."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            admin.post(CSRS, _csr(signer_name), dryRun="All")
        except ApiError as error:
            if CREATE in error.message:
                return
            raise
        if time.monotonic() > end:
            raise GuardsError(f"the API server does not act on {CREATE} within {_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)


def _csr(signer_name: str) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    encoded = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    return {
        "metadata": {"name": "are-there-guards"},
        "spec": {"request": encoded, "signerName": signer_name, "usages": ["client auth"]},
    }
