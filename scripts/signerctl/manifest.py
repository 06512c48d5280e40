"""The guards as a manifest: YAML that a person can read, expressions in lines."""

from collections.abc import Sequence
from typing import Any, Final

import yaml

from signerctl import admission, csr_policies
from signerctl.guarded import Guarded
from signerctl.pod_policy import exporter_pods

_WIDTH: Final = 116
_HEADER: Final = """\
# Made by `signerctl guards` from the function's configuration document: make it anew instead of changing it.
# docs/guards.md says what each policy stops, what none of them can, and how to get past them in an emergency.
"""


def documents(guarded: Guarded, *, actions: Sequence[str] = ("Deny",)) -> tuple[dict[str, Any], ...]:
    """Policies, each with what puts it in force.

    Args:
        guarded: the cluster.
        actions: what happens to a request that breaks a rule.
    """
    every = (*csr_policies.policies(guarded), exporter_pods(guarded))
    return tuple(each for one in every for each in (one, admission.binding(one, actions=actions)))


def render(objects: Sequence[dict[str, Any]]) -> str:
    """YAML of all objects."""
    parts = [yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=_WIDTH) for each in objects]
    return _HEADER + "---\n".join(parts)


class _Dumper(yaml.SafeDumper):
    """Long texts as folded blocks, lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Long texts are folded at spaces; a reader of YAML makes one line of them again."""
    style = ">" if len(value) > _WIDTH - 30 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
