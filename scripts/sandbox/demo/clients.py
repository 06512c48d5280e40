"""What `--serve` offers to clients: addresses, files, and commands that use them."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.deployment import Deployment


def facts(deployment: Deployment) -> list[tuple[str, str]]:
    """Returns names and values: addresses first, then files."""
    directory = deployment.directory
    audit_log = [] if deployment.kms_pid is None else [("KMS audit log", str(deployment.log("kms-audit")))]
    exporter = json.loads((directory / "exporter.json").read_text(encoding="utf-8"))
    return [
        ("signerName", deployment.settings.signer_name),
        ("API server", deployment.plane.server),
        ("KMS (gRPC, plaintext)", deployment.kms),
        ("function", deployment.function.url),
        ("exporter sends events to", exporter["function"]["url"]),
        ("exporter's metrics", f"{deployment.exporters[0].url}/metrics"),
        ("kubeconfig", str(deployment.plane.kubeconfig)),
        ("CA file", str(deployment.certificate_authority)),
        ("function's configuration", str(directory / "function.json")),
        ("exporter's configuration", str(directory / "exporter.json")),
        ("function's audit records", str(deployment.log("function"))),
        ("signerctl's audit records", str(deployment.log("signerctl"))),
        *audit_log,
        ("all logs", str(directory)),
    ]


def commands(deployment: Deployment) -> list[tuple[str, Sequence[str]]]:
    """Returns what each command does, and its lines; its files go to the deployment's folder."""
    client = (
        "scripts/python -m sandbox.calico",
        f"--kubeconfig {shlex.quote(str(deployment.plane.kubeconfig))}",
        f"--signer-name {deployment.settings.signer_name}",
        f"--ca {shlex.quote(str(deployment.certificate_authority))}",
        f"--directory {shlex.quote(str(deployment.directory / 'client'))}",
    )
    found: list[tuple[str, Sequence[str]]] = [
        ("create one more Calico pod and get its certificate", client),
        ("check the whole path of a certificate", doctor(deployment)),
        ("say why a pod or a CSR waits, or was refused", doctor(deployment, "explain", "POD")),
    ]
    if deployment.kms_pid is not None:
        logs = (shlex.quote(str(deployment.log(part))) for part in ("kms-audit", "function", "signerctl"))
        reconcile = ("scripts/python -m signerctl reconcile", *logs)
        found.append(("compare each signature in the KMS audit log with the audit records", reconcile))
    return found


def doctor(deployment: Deployment, *command: str) -> Sequence[str]:
    """Returns the lines of `signerctl doctor`, or of another command with the same options."""
    return (
        " ".join(("scripts/python -m signerctl", *(command or ("doctor",)))),
        f"--configuration {shlex.quote(str(deployment.directory / 'function.json'))}",
        f"--kubeconfig {shlex.quote(str(deployment.plane.kubeconfig))}",
        f"--exporter-configuration {shlex.quote(str(deployment.directory / 'exporter.json'))}",
        f"--exporter-url {deployment.exporters[0].url}",
        *(() if deployment.settings.guards else ("--guards none",)),
    )
