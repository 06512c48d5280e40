"""A stack is an independent implementation of X.509 that verifies chains; most also write requests."""

import hashlib
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from tests.interoperability.requesters import Requester

PROGRAMS: Final = Path(__file__).parent / "programs"
TIMEOUT_SECONDS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Asks whether a chain is good for a host and a purpose.

    Attributes:
        chain: PEM file, the leaf first.
        roots: PEM file of the only trusted certificates.
        host: DNS name or address; empty if the stack compares no name.
        purpose: The leaf's role in TLS.
    """

    chain: Path
    roots: Path
    host: str = ""
    purpose: Literal["server", "client"]


class Stack(ABC):
    """One installation of a stack.

    Args:
        folder: For keys and other files.

    Attributes:
        name: The stack's name in tables and messages.
        tools: Programs that must be in `PATH`.
        install: What to install if one is missing.
        required: Whether its absence fails the tests if `CI` is set.
        version: Arguments that make the first tool print its version.
        reasons: By the names in `controls.CONTROLS`, the reason of the refusal as a regular expression.
    """

    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""
    required: ClassVar[bool] = False
    version: ClassVar[tuple[str, ...]] = ("--version",)
    reasons: ClassVar[Mapping[str, str]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def missing(cls) -> str:
        """Returns which tools are missing; empty if the stack is installed."""
        absent = [tool for tool in cls.tools if shutil.which(tool) is None]
        return f"NOT TESTED with {cls.name}: not installed: {', '.join(absent)} ({cls.install})" if absent else ""

    def describe(self) -> str:
        """Returns the stack's version in its own words."""
        return run(self.tools[0], *self.version).decode().splitlines()[0]

    @abstractmethod
    def verify(self, queries: Sequence[Query]) -> list[str]:
        """Returns, for each query, why the stack refuses the chain; empty if it accepts it."""

    def verify_with(self, queries: Sequence[Query], *command: str | Path) -> list[str]:
        """Verifies with a program of ours, which reads a file of tab-separated queries and prints a line for each."""
        file = self.folder / "queries.tsv"
        lines = [f"{each.chain}\t{each.roots}\t{each.host}\t{each.purpose}\n" for each in queries]
        file.write_text("".join(lines), encoding="utf-8")
        return run(*command, file).decode().splitlines()


class RequestWriter(Stack):
    """A stack that also makes keys and writes requests."""

    @abstractmethod
    def request(self, kind: str, requester: Requester, digest: str = "", change: Any = "") -> bytes:
        """Returns `spec.request` as the stack writes it for what a Calico pod asks for.

        Args:
            kind: Of key; the same one each time.
            requester: The pod.
            digest: Of the signature; empty for the stack's default.
            change: What else the stack is told, in its own language.
        """

    def accept(self, kind: str, requester: Requester, chain: Path, root: Path) -> None:
        """Fails unless the stack accepts the certificate that was issued for its key of that kind."""
        queries = queries_about(requester, chain, root)
        assert self.verify(queries) == [""] * len(queries), kind


def queries_about(requester: Requester, chain: Path, root: Path) -> list[Query]:
    """Returns the queries that every stack must accept: as a server for each name, and as a client."""
    servers = [Query(chain=chain, roots=root, host=host, purpose="server") for host in requester.hosts]
    return [*servers, Query(chain=chain, roots=root, purpose="client")]


def pem_file(folder: Path, content: bytes) -> Path:
    """Returns the file that holds PEM text, one file for each text."""
    path = folder / f"{hashlib.sha256(content).hexdigest()[:24]}.pem"
    if not path.exists():
        path.write_bytes(content)
    return path


def is_address(host: str) -> bool:
    """Returns whether a host is an IP address and not a DNS name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def run(*command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> bytes:
    """Returns a program's standard output; a program that fails, fails the test.

    Args:
        command: Program and arguments.
        environment: Variables beside the test's own.
        folder: Working directory.
    """
    status, output, text = attempt(*command, environment=environment, folder=folder)
    assert status == 0, f"{' '.join(map(str, command))} ended with {status}: {text}"
    return output


def attempt(
    *command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[int, bytes, str]:
    """Returns exit status, standard output, and all output as text of a program that may fail."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, (done.stdout + done.stderr).decode(errors="replace")
