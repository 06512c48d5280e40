"""A corporate root that changed its key: every stack that trusts the old key accepts what the function sends."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from csr_signer.ca.issuer import load
from tests.interoperability.stack import Query, Stack, pem_file
from tests.interoperability.stacks import STACKS, StackOf
from tests.unit.function.authorities import Ca
from tests.unit.function.builders import KEY_VERSION, ec_key


def issued(folder: Path) -> tuple[Path, Path]:
    """Returns files of the old root, and of a leaf with the issuer certificates that are sent behind it."""
    old = Ca("Root", key=ec_key(number=31), path_length=None)
    link = Ca("Root", key=ec_key(number=33), above=old, path_length=1)
    issuing = Ca(key=ec_key(number=32), above=link)
    issuer = load(
        key_version=KEY_VERSION, certificate=issuing.pem + link.pem, trust_bundle=old.pem, protection_level="HSM"
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    leaf = Ca(
        "typha-server",
        key=ec_key(number=34),
        above=issuing,
        extensions={
            x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True),
            x509.KeyUsage: None,
            x509.ExtendedKeyUsage: (purposes, False),
            x509.SubjectAlternativeName: (x509.SubjectAlternativeName([x509.DNSName("typha-server")]), False),
        },
    )
    chain = leaf.certificate.public_bytes(Encoding.PEM) + issuer.chain_pem
    return pem_file(folder, old.pem), pem_file(folder, chain)


@pytest.mark.parametrize("stack", STACKS)
def test_a_chain_below_a_changed_key_is_accepted(stack_of: StackOf, stack: type[Stack], tmp_path: Path) -> None:
    """The certificate that links the new key to the old one is among what is sent."""
    root, chain = issued(tmp_path)
    queries = [
        Query(chain=chain, roots=root, host="typha-server", purpose="server"),
        Query(chain=chain, roots=root, purpose="client"),
    ]
    assert stack_of(stack).verify(queries) == ["", ""]
