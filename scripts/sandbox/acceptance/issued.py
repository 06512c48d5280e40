"""Checks of a CSR with its certificate, as relying parties and auditors make them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.acceptance.report import Outcome, failed, ok
from sandbox.demo import verify

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_EXTRA = "authentication.kubernetes.io/"
_BOUND = ("pod-name", "pod-uid", "node-name", "credential-id")


def chain(csr: Mapping[str, Any], trust_bundle: Path, directory: Path) -> Outcome:
    """Verifies the chain with openssl for servers and clients."""
    leaf, *rest = _certificates(csr)
    path = directory / "leaf.pem"
    path.write_bytes(leaf.public_bytes(Encoding.PEM))
    above = b"".join(each.public_bytes(Encoding.PEM) for each in rest)
    if verify.verified([path], above, trust_bundle, directory):
        return ok(f"{leaf.subject.rfc4514_string()}, until {leaf.not_valid_after_utc:%Y-%m-%d}")
    return failed(f"openssl verify does not accept the chain with {trust_bundle}")


def key_and_names(csr: Mapping[str, Any]) -> Outcome:
    """Compares the certificate's key and DNS names with the request's."""
    request = x509.load_pem_x509_csr(base64.b64decode(csr["spec"]["request"]))
    leaf = _certificates(csr)[0]
    if leaf.public_key() != request.public_key():
        return failed("the certificate is for another key than the request")
    wanted, got = _names(request.extensions), _names(leaf.extensions)
    if got != wanted:
        return failed(f"the request has the DNS names {wanted}, the certificate {got}")
    return ok(f"the request's key; {', '.join(got) or 'no DNS names'}")


def extras(csr: Mapping[str, Any], pod: Mapping[str, Any]) -> Outcome:
    """Compares what the API server recorded about the requester's token with the pod."""
    found = csr["spec"].get("extra") or {}
    values = {name: ",".join(found.get(f"{_EXTRA}{name}", ())) for name in _BOUND}
    expected = {"pod-name": pod["metadata"]["name"], "pod-uid": pod["metadata"]["uid"]}
    wrong = [f"{name} is {values[name]!r}, not {value!r}" for name, value in expected.items() if values[name] != value]
    if wrong:
        return failed("; ".join(wrong))
    missing = [name for name in _BOUND if not values[name]]
    others = f"no {', '.join(missing)}" if missing else "node-name and credential-id are there too"
    return ok(f"pod-name and pod-uid are the pod's; {others}")


def _certificates(csr: Mapping[str, Any]) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(base64.b64decode(csr["status"]["certificate"]))


def _names(extensions: x509.Extensions) -> list[str]:
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return sorted(found.get_values_for_type(x509.DNSName))
