"""Renders the guards as a YAML manifest that people can read."""

from collections.abc import Sequence
from typing import Any, Final

import yaml

from signerctl.guards import admission, csr_policies
from signerctl.guards.guarded import Guarded, require_approvers
from signerctl.guards.pod_policy import exporter_pods

_WIDTH: Final = 116
HEADER: Final = """\
# `signerctl guards` generates this file from the function's configuration document. To change it, generate it again.
"""
_ABOUT: Final = """\
# docs/guards.md says what each policy prevents, what they cannot prevent, and how to disable them in an emergency.
"""


def documents(guarded: Guarded, *, actions: Sequence[str] = ("Deny",)) -> tuple[dict[str, Any], ...]:
    """Returns all policies, each followed by its binding.

    Args:
        guarded: The cluster.
        actions: What the API server does with a request that a policy refuses.

    Raises:
        CommandError: A signer has no approver.
    """
    require_approvers(guarded)
    every = (*csr_policies.policies(guarded), exporter_pods(guarded))
    return tuple(each for one in every for each in (one, admission.binding(one, actions=actions)))


def render(objects: Sequence[dict[str, Any]], *, header: str = HEADER) -> str:
    """Renders objects as YAML documents below a header, which says where they come from."""
    return header + _ABOUT + dump(objects)


def dump(objects: Sequence[dict[str, Any]]) -> str:
    """Returns objects as YAML documents."""
    return "---\n".join(yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=_WIDTH) for each in objects)


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that folds long strings and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Folds a long string at spaces; a YAML parser joins the lines again."""
    style = ">" if len(value) > _WIDTH - 30 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
