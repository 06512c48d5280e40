"""What the operator chooses for a folder, and the comment in its kustomization from which the next run reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from csr_signer import field_error
from signerctl.interface.program import CommandError

KUSTOMIZATION: Final = "kustomization.yaml"
TEMPLATES: Final = Path(__file__).parent / "templates"
NO_MONITORING: Final = "none"
_START: Final = "# Options: "
# The command's parameters by name. The image is not among them: the command requires it.
_TYPES: Final = {
    "approvers": list,
    "cluster": str,
    "function_user": str | None,
    "guards": str,
    "image_pull_secret": str | None,
    "key_pairs_image": str | None,
    "metrics": str | None,
    "metrics_tls": str | None,
    "monitoring": str | None,
    "node_selectors": list | None,
    "renewal_image": str | None,
    "replicas": int,
    "tolerations": list | None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the operator chooses, and Terraform does not know.

    Attributes:
        approvers: Usernames of other approvers.
        guards: The value of --guards.
        image: The exporter's image, REPOSITORY@sha256:DIGEST.
        image_pull_secret: The name of the Secret for a private registry; None without one.
        key_pairs_image: The image of signerctl, REPOSITORY@sha256:DIGEST; None without key pairs.
        metrics: ADDRESS:PORT of the metrics for scrapers on other machines; None without.
        metrics_tls: The name of the Secret for TLS on that port; None without TLS.
        monitoring: The value of --monitoring.
        node_selectors: The labels of the nodes that may run the CronJobs.
        renewal_image: The image of signerctl, REPOSITORY@sha256:DIGEST; None without renewal.
        replicas: The number of exporters.
        tolerations: The taints of nodes that the CronJobs tolerate.
    """

    approvers: tuple[str, ...]
    guards: str
    image: str
    image_pull_secret: str | None
    key_pairs_image: str | None = None
    metrics: str | None = None
    metrics_tls: str | None = None
    monitoring: str = NO_MONITORING
    node_selectors: tuple[str, ...] = ()
    renewal_image: str | None = None
    replicas: int
    tolerations: tuple[str, ...] = ()

    def comment(self, *, cluster: str, function_user: str) -> str:
        """Returns the line that remembers the options, the cluster's name and the function's user."""
        facts = {"cluster": cluster, "function_user": function_user}
        values = {name: facts[name] if name in facts else getattr(self, name) for name in _TYPES}
        return f"{_START}{json.dumps(values, sort_keys=True)}\n"


def comment_of(kustomization: str) -> str:
    """Returns the line of a kustomization that remembers the options; empty without one."""
    return next((line for line in kustomization.splitlines(keepends=True) if line.startswith(_START)), "")


def read(folder: Path) -> Mapping[str, Any]:
    """Returns the cluster and the options of the last run, by the names of the command's parameters.

    Raises:
        CommandError: The comment is not as the command wrote it.
    """
    path = folder / KUSTOMIZATION
    try:
        comment = comment_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError):  # a new folder; or `folder.compare` says what is wrong
        comment = ""
    if not comment:
        return {}
    try:
        values = json.loads(comment.removeprefix(_START))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not all(isinstance(values.get(name), kind) for name, kind in _TYPES.items()):
        must = "must be as signerctl wrote it: restore the line, or delete it and give all options again"
        raise CommandError(field_error.malformed(f'{path}: the line "{_START.strip()}"', must))
    return {name: values[name] for name in _TYPES if values[name] is not None}
