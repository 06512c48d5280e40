"""Who signs: for each algorithm a key version in the KMS double and a root that `signerctl` made on it.

One more has a corporate root above it, whose key is nowhere near KMS: `signerctl ca request` asks it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from click.testing import CliRunner
from cryptography import x509
from google.cloud.kms_v1 import KeyManagementServiceClient

from csr_signer import issuer as issuers
from csr_signer import kms
from csr_signer.algorithm import EVERY_ALGORITHM, SIGNATURE_HASHES, SignatureAlgorithm
from csr_signer.issuer import Issuer
from csr_signer.kms import CloudKmsKey
from development.matrix import corporate
from sandbox.kms import KmsServer, create_signing_key
from signerctl.__main__ import main as signerctl

CHAIN: Final = "EC_SIGN_P256_SHA256 under a corporate root"
_CHAIN_ALGORITHM: Final = "EC_SIGN_P256_SHA256"
_HASH_NAMES: Final = {digest: name for name, digest in SIGNATURE_HASHES.items()}


class AuthorityError(Exception):
    """A CA could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An issuing CA and the KMS key that signs for it.

    Attributes:
        name: for tables: the KMS algorithm, and of a raw key the hash.
        issuer: as the function loads it.
        key: the function's own client of the key.
        algorithm: proved by `issuer.confirm`.
    """

    name: str
    issuer: Issuer
    key: CloudKmsKey
    algorithm: SignatureAlgorithm

    @property
    def root(self) -> x509.Certificate:
        """What relying parties pin."""
        return self.issuer.trust_bundle[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a CA is to be.

    Attributes:
        name: for tables.
        algorithm: of its key version.
        key: the key's id in KMS; the raw key of one size serves all three hashes.
        corporate: whether a corporate root stands above it.
    """

    name: str
    algorithm: SignatureAlgorithm
    key: str
    corporate: bool = False

    @property
    def signature_hash(self) -> str | None:
        """Of a raw key; None for every other."""
        return _HASH_NAMES[self.algorithm.digest] if self.algorithm.raw else None


def _plans() -> Iterator[_Plan]:
    for algorithm in EVERY_ALGORITHM:
        name = f"{algorithm.name} {_HASH_NAMES[algorithm.digest]}" if algorithm.raw else algorithm.name
        yield _Plan(name=name, algorithm=algorithm, key=algorithm.name)
        if algorithm.name == _CHAIN_ALGORITHM:
            yield _Plan(name=CHAIN, algorithm=algorithm, key="corporate", corporate=True)


NAMES: Final = tuple(plan.name for plan in _plans())
"""Every authority that there is."""


@contextlib.contextmanager
def authorities(names: Sequence[str], folder: Path) -> Iterator[list[Authority]]:
    """Starts the KMS double and yields those authorities, in the order of NAMES.

    Args:
        names: some of NAMES.
        folder: where certificates go.

    Raises:
        AuthorityError: one could not be made.
    """
    plans = [plan for plan in _plans() if plan.name in names]
    with KmsServer() as server, kms.connect(endpoint=None, unsafe_plaintext_endpoint=server.endpoint) as client:
        versions = _key_versions(client, plans)
        yield [_authority(plan, versions[plan.key], server.endpoint, client, folder) for plan in plans]


def _key_versions(client: KeyManagementServiceClient, plans: Sequence[_Plan]) -> dict[str, str]:
    """Key versions by the id of their keys, all made at once: large RSA keys take seconds."""
    keys = {plan.key: plan.algorithm.name for plan in plans}
    with ThreadPoolExecutor(max_workers=len(keys)) as pool:
        made = pool.map(lambda item: create_signing_key(client, item[1], key=item[0]), keys.items())
        return dict(zip(keys, made, strict=True))


def _authority(
    plan: _Plan, key_version: str, endpoint: str, client: KeyManagementServiceClient, folder: Path
) -> Authority:
    asked = ["--key-version", key_version, "--unsafe-plaintext-kms-endpoint", endpoint]
    asked += ["--signature-hash", plan.signature_hash] if plan.signature_hash else []
    certificate, root = (_corporate if plan.corporate else _self_signed)(plan.name, asked, folder)
    issuer = issuers.load(
        key_version=key_version,
        certificate=certificate.read_bytes(),
        trust_bundle=root.read_bytes(),
        protection_level="HSM",
        signature_hash=plan.signature_hash,
    )
    key = CloudKmsKey(client=client, key_version=key_version, protection_level="HSM")
    return Authority(name=plan.name, issuer=issuer, key=key, algorithm=issuers.confirm(issuer, key.public_key()))


def _self_signed(name: str, asked: list[str], folder: Path) -> tuple[Path, Path]:
    """Files of the issuing CA and of what is trusted: here one root."""
    root = folder / f"{name}.pem"
    _signerctl("create", *asked, "--common-name", name, "--out", str(root))
    return root, root


def _corporate(name: str, asked: list[str], folder: Path) -> tuple[Path, Path]:
    """The same, where a corporate root grants what it is asked for."""
    request, answer, certificate, root = (folder / f"corporate-{part}.pem" for part in ("csr", "answer", "ca", "root"))
    _signerctl("request", *asked, "--common-name", name, "--out", str(request))
    answer.write_bytes(corporate.answer(request.read_bytes()))
    outputs = ("--out-certificate", str(certificate), "--out-trust-bundle", str(root))
    _signerctl("import", *asked, *outputs, str(answer))
    return certificate, root


def _signerctl(command: str, *arguments: str) -> None:
    """As an operator types it; what it shows and records is shown only where it fails.

    Raises:
        AuthorityError: it fails.
    """
    done = CliRunner().invoke(signerctl, ["ca", command, *arguments])
    if done.exit_code != 0:
        raise AuthorityError(f"signerctl ca {command} ended with {done.exit_code}: {done.output}") from done.exception
