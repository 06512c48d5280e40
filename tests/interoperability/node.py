"""Node.js: a program of ours checks chains with `crypto.X509Certificate`; Node writes no requests."""

from collections.abc import Sequence
from typing import ClassVar

from tests.interoperability.stack import PROGRAMS, Query, Stack


class Node(Stack):
    """The `node` program."""

    name = "Node"
    tools = ("node",)
    install = "Node.js 20 or later"
    reasons: ClassVar = {
        "a flipped bit in the signature": "wrong signature",
        "another root of the same name": "wrong signature",
        "expired": "expired",
        "another host": "other host",
        "serverAuth alone, as a client": "other usage",
        "issued by a leaf": "no CA",
        "without its intermediates": "not issued by the next",
    }

    def verify(self, queries: Sequence[Query]) -> list[str]:
        """Runs the program."""
        return self.verify_with(queries, "node", PROGRAMS / "verify.mjs")
