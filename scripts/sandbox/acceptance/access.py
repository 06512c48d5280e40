"""The operator's access to the cluster: one context of a kubeconfig, with the token of a credential plugin."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from sandbox.kubeconfig import choose

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECONDS = 60.0
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def write(kubeconfig: Path, context: str | None, directory: Path) -> Path:
    """Writes a kubeconfig with the one context, and returns its path.

    A credential plugin, such as gke-gcloud-auth-plugin, runs once: its token must last for the run.

    Raises:
        ValueError: There is no such context, or the plugin gave no token.
    """
    name, chosen, cluster, user = choose(kubeconfig, context)
    cluster, user = (_absolute(each, kubeconfig.parent) for each in (cluster, user))
    if "exec" in user:
        user = {"token": _token(user["exec"])}
    one = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": chosen}],
        "clusters": [{"name": chosen["cluster"], "cluster": cluster}],
        "users": [{"name": chosen["user"], "user": user}],
    }
    path = directory / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(one, indent=1), encoding="utf-8")
    return path


def _absolute(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    return fields | {key: str((folder / fields[key]).absolute()) for key in _FILES if key in fields}


def _token(plugin: Mapping[str, Any]) -> str:
    """Runs a credential plugin (client.authentication.k8s.io), and returns its token."""
    command = [plugin["command"], *(plugin.get("args") or ())]
    request = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    variables = {each["name"]: each["value"] for each in plugin.get("env") or ()}
    environment = {**os.environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(request)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    try:
        return str(json.loads(done.stdout)["status"]["token"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"the kubeconfig's plugin {plugin['command']} gave no token: {done.stderr[-500:]}") from None
