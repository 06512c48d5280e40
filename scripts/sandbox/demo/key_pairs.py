"""Goldmane and Whisker: from an empty volume to a key pair that openssl verifies."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox.calico.key_pairs import Workloads
from sandbox.demo.verify import verified
from sandbox.foreign import OccupiedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandbox.calico.key_pairs import KeyPair
    from sandbox.calico.render import NodePlan
    from sandbox.demo.view import View
    from sandbox.deployment import Deployment

_EACH = "30s"  # the command waits so long for each certificate
_SECONDS = 180.0
EMPTY = "its volume is empty"


def show_gap(deployment: Deployment, node: NodePlan, view: View) -> None:
    """Creates Goldmane and Whisker, and shows that they wait."""
    view.stage("Goldmane and Whisker wait: no init container asks for their key pairs")
    workloads = Workloads(deployment.world, node, release=deployment.settings.release)
    workloads.create()
    view.facts((each.secret, "mounted" if workloads.mounted(each) else EMPTY) for each in workloads.key_pairs)


def serve(deployment: Deployment, node: NodePlan, view: View) -> Mapping[str, str]:
    """Creates Goldmane and Whisker, and gives them key pairs.

    Returns:
        The violation of each key pair by the Secret's name; empty if there is none.

    Raises:
        OccupiedError: The cluster has one of the Secrets.
    """
    view.stage("signerctl key-pairs asks for Goldmane and Whisker, which cannot ask")
    workloads = Workloads(deployment.world, node, release=deployment.settings.release)
    workloads.create()
    if present := workloads.present():
        raise OccupiedError(f"the cluster has {present[0]}, which the demo does not change: use --no-key-pairs")
    workloads.remember()
    _run_command(deployment)
    view.stage("playing the operator: new pods mount the Secrets, openssl verifies")
    workloads.roll()
    directory = deployment.directory / "certificates"
    wrong = {
        each.secret: violation(each, workloads.mounted(each), deployment.certificate_authority, directory)
        for each in workloads.key_pairs
    }
    view.facts(
        (each.secret, wrong[each.secret] or f"mounted, verified for {_uses(each)}") for each in workloads.key_pairs
    )
    return wrong


def violation(key_pair: KeyPair, files: Mapping[str, bytes], authority: Path, directory: Path) -> str:
    """Returns why a component cannot use its key pair; empty if it can.

    Args:
        key_pair: The key pair.
        files: The files in the pod's volume, by name.
        authority: PEM file of the only trusted CA.
        directory: The folder for the certificate.
    """
    if not files:
        return EMPTY
    path = directory / f"{key_pair.secret}.pem"
    path.write_bytes(files["tls.crt"])
    purposes = ("sslserver", "sslclient") if key_pair.client else ("sslserver",)
    if not verified([path], files["tls.crt"], authority, directory, purposes=purposes):
        return f"openssl does not verify it for {_uses(key_pair)}"
    leaf, *_ = x509.load_pem_x509_certificates(files["tls.crt"])
    if load_pem_private_key(files["tls.key"], None).public_key() != leaf.public_key():
        return "its certificate is for another key"
    return ""


def _run_command(deployment: Deployment) -> None:
    """Runs `signerctl key-pairs`; an error is in its log, and the volumes stay empty."""
    access = ("--kubeconfig", str(deployment.plane.kubeconfig))
    signer = ("--configuration", str(deployment.directory / "function.json"))
    trust = ("--trust-bundle", str(deployment.certificate_authority), "--timeout", _EACH)
    with deployment.log("key-pairs").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "signerctl", "key-pairs", *access, *signer, *trust],
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )


def _uses(key_pair: KeyPair) -> str:
    return "servers and clients" if key_pair.client else "servers"
