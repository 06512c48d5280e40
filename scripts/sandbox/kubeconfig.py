"""Reads and writes kubeconfig documents: the address of an API server, and the client's credentials."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.pki import KeyPair

if TYPE_CHECKING:
    from pathlib import Path


Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The current context of a kubeconfig; absent parts are None."""

    server: str
    certificate_authority_pem: bytes | None
    key_pair: KeyPair | None
    token: str | None


def read(path: Path) -> Connection:
    """Reads the current context.

    Certificates, keys and tokens come from the document or from the files that it names (relative to its own folder).
    It supports neither plug-ins nor passwords.

    Raises:
        ValueError: the document has no usable current context.
    """
    _, _, cluster, user = choose(path)
    if not user.keys() & {"client-certificate", "client-certificate-data", "token", "tokenFile"}:
        must = f"must name its user by a client certificate or a token, not by {sorted(user)}"
        raise ValueError(violation(path, must))
    try:
        certificate = _material(user, "client-certificate", path.parent)
        key = _material(user, "client-key", path.parent)
        return Connection(
            server=cluster["server"],
            certificate_authority_pem=_material(cluster, "certificate-authority", path.parent),
            key_pair=None if certificate is None else KeyPair(certificate_pem=certificate, key_pem=key or b""),
            token=user.get("token") or _token_file(user, path.parent),
        )
    except OSError as error:
        raise ValueError(violation(path, f"names {error.filename}: {error.strerror}")) from error


def choose(path: Path, context: str | None = None) -> tuple[str, Json, Json, Json]:
    """Returns a context's name, the context, its cluster and its user; by default those of the current context.

    Raises:
        ValueError: The file is not a kubeconfig, or has no such context.
    """
    found = _parsed(path)
    try:
        contexts, clusters, users = (
            {entry["name"]: entry.get(kind) for entry in found[f"{kind}s"]} for kind in ("context", "cluster", "user")
        )
        if context is not None and context not in contexts:
            known = ", ".join(f'"{each}"' for each in contexts)
            raise ValueError(f'--context: Unsupported value: "{context}": supported values: {known}')
        name = context or found["current-context"]
        chosen = contexts[name]
        cluster, user = clusters[chosen["cluster"]], users[chosen["user"]]
    except KeyError as error:
        raise ValueError(violation(path, f"must have a usable context: it lacks {error}")) from error
    except (AttributeError, TypeError) as error:
        raise ValueError(violation(path, "must have a usable context")) from error
    if not isinstance(user, dict) or not isinstance(cluster, dict) or "server" not in cluster:
        raise ValueError(violation(path, "must have a usable context"))
    return name, chosen, cluster, user


def violation(path: Path, must: str) -> str:
    """Returns the message for a kubeconfig of the operator's."""
    return f'--kubeconfig: Invalid value: "{path}": {must}'


def render(*, server: str, certificate_authority_pem: bytes, user: str, key_pair: KeyPair) -> str:
    """Returns a self-contained kubeconfig document (JSON, which is YAML) for a client certificate."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
        "clusters": [
            {
                "name": "sandbox",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(certificate_authority_pem).decode(),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": base64.b64encode(key_pair.certificate_pem).decode(),
                    "client-key-data": base64.b64encode(key_pair.key_pem).decode(),
                },
            }
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def redirect(path: Path, server: str, target: Path) -> Path:
    """Writes a kubeconfig with another server for every cluster, and returns its path.

    Args:
        path: The original, which must not name files relative to its own folder.
        server: The new server's URL, for example of a proxy.
        target: The new file, readable only for its owner.
    """
    document = yaml.safe_load(path.read_text())
    for entry in document["clusters"]:
        entry["cluster"]["server"] = server
    target.touch(mode=0o600)
    target.write_text(json.dumps(document, indent=1) + "\n")
    return target


def _parsed(path: Path) -> Json:
    must = "must be a kubeconfig"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(violation(path, f"{must}: {error.strerror}")) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(violation(path, f"{must}: {' '.join(str(error).split())}")) from error
    if not isinstance(found, dict):
        raise ValueError(violation(path, must))  # noqa: TRY004 - the operator's value
    return found


def _material(entry: dict[str, Any], key: str, folder: Path) -> bytes | None:
    if f"{key}-data" in entry:
        return base64.b64decode(entry[f"{key}-data"])
    return (folder / entry[key]).read_bytes() if key in entry else None


def _token_file(user: dict[str, Any], folder: Path) -> str | None:
    return (folder / user["tokenFile"]).read_text().strip() if "tokenFile" in user else None
