"""What a signer does, done by hand."""

import base64
from typing import Any

from sandbox.api import CSRS, Api, csr_path
from tests.patience import PATIENCE

SIGNER = "example.com/calico"
RELEASE = "3.31"


def set_conditions(api: Api, name: str, *types: str) -> None:
    """Put conditions on a CSR, in this order; Failed can come through either subresource."""
    csr = api.get(csr_path(name))
    for kind in types:
        csr.setdefault("status", {}).setdefault("conditions", []).append(
            {"type": kind, "status": "True", "reason": "ByTest", "message": f"{kind} by a test"}
        )
    api.put(csr_path(name, "approval"), csr)


def set_certificate(api: Api, name: str, certificate_pem: bytes) -> None:
    """Put a certificate into a CSR's status."""
    csr: dict[str, Any] = api.get(csr_path(name))
    csr.setdefault("status", {})["certificate"] = base64.b64encode(certificate_pem).decode()
    api.put(csr_path(name, "status"), csr)


def wait_for_csr(api: Api, name: str) -> None:
    """Return when a CSR of that name exists."""
    with api.watch(CSRS, timeoutSeconds=int(PATIENCE)) as events:
        for event in events:
            if event["object"]["metadata"]["name"] == name:
                return
    raise AssertionError(f"no CSR {name!r} within {PATIENCE} s")
