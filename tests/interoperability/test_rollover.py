"""A corporate root that changed its key: what is sent verifies for who trusts the old one, with OpenSSL and Go."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csr_signer.issuer import load
from tests.function.authorities import Ca
from tests.function.builders import KEY_VERSION, ec_key
from tests.interoperability.test_go import ENVIRONMENT
from tests.interoperability.tools import path_of, run

VERIFIER = Path(__file__).parents[1] / "signerctl" / "go"


def files(folder: Path) -> tuple[Path, Path, Path]:
    """The old root; the leaf with what is sent behind it; the leaf alone."""
    old = Ca("Root", key=ec_key(number=31), path_length=None)
    link = Ca("Root", key=ec_key(number=33), above=old, path_length=1)
    issuing = Ca(key=ec_key(number=32), above=link)
    issuer = load(
        key_version=KEY_VERSION, certificate=issuing.pem + link.pem, trust_bundle=old.pem, protection_level="HSM"
    )
    leaf = leaf_of(issuing)
    contents = old.pem, leaf + issuer.chain_pem(), leaf
    paths = folder / "root.pem", folder / "sent.pem", folder / "leaf.pem"
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def leaf_of(issuing: Ca) -> bytes:
    """A leaf for everybody, PEM."""
    leaf = Ca(
        "typha-server",
        key=ec_key(number=34),
        above=issuing,
        extensions={
            x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True),
            x509.KeyUsage: None,
        },
    )
    return leaf.certificate.public_bytes(Encoding.PEM)


def test_openssl_verifies_below_a_changed_key(tmp_path: Path) -> None:
    """The link from the new key to the old one is among what is sent."""
    root, sent, leaf = files(tmp_path)
    run(path_of("openssl"), "verify", "-CAfile", root, "-untrusted", sent, leaf)


def test_go_verifies_below_a_changed_key(tmp_path: Path) -> None:
    """As Calico's components do."""
    root, sent, _ = files(tmp_path)
    program = tmp_path / "verify"
    build = (path_of("go"), "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
    run(*build, environment=ENVIRONMENT, folder=VERIFIER)
    run(program, root, sent)
