"""The nodes on which the folder's CronJobs may run, in the syntax of kubectl's labels and taints."""

import re
from collections.abc import Mapping
from typing import Final

from csr_signer.rfc1123 import IS_SUBDOMAIN
from csr_signer.violation import quote

RENDERED: Final = "kubernetes.io/os"
"""The label that the template selects by itself."""
# The syntax of labels and taints (apimachinery `IsQualifiedName`, `IsValidLabelValue`).
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY: Final = rf"(?:{IS_SUBDOMAIN.pattern}/)?{_NAME}"
_LABEL: Final = re.compile(rf"({_KEY})=({_NAME}|)")
_TAINT: Final = re.compile(rf"({_KEY})(?:=({_NAME}|))?(?::({'|'.join(_EFFECTS)}))?")


def label(text: str) -> tuple[str, str]:
    """Parses KEY=VALUE as a node's label.

    Raises:
        ValueError: The message says what the text must be.
    """
    match = _LABEL.fullmatch(text)
    if match is None:
        raise ValueError("must be KEY=VALUE, a label of nodes")
    if match[1] == RENDERED:
        raise ValueError(f"must be another label than {RENDERED}: the folder selects nodes by it already")
    return match[1], match[2]


def toleration(text: str) -> Mapping[str, str]:
    """Parses KEY[=VALUE][:EFFECT], a taint, as the toleration of it.

    Without VALUE, it tolerates every value; without EFFECT, every effect.

    Raises:
        ValueError: The message says what the text must be.
    """
    match = _TAINT.fullmatch(text)
    if match is None:
        taint, colon, effect = text.partition(":")
        if colon and _TAINT.fullmatch(taint):
            raise ValueError(f"{quote(effect)} must be one of the effects {', '.join(_EFFECTS)}")
        raise ValueError("must be KEY[=VALUE][:EFFECT], a taint of nodes")
    key, value, effect = match.groups()
    found = {"key": key, "operator": "Exists"} if value is None else {"key": key, "operator": "Equal", "value": value}
    return found if effect is None else {**found, "effect": effect}
