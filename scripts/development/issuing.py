"""`scripts/bench issue`: the processor time that one certificate costs the function, from permit to verified PEM.

It measures the pipeline from decision to write: `issuer.confirm`, `certificate.build`, `lint`, the calls to KMS with
all checks of the answers, and `certificate.assemble`. It excludes the API server and the audit records. For the first
column, KMS answers at once from memory, so only our own code counts. For the second, the real client calls the double
in another process, which adds the client library's time. The figure is this process's own CPU time, the median of
several runs. Compare rows of one run, because absolute numbers depend on the machine.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from csr_signer.ca import issuer
from csr_signer.ca.issuer import Issuer
from csr_signer.issuance import certificate, lint
from csr_signer.kms.client import Connection
from csr_signer.kms.client import connect as connect_function
from csr_signer.kms.key import Attempts, CloudKmsKey
from csr_signer.request.public_key import examine
from sandbox.kms import connect, create_signing_key
from sandbox.process import Part

ROOT: Final = Path(__file__).resolve().parents[2]
ALGORITHMS: Final = (
    "EC_SIGN_P256_SHA256",
    "RSA_SIGN_PKCS1_2048_SHA256",
    "EC_SIGN_P384_SHA384",
    "RSA_SIGN_PKCS1_3072_SHA256",
)
HEADER: Final = f"  {'issuer':<28} {'leaf':<10} {'own ms':>8} {'with client ms':>15}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one certificate.

    Attributes:
        issuer: The key version's algorithm.
        leaf: The kind of the leaf's key.
        own: Milliseconds of CPU time with a KMS in memory.
        with_client: Milliseconds with the real client library and the double.
    """

    issuer: str
    leaf: str
    own: float
    with_client: float

    def __str__(self) -> str:
        return f"  {self.issuer:<28} {self.leaf:<10} {self.own:>8.3f} {self.with_client:>15.3f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench issue", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=300, help="of each row (default: 300)")
    runs = parser.parse_args(arguments).runs
    sys.path.insert(0, str(ROOT))  # the tests have the permits and CAs
    print(f"on {os.cpu_count()} cores, Python {sys.version.split()[0]}, median of {runs} runs\n{HEADER}")
    for cost in measure(runs):
        print(cost)
    return 0


def measure(runs: int) -> Iterator[Cost]:
    """Measures every issuer algorithm of ALGORITHMS with an EC leaf and an RSA leaf."""
    with ExitStack() as stack:
        part = stack.enter_context(Part.start("sandbox.kms"))
        endpoint = part.ready["endpoint"]
        client = stack.enter_context(connect(endpoint))
        runner = stack.enter_context(asyncio.Runner())
        connection = runner.run(connect_function(endpoint=None, unsafe_plaintext_endpoint=endpoint))
        stack.callback(lambda: runner.run(connection.close()))
        for name in ALGORITHMS:
            version = create_signing_key(client, name, key=name)
            for leaf in ("P-256", "RSA-2048"):
                real = runner.run(_issuing(connection, version, leaf))
                own = runner.run(_issuing(_Memory(connection), version, leaf))
                runner.run(own())  # makes the signature, which _Memory stores
                yield Cost(
                    issuer=name,
                    leaf=leaf,
                    own=runner.run(_median(own, runs)),
                    with_client=runner.run(_median(real, runs)),
                )


class _Memory(Connection):
    """A connection that repeats stored answers at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answers: dict[object, Any] = {}

    async def get_public_key(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - the library has no types
        """Answers GetPublicKey."""
        if request.name not in self._answers:
            self._answers[request.name] = await self._connection.get_public_key(request, **options)
        return self._answers[request.name]

    async def asymmetric_sign(self, request: Any, *, metadata: Any, **options: Any) -> Any:  # noqa: ANN401
        """Answers AsymmetricSign."""
        if metadata not in self._answers:
            answer = await self._connection.asymmetric_sign(request, metadata=metadata, **options)
            self._answers[metadata] = answer
        return self._answers[metadata]


Issue = Callable[[], Coroutine[Any, Any, object]]


async def _issuing(connection: Connection, version: str, leaf: str) -> Issue:
    """Returns the pipeline's steps for the honest permit."""
    from tests.unit.function import builders  # noqa: PLC0415 - after sys.path

    key = CloudKmsKey(connection=connection, key_version=version, protection_level="HSM")
    ca = _ca((await key.public_key()).pem, version)
    keys: dict[str, builders.PrivateKey] = {"P-256": builders.ec_key("P-256", 5), "RSA-2048": builders.rsa_key(2048)}
    certified = examine(builders.public_key_info(keys[leaf]))
    permit = builders.make_permit(public_key=certified)

    async def issue() -> object:
        public_key = await key.public_key()
        chosen = issuer.confirm(ca, public_key)
        cleared = lint.lint(certificate.build(permit, ca, chosen), permit, ca, chosen)
        signature = await key.sign(cleared, chosen, public_key, Attempts())
        return certificate.assemble(cleared, signature.value, ca, chosen)

    return issue


def _ca(public_key: bytes, version: str) -> Issuer:
    """Returns a CA certificate for KMS's key below a root in memory, so that KMS need not sign it."""
    from tests.unit.function import authorities, builders  # noqa: PLC0415 - after sys.path

    root = authorities.Ca("Root", key=builders.ec_key(number=61), path_length=None)
    issuing = authorities.Ca("Issuing", above=root, public_key=load_pem_public_key(public_key))
    return issuer.load(key_version=version, certificate=issuing.pem, trust_bundle=root.pem, protection_level="HSM")


async def _median(issue: Issue, runs: int) -> float:
    """Returns the median milliseconds of this process's CPU time."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        await issue()
        times.append((time.process_time() - start) * 1000)
    return statistics.median(times)
