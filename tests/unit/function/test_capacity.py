"""Terraform's memory and concurrency hold what the function's limits admit, for each number of clusters."""

import re
from typing import Final

import pytest

from csr_signer.cluster.api_server import LARGEST_ANSWER
from csr_signer.cluster.parsing import PARSERS
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.configuration.loader import MAX_CLUSTERS
from csr_signer.objects.json_fields import OF_OBJECT
from csr_signer.service import DEFAULT_CONCURRENCY
from sandbox import capacity
from tests.paths import INFRA

MEBIBYTE: Final = 1024 * 1024
PROGRAM: Final = 136 * MEBIBYTE
"""The processes without a request; tests/end_to_end/test_clusters.py measures this and the next figures."""
PARSING: Final = 7
"""Bytes for each byte of a document while it is parsed: a copy as UTF-8, the parser's text, and Python's text, of which
one character may make all others four bytes long."""
CONNECTION: Final = 2 * MEBIBYTE
"""What TLS and the HTTP client hold of an answer that waits, or of a patch."""
CHARACTER: Final = 4
"""Bytes at most for each character of an object's fields."""


@pytest.mark.parametrize("clusters", range(1, MAX_CLUSTERS + 1))
def test_the_limits_fit_into_terraforms_memory(clusters: int) -> None:
    """All clusters are hostile at once, and each holds as much as its limits admit."""
    share = ConcurrencyLimiter(clusters=clusters, concurrency=capacity.concurrency(clusters)).share
    parsing = min(clusters, PARSERS) * PARSING * LARGEST_ANSWER
    requests = share * (CONNECTION + CHARACTER * OF_OBJECT.whole)
    assert PROGRAM + parsing + clusters * (LARGEST_ANSWER + requests) <= capacity.memory(clusters) * MEBIBYTE


def test_terraform_and_the_function_agree_about_clusters() -> None:
    """Terraform refuses what the function would refuse, and Cloud Run gives an instance at most 1,000 requests."""
    variables = (INFRA / "variables.tf").read_text(encoding="utf-8")
    assert re.findall(r"length\(var\.clusters\) <= (\d+)", variables) == [str(MAX_CLUSTERS)]
    assert capacity.concurrency(1) == DEFAULT_CONCURRENCY
    assert capacity.concurrency(MAX_CLUSTERS) <= 1000
