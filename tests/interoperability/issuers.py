"""One CA for each algorithm of a KMS key version, made with `signerctl`; one more has a corporate CA above it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from csr_signer.ca import issuer as issuers
from csr_signer.ca.algorithm import SignatureAlgorithm
from csr_signer.ca.issuer import Issuer
from csr_signer.kms.client import Connection
from csr_signer.kms.client import connect as connect_function
from csr_signer.kms.key import CloudKmsKey
from sandbox.kms import KmsServer, connect
from tests.unit.function.ports.blocking import Blocking, run
from tests.unit.signerctl.authorities import Corporate, write
from tests.unit.signerctl.stage import EVERY_ALGORITHM, Stage

P256: Final = "EC_SIGN_P256_SHA256"
CHAIN: Final = "RSA_SIGN_PKCS1_2048_SHA256 below a corporate CA"
_ALGORITHMS: Final = {
    **{f"{name} {digest}" if digest else name: (name, digest) for name, digest in EVERY_ALGORITHM},
    CHAIN: ("RSA_SIGN_PKCS1_2048_SHA256", None),
}
NAMES: Final = tuple(_ALGORITHMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsIssuer:
    """A CA whose key is in KMS.

    Attributes:
        name: One of NAMES.
        issuer: As the function loads it.
        key: The function's client of the key version.
        algorithm: As the key version's public key confirms it.
        root: PEM file of what relying parties trust.
    """

    name: str
    issuer: Issuer
    key: Blocking[CloudKmsKey]
    algorithm: SignatureAlgorithm
    root: Path


@contextmanager
def kms_issuers(names: Sequence[str], folder: Path) -> Iterator[list[KmsIssuer]]:
    """Starts the KMS double and yields the CAs of these names."""
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        stage = Stage(server=server, client=client)
        # Generating a large RSA key takes seconds, so the keys are made in parallel.
        with ThreadPoolExecutor() as pool:
            list(pool.map(stage.key, {_ALGORITHMS[name][0] for name in names}))
        connection = run(connect_function(endpoint=None, unsafe_plaintext_endpoint=server.endpoint))
        yield [_issuer(name, connection, stage, folder) for name in names]
        run(connection.close())


def _issuer(name: str, connection: Connection, stage: Stage, folder: Path) -> KmsIssuer:
    algorithm_name, digest = _ALGORITHMS[name]
    key_version = stage.key(algorithm_name)
    key = Blocking(CloudKmsKey(connection=connection, key_version=key_version, protection_level="HSM"))
    certificate, root = folder / f"{name}.pem", folder / f"{name} root.pem"
    if name == CHAIN:
        _import(key_version, stage, certificate, root)
    else:
        hashed = ("--signature-hash", digest) if digest else ()
        root = stage.create(certificate, *hashed, key=key_version, name=name)
    issuer = issuers.load(
        key_version=key_version,
        certificate=certificate.read_bytes(),
        trust_bundle=root.read_bytes(),
        protection_level="HSM",
        signature_hash=digest,
    )
    algorithm = issuers.confirm(issuer, key.public_key())
    return KmsIssuer(name=name, issuer=issuer, key=key, algorithm=algorithm, root=root)


def _import(key_version: str, stage: Stage, certificate: Path, root: Path) -> None:
    request, answer, corporate = root.with_suffix(".csr"), root.with_suffix(".answer"), Corporate()
    stage.done("request", "--key-version", key_version, "--common-name", "Calico CA", "--out", request)
    write(answer, corporate.answer(request), corporate.intermediate, corporate.root)
    outputs = ("--out-certificate", certificate, "--out-trust-bundle", root)
    stage.done("import", "--key-version", key_version, *outputs, answer)
