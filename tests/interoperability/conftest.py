"""The stacks of this machine."""

from collections.abc import Iterator

import pytest

from tests.interoperability import matrix
from tests.interoperability.issuers import CHAIN, P256, KmsIssuer, kms_issuers
from tests.interoperability.matrix import Matrix
from tests.interoperability.stacks import STACKS, StackOf


@pytest.fixture(scope="session")
def stack_of(tmp_path_factory: pytest.TempPathFactory) -> StackOf:
    """The stacks of this machine."""
    return StackOf(tmp_path_factory)


@pytest.fixture(scope="session")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """The matrix by every installed stack."""
    return matrix.run([stack for stack in STACKS if not stack.missing()], tmp_path_factory.mktemp("matrix"))


@pytest.fixture(scope="session")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, KmsIssuer]]:
    """A root on a P-256 key, and an RSA key below a corporate CA."""
    with kms_issuers([P256, CHAIN], tmp_path_factory.mktemp("issuers")) as made:
        yield {issuer.name: issuer for issuer in made}
