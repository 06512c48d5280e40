"""All stacks. None shares code with the function, except that the function reads with pyca."""

import os
from typing import Final, TypeVar

import pytest

from tests.interoperability.gnutls import GnuTLS
from tests.interoperability.go import Go
from tests.interoperability.java import Java
from tests.interoperability.node import Node
from tests.interoperability.openssl import OpenSSL
from tests.interoperability.pyca import Pyca
from tests.interoperability.stack import Stack

STACKS: Final[tuple[type[Stack], ...]] = (OpenSSL, Go, Java, Pyca, GnuTLS, Node)

T = TypeVar("T", bound=Stack)


def skip_if_missing(stack: type[Stack]) -> None:
    """Skips the test if a stack is not installed, or fails it if `CI` is set and the stack is required."""
    if reason := stack.missing():
        if stack.required and os.environ.get("CI"):
            pytest.fail(f"CI is set and {stack.name} is required: {reason}")
        pytest.skip(reason)


class StackOf:
    """Returns installed stacks, each with its keys, which are made once; skips the test if a stack is missing."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._folder = factory.mktemp
        self._made: dict[type[Stack], Stack] = {}

    def __call__(self, stack: type[T]) -> T:
        """Returns one stack."""
        skip_if_missing(stack)
        if stack not in self._made:
            self._made[stack] = stack(self._folder(stack.name))
        found = self._made[stack]
        assert isinstance(found, stack)
        return found
