"""The stacks that verify certificates, none of which shares code with the function but for pyca's.

Each is asked everything in one go and answers every question: with nothing where it accepts the chain, else with its
own words. What cannot be asked or read is an error, never a refusal.
"""

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import cryptography
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from development.matrix import openssl
from development.matrix.process import StackError, run
from development.matrix.questions import Question, Questions, is_address

PROGRAMS: Final = Path(__file__).with_name("programs")
_PURPOSES: Final = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH.dotted_string,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string,
}
# The standard library alone, the toolchain that is there, and no network.
_GO: Final = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOFLAGS": "",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}

Answers = Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One independent implementation of path validation.

    Attributes:
        name: for tables and options.
        tools: programs that it needs.
        wanted: what to install where one is missing.
        required: whether the matrix fails without it.
        version: arguments after the first tool that make it say its version.
        answer: answers all questions.
    """

    name: str
    tools: tuple[str, ...]
    wanted: str
    required: bool
    version: tuple[str, ...]
    answer: Callable[[Questions], Answers]

    def missing(self) -> str:
        """What to say where it is not here; empty where it is."""
        absent = [tool for tool in self.tools if shutil.which(tool) is None]
        return f"{', '.join(absent)}: not installed ({self.wanted})" if absent else ""

    def describe(self) -> str:
        """Its version, in its own words."""
        if not self.tools:
            return f"cryptography {cryptography.__version__}, Python {sys.version.split()[0]}"
        return run(self.tools[0], *self.version).stdout.splitlines()[0]


def _program(questions: Questions, *command: str | Path) -> Answers:
    """What one of our programs answers: a line for each question."""
    lines = run(*command, questions.write(f"{Path(command[0]).name}.questions")).stdout.splitlines()
    return {int(number): reason for number, _, reason in (line.partition("\t") for line in lines)}


def _go(questions: Questions) -> Answers:
    program = questions.folder / "matrix-go"
    build = ("go", "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
    run(*build, environment=_GO, folder=PROGRAMS / "go")
    return _program(questions, program)


def _java(questions: Questions) -> Answers:
    # Without the optimizing compiler: what it would gain, it costs.
    return _program(questions, "java", "-XX:TieredStopAtLevel=1", PROGRAMS / "Verify.java")


def _node(questions: Questions) -> Answers:
    return _program(questions, "node", PROGRAMS / "verify.mjs")


def _certtool(questions: Questions) -> Answers:
    """`certtool --verify` takes one chain at a time."""

    def answer(question: Question) -> str:
        options = ["--load-ca-certificate", str(question.root), "--infile", str(question.chain)]
        options += ["--verify-purpose", _PURPOSES[question.purpose]]
        options += ["--verify-hostname", question.host] if question.host else []
        done = run("certtool", "--verify", *options, may_fail=True)
        said = f"{done.stdout}{done.stderr}"
        verdict = re.search(r"^Chain verification output: (.+)$", said, re.MULTILINE)
        if verdict is None:
            raise StackError(f"certtool says nothing about question {question.number}: {said}")
        return "" if done.returncode == 0 else verdict[1]

    return {question.number: answer(question) for question in questions.asked}


def _pyca(questions: Questions) -> Answers:
    @cache
    def load(path: Path) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(path.read_bytes())

    def answer(question: Question) -> str:
        leaf, *intermediates = load(question.chain)
        builder = verification.PolicyBuilder().store(verification.Store(load(question.root)))
        try:
            if question.purpose == "client":
                builder.build_client_verifier().verify(leaf, intermediates)
            else:
                builder.build_server_verifier(_subject(question.host)).verify(leaf, intermediates)
        except verification.VerificationError as error:
            return str(error)
        return ""

    return {question.number: answer(question) for question in questions.asked}


def _subject(host: str) -> x509.DNSName | x509.IPAddress:
    return x509.IPAddress(ip_address(host)) if is_address(host) else x509.DNSName(host)


STACKS: Final = (
    Stack(
        name="OpenSSL",
        tools=("openssl",),
        wanted="OpenSSL 3",
        required=True,
        version=("version",),
        answer=openssl.answer,
    ),
    Stack(
        name="Go",
        tools=("go",),
        wanted="Go 1.22 or later",
        required=True,
        version=("version",),
        answer=_go,
    ),
    Stack(
        name="Java",
        tools=("java", "javac"),
        wanted="a JDK, 11 or later",
        required=False,
        version=("--version",),
        answer=_java,
    ),
    Stack(
        name="pyca",
        tools=(),
        wanted="",
        required=True,
        version=(),
        answer=_pyca,
    ),
    Stack(
        name="GnuTLS",
        tools=("certtool",),
        wanted="GnuTLS's tools, Debian's package gnutls-bin",
        required=False,
        version=("--version",),
        answer=_certtool,
    ),
    Stack(
        name="Node",
        tools=("node",),
        wanted="Node.js 20 or later",
        required=False,
        version=("--version",),
        answer=_node,
    ),
)
