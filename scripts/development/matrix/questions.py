"""What the stacks are asked: whether a chain is good for a host and a purpose, under one pinned root.

They are not told what is expected of them.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

Purpose = Literal["server", "client"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What is asked.

    Attributes:
        chain: the leaf, then intermediates, PEM.
        root: the only trusted certificate.
        host: DNS name or address that is compared; empty: none.
        purpose: what the leaf is used for.
    """

    chain: bytes
    root: x509.Certificate
    host: str
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The same for a program.

    Attributes:
        number: by which it is answered.
        chain, root: files, PEM.
        host, purpose: as they are.
    """

    number: int
    chain: Path
    root: Path
    host: str
    purpose: Purpose

    def intermediates(self) -> bytes:
        """What follows the leaf."""
        marker = b"-----BEGIN CERTIFICATE-----"
        return b"".join(marker + block for block in self.chain.read_bytes().split(marker)[2:])


def is_address(host: str) -> bool:
    """Whether a host is an address and no DNS name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Questions:
    """All questions of a run, each asked once.

    Args:
        folder: for their files.

    Attributes:
        folder: the same.
        asked: in the order of their numbers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[Question] = []
        self._numbers: dict[Inquiry, int] = {}

    def ask(self, inquiry: Inquiry) -> int:
        """Adds a question and returns its number."""
        number = self._numbers.setdefault(inquiry, len(self.asked))
        if number == len(self.asked):
            question = Question(
                number=number,
                chain=self._file(inquiry.chain),
                root=self._file(inquiry.root.public_bytes(Encoding.PEM)),
                host=inquiry.host,
                purpose=inquiry.purpose,
            )
            self.asked.append(question)
        return number

    def write(self, name: str) -> Path:
        """A file of that name for a program to read: one line for each, its fields separated by tabs."""
        path = self.folder / name
        lines = [f"{each.number}\t{each.chain}\t{each.root}\t{each.host}\t{each.purpose}\n" for each in self.asked]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def _file(self, pem: bytes) -> Path:
        path = self.folder / f"{hashlib.sha256(pem).hexdigest()[:24]}.pem"
        if not path.exists():
            path.write_bytes(pem)
        return path
