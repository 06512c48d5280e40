"""Terraform's formulas for an instance of the function, which infra/function.tf has once."""

import re
from typing import Final

from sandbox.function_runtime import ROOT

_TEXT: Final = (ROOT / "infra" / "function.tf").read_text(encoding="utf-8")
_CLUSTERS: Final = r"length\(local\.ready_clusters\)$"


def concurrency(clusters: int) -> int:
    """Requests that Cloud Run sends to an instance at once."""
    (each,) = re.findall(rf"^  concurrency = (\d+) \* {_CLUSTERS}", _TEXT, re.MULTILINE)
    return int(each) * clusters


def memory(clusters: int) -> int:
    """MiB of an instance."""
    ((fixed, each),) = re.findall(rf"^  memory = (\d+) \+ (\d+) \* {_CLUSTERS}", _TEXT, re.MULTILINE)
    return int(fixed) + int(each) * clusters
