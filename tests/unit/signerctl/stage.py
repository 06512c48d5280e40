"""Runs signerctl in this process, against KMS's double, and runs openssl."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result
from google.cloud.kms_v1 import KeyManagementServiceClient

from sandbox.kms import KmsServer, create_signing_key
from signerctl.command_line import main

ALGORITHMS: Final = (
    "EC_SIGN_P256_SHA256",
    "EC_SIGN_P384_SHA384",
    "RSA_SIGN_PKCS1_2048_SHA256",
    "RSA_SIGN_PKCS1_3072_SHA256",
    "RSA_SIGN_PKCS1_4096_SHA256",
    "RSA_SIGN_PKCS1_4096_SHA512",
)
RAW: Final = tuple(
    (f"RSA_SIGN_RAW_PKCS1_{size}", name) for size in (2048, 3072, 4096) for name in ("SHA256", "SHA384", "SHA512")
)
EVERY_ALGORITHM: Final = (*((name, None) for name in ALGORITHMS), *RAW)
"""Key version algorithms; raw ones with the value of --signature-hash."""
SIGNER_NAME: Final = "example.com/calico"


def signerctl(
    *arguments: str | Path, stdin: str | bytes | None = None, clock: Callable[[], datetime] | None = None
) -> Result:
    """Runs the command as an operator does; fails the test if the command shows an exception."""
    result = CliRunner().invoke(main, [str(each) for each in arguments], input=stdin, obj=clock)
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert "Traceback" not in result.output
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """KMS's double with its keys.

    Attributes:
        server: The double.
        client: An administrator's client, which creates keys.
        keys: Key versions by name.
    """

    server: KmsServer
    client: KeyManagementServiceClient
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, algorithm: str = "EC_SIGN_P256_SHA256", number: int = 1, *, protection_level: str = "HSM") -> str:
        """Returns a key version of an algorithm: the same one for the same number."""
        name = f"{algorithm}-{protection_level}-{number}"
        if name not in self.keys:
            made = create_signing_key(self.client, algorithm, key=name, protection_level=protection_level)
            self.keys[name] = made
        return self.keys[name]

    def run(self, command: str, *arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        """Runs one command of `signerctl ca` against the double."""
        endpoint = () if command == "bundle" else ("--unsafe-plaintext-kms-endpoint", self.server.endpoint)
        return signerctl("ca", command, *endpoint, *arguments, stdin=stdin)

    def done(self, command: str, *arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        """Runs one command of `signerctl ca`, which must succeed."""
        result = self.run(command, *arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result

    def create(self, out: Path, *more: str | Path, key: str | None = None, name: str = "Calico CA 2026") -> Path:
        """Creates a root for a key."""
        self.done("create", "--key-version", key or self.key(), "--common-name", name, "--out", out, *more)
        return out

    def signatures(self) -> int:
        """Returns the number of requests for a signature."""
        return len(self.server.audit.records("AsymmetricSign"))


def records_of(result: Result) -> list[dict[str, Any]]:
    """Returns the audit records that a command wrote to standard error."""
    return [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]


def logged(result: Result) -> list[dict[str, Any]]:
    """Returns the lines of `--log-format json`, without the run's start and end."""
    first, *lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert first["event"] == "run_started"
    return [line for line in lines if line["event"] != "run_ended"]


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the openssl program."""
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def verified(leaf: Path, roots: Path, chain: Path | None = None) -> list[str]:
    """Returns openssl's errors about a leaf as TLS server and as TLS client; empty if it accepts both."""
    untrusted: Sequence[str | Path] = ("-untrusted", chain) if chain else ()
    trusted = ("-no-CApath", "-no-CAstore", "-CAfile", roots)
    results = [
        openssl("verify", "-x509_strict", "-purpose", purpose, *trusted, *untrusted, leaf)
        for purpose in ("sslserver", "sslclient")
    ]
    return [result.stderr for result in results if result.returncode]
