"""The certificates that are linted: leaves made here, roots made as an operator makes them; and the linters, built."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csr_signer.ca.algorithm import EVERY_ALGORITHM, SIGNATURE_HASHES
from sandbox.kms import KmsServer, connect
from sandbox.kms.client import create_signing_key
from signerctl.command_line import main as signerctl
from tests.linters.certificates import Linted, leaves, title
from tests.paths import CACHE

BUILDING = 900
"""Seconds after which a build is taken for stuck; the first one fetches modules and compiles them."""


@pytest.fixture(scope="session")
def every_leaf() -> list[Linted]:
    """A leaf of every issuer algorithm and every kind of key."""
    return list(leaves())


@pytest.fixture(scope="session")
def every_root(tmp_path_factory: pytest.TempPathFactory) -> list[Linted]:
    """A root of every issuer algorithm, by `signerctl ca create`."""
    folder, roots = tmp_path_factory.mktemp("roots"), []
    names = {digest: name for name, digest in SIGNATURE_HASHES.items()}
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        for number, algorithm in enumerate(EVERY_ALGORITHM):
            version = create_signing_key(client, algorithm.name, key=f"key-{number}")
            path = folder / f"{number}.pem"
            arguments = ["ca", "create", "--key-version", version, "--common-name", "test root", "--out", str(path)]
            arguments += ["--unsafe-plaintext-kms-endpoint", server.endpoint]
            arguments += ["--signature-hash", names[algorithm.digest]] if algorithm.raw else []
            signerctl.main(arguments, standalone_mode=False)
            encoded = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
            roots.append(Linted(name=f"root of {title(algorithm)}", encoded=encoded))
    return roots


@pytest.fixture(scope="session")
def zlint() -> Path:
    """The program in zlint/."""
    return _built("zlint", ".")


@pytest.fixture(scope="session")
def tflint() -> Path:
    """The tool that tflint/go.mod names."""
    return _built("tflint", "github.com/terraform-linters/tflint")


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """The tool that actionlint/go.mod names."""
    package = "github.com/rhysd/actionlint/cmd/actionlint"
    return _built("actionlint", package)


@pytest.fixture(scope="session")
def prometheus_operator() -> Path:
    """The program in prometheus_operator/."""
    return _built("prometheus_operator", ".")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The tool that promtool/go.mod names, without the clouds' service discovery: the build takes half as long."""
    package = "github.com/prometheus/prometheus/cmd/promtool"
    return _built("promtool", package, "-tags=remove_all_sd")


def _built(name: str, package: str, *options: str) -> Path:
    """Builds a program from the modules that its go.sum pins, once: linking the larger ones takes seconds.

    Without Go, or without the modules, the tests are skipped with the reason, or fail if `CI` is set.
    """
    go = shutil.which("go")
    if go is None:
        return _absent(name, "go is not installed")
    module = Path(__file__).parent / name
    program = CACHE / "linters" / f"{name}-{_digest(go, module, package, *options)}"
    if program.is_file():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        made = Path(folder) / name
        done = subprocess.run(
            [go, "build", "-mod=readonly", "-buildvcs=false", *options, "-o", str(made), package],
            cwd=module,
            env=os.environ | {"GOFLAGS": ""},
            capture_output=True,
            text=True,
            timeout=BUILDING,
            check=False,
        )
        if done.returncode != 0:
            return _absent(name, f"go build ended with {done.returncode}: {done.stderr}")
        made.rename(program)
    return program


def _digest(go: str, module: Path, *build: str) -> str:
    """Returns a digest of all that decides about the program: Go's version, the module's files and the options."""
    version = subprocess.run([go, "version"], cwd=module, capture_output=True, check=True).stdout
    files = [
        each.read_bytes() for each in sorted(module.iterdir()) if each.name.startswith("go.") or each.suffix == ".go"
    ]
    return hashlib.sha256(repr((version, files, build)).encode()).hexdigest()[:16]


def _absent(name: str, reason: str) -> Path:
    if os.environ.get("CI"):
        pytest.fail(f"CI is set and {name} is needed: {reason}")
    pytest.skip(f"NOT TESTED with {name}: {reason}")
