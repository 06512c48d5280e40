"""CAs and their chains: what one of the relying parties would not accept is refused at load, by name."""

import random
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from csr_signer.ca import chain, checks
from csr_signer.ca.issuer import Issuer, load
from csr_signer.errors import ConfigurationError
from sandbox.calico import der
from tests.unit.function.authorities import (
    BEGIN,
    END,
    Ca,
    Extensions,
    curve,
    named,
    pem_of,
    permitted,
    purposes,
    signed_with_sha1,
    unreadable_names,
    with_replaced,
)
from tests.unit.function.builders import KEY_VERSION, ca_key_usage, ec_key, rsa_key

SERVER, CLIENT, CODE = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.3"
ROOT = Ca("Root", key=ec_key(number=31), path_length=1)
ISSUING = Ca(key=ec_key(number=32), above=ROOT)
ROOTED = Ca()
RSA_ROOT = Ca("RSA root", key=rsa_key(2048), path_length=None)


def loaded(*certificates: bytes, trust: bytes | None = None, uses: tuple[str, ...] = ("serverAuth",)) -> Issuer:
    """An issuer of these certificates; the last is trusted unless another is."""
    return load(
        key_version=KEY_VERSION,
        certificate=b"".join(certificates),
        trust_bundle=certificates[-1] if trust is None else trust,
        protection_level="HSM",
        purposes=uses,
    )


def own_identifier(digest: bytes) -> Extensions:
    """A self-signed CA's key identifiers."""
    return {
        x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier(digest), False),
        x509.AuthorityKeyIdentifier: (x509.AuthorityKeyIdentifier(digest, None, None), False),
    }


def with_version_10(ca: Ca) -> bytes:
    """A version that there is not; the signature is none any more."""
    return with_replaced(ca, bytes.fromhex("a003020102"), bytes.fromhex("a003020109"))


def with_year_0(ca: Ca) -> bytes:
    """A GeneralizedTime that is no date of Python's."""
    encoded = ca.certificate.public_bytes(Encoding.DER)
    begin, end = der.element(0x17, b"260101000000Z"), der.element(0x17, b"360101000000Z")
    old, new = begin + end, der.element(0x18, b"00000101000000Z") + end
    certificate, tbs = encoded, ca.certificate.tbs_certificate_bytes
    changed = der.sequence(content_of(tbs).replace(der.sequence(old), der.sequence(new)))
    return pem_of(der.sequence(changed + content_of(certificate)[len(tbs) :]))


def content_of(element: bytes) -> bytes:
    """What is inside a DER element of more than 127 bytes."""
    return element[2 + (element[1] & 0x7F) :]


@pytest.mark.parametrize(
    "ca",
    [
        Ca(),
        Ca(key=rsa_key(2048)),
        Ca(key=rsa_key(8192)),
        Ca(key=ec_key("P-384"), digest=hashes.SHA384()),
        Ca(key=ec_key("P-521"), digest=hashes.SHA512()),
        Ca(named("Issuing", COUNTRY_NAME="DE", ORGANIZATION_NAME="Example")),
        Ca(named("Two", ORGANIZATION_NAME="Example")),
        Ca(extensions=purposes(SERVER)),
        Ca(extensions=purposes(SERVER, CLIENT, CODE)),
        Ca(extensions=purposes(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string)),
        Ca(extensions={x509.AuthorityKeyIdentifier: None}),
        Ca(extensions=own_identifier(bytes(64))),
        Ca(extensions=own_identifier(b"1")),
        Ca(extensions=permitted(x509.DNSName("cluster.local"), x509.DNSName("typha-client"))),
        Ca(extensions=permitted(x509.RFC822Name("example.com"), x509.UniformResourceIdentifier("example.com"))),
        Ca(further=[("1.2.3.4", der.NULL, False)]),
        Ca("not tigera-operator-signer"),
    ],
    ids=lambda ca: ca.certificate.subject.rfc4514_string(),
)
def test_a_root_is_an_issuer(ca: Ca) -> None:
    """Every kind of key, with usages that are enough, with constraints and with extensions that need not be known."""
    issuer = loaded(ca.pem)
    assert issuer.certificate == ca.certificate
    assert issuer.path == (ca.certificate,)


def test_a_chain_of_three_is_an_issuer() -> None:
    """Path lengths count the CAs below; a root without one, and a middle CA that allows just enough, will do."""
    root = Ca("Root", key=ec_key(number=31), path_length=None)
    middle = Ca("Middle", key=rsa_key(3072), above=root, path_length=1)
    issuing = Ca(key=ec_key(number=32), above=middle)
    issuer = loaded(issuing.pem, middle.pem, trust=root.pem)
    assert issuer.certificates == (issuing.certificate, middle.certificate)
    assert issuer.path == (issuing.certificate, middle.certificate, root.certificate)


REFUSED = {
    "no CA": (
        Ca(extensions={x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True)}),
        "CA:T",
    ),
    "no basic constraints": (
        Ca(extensions={x509.BasicConstraints: None}),
        ".CN=Issuing.: must have basic constraints CA",
    ),
    "basic constraints that are not critical": (
        Ca(extensions={x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=0), False)}),
        "its basic constraints must be critical",
    ),
    "a path length of 1": (Ca(path_length=1), "path length is 1, must be 0, because it issues leaves only"),
    "no path length": (Ca(path_length=None), "path length is None, must be 0"),
    "no key usage": (Ca(extensions={x509.KeyUsage: None}), "must have a key usage with keyCertSign"),
    "a key usage without keyCertSign": (
        Ca(extensions={x509.KeyUsage: (ca_key_usage(key_cert_sign=False), True)}),
        "its key usage must have keyCertSign",
    ),
    "extended key usages without the profile's": (
        Ca(extensions=purposes(CLIENT, CODE)),
        "its extended key usage must have serverAuth too, which the profile certifies",
    ),
    "no subject key identifier": (
        Ca(extensions={x509.SubjectKeyIdentifier: None}),
        "must have a subject key identifier",
    ),
    "an empty subject key identifier": (
        Ca(extensions=own_identifier(b"")),
        "its subject key identifier must have 1 to 64 bytes, not 0",
    ),
    "a subject key identifier of 65 bytes": (
        Ca(extensions=own_identifier(bytes(65))),
        "its subject key identifier must have 1 to 64 bytes, not 65",
    ),
    "an authority key identifier that is not its own": (
        Ca(extensions={x509.AuthorityKeyIdentifier: (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)}),
        "its authority key identifier must be its own subject key identifier",
    ),
    "a critical extension that nobody knows": (
        Ca(further=[("1.2.3.4", der.NULL, True)]),
        "extension 1.2.3.4 must not be critical; supported are BasicConstraints, KeyUsage",
    ),
    "policies that the leaf would need": (
        Ca(extensions={x509.PolicyConstraints: (x509.PolicyConstraints(0, None), True)}),
        "extension 2.5.29.36 must not be critical",
    ),
    "constraints of directory names": (
        Ca(extensions=permitted(x509.DirectoryName(named(None, ORGANIZATION_NAME="Example")))),
        "its name constraints must be of kind DNSName, IPAddress, .*not DirectoryName",
    ),
    "excluded directory names": (
        Ca(extensions=permitted(excluded=[x509.DirectoryName(named("x"))])),
        "its name constraints must be of kind .*not DirectoryName",
    ),
    "a subject without a common name": (
        Ca(named(None, ORGANIZATION_NAME="Example")),
        ".O=Example.: must have a common name in its subject",
    ),
    "the operator's own name": (
        Ca("tigera-operator-signer@1700000000"),
        "its common name must not start with tigera-operator-signer",
    ),
    "an RSA key of 1024 bits": (Ca(key=rsa_key(1024)), "its key must be RSA of 2048 bits or more, .*not RSA-1024"),
    "a key on P-224": (Ca(key=curve(ec.SECP224R1())), "its key must be .*not secp224r1"),
    "a key on secp256k1": (Ca(key=curve(ec.SECP256K1())), "its key must be .*not secp256k1"),
    "a key on Brainpool": (Ca(key=curve(ec.BrainpoolP256R1())), "its key must be .*not brainpoolP256r1"),
    "an Ed25519 key": (
        Ca(key=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))),
        "its key must be .*not Ed25519",
    ),
    "names that cannot be read": (Ca(further=[unreadable_names()]), "must be readable: .*not supported"),
}


@pytest.mark.parametrize(("ca", "violation"), REFUSED.values(), ids=REFUSED)
def test_refused_is_a_ca_with(ca: Ca, violation: str) -> None:
    """The message names the certificate, what was got and what is allowed."""
    name = ca.certificate.subject.rfc4514_string()
    with pytest.raises(ConfigurationError, match=rf"^issuer\.certificate: .*{violation}") as refused:
        loaded(ca.pem)
    assert name in str(refused.value)


def test_every_violation_is_reported() -> None:
    """Whoever mends the CA learns all of it at once."""
    ca = Ca("tigera-operator-signer", path_length=3, extensions={x509.KeyUsage: None, **purposes(CODE)})
    with pytest.raises(ConfigurationError) as refused:
        loaded(ca.pem, uses=("serverAuth", "clientAuth"))
    assert all(text in str(refused.value) for text in ("operator takes", "path length is 3", "keyCertSign"))
    assert "must have clientAuth, serverAuth too" in str(refused.value)


LINKS = {
    "a root whose path length forbids CAs": (
        Ca(key=ec_key(number=32), above=Ca("Root", key=ec_key(number=31), path_length=0)),
        Ca("Root", key=ec_key(number=31), path_length=0),
        ".CN=Root.: path length is 0, must be 1 or more",
    ),
    "an authority key identifier of another key": (
        Ca(
            key=ec_key(number=32),
            above=ROOT,
            extensions={x509.AuthorityKeyIdentifier: (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)},
        ),
        ROOT,
        ".CN=Issuing.: its authority key identifier must be the subject key identifier of .CN=Root.",
    ),
    "an authority key identifier of yet another key": (
        Ca(
            key=ec_key(number=32),
            above=ROOT,
            extensions={x509.AuthorityKeyIdentifier: (x509.AuthorityKeyIdentifier(b"\xff" * 20, None, None), False)},
        ),
        ROOT,
        ".CN=Issuing.: its authority key identifier must be the subject key identifier of .CN=Root.",
    ),
    "no authority key identifier": (
        Ca(key=ec_key(number=32), above=ROOT, extensions={x509.AuthorityKeyIdentifier: None}),
        ROOT,
        ".CN=Issuing.: must have an authority key identifier",
    ),
    "an authority key identifier without a key": (
        Ca(
            key=ec_key(number=32),
            above=ROOT,
            extensions={
                x509.AuthorityKeyIdentifier: (
                    x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(ROOT.subject)], 0x5EED),
                    False,
                )
            },
        ),
        ROOT,
        ".CN=Issuing.: must have an authority key identifier",
    ),
    "a root that may certify nothing of the profile": (
        Ca(key=ec_key(number=32), above=Ca("Root", key=ec_key(number=31), path_length=1, extensions=purposes(CODE))),
        Ca("Root", key=ec_key(number=31), path_length=1, extensions=purposes(CODE)),
        ".CN=Root.: its extended key usage must have serverAuth",
    ),
    "a root of the operator's name": (
        Ca(key=ec_key(number=32), above=Ca("tigera-operator-signer", key=ec_key(number=31), path_length=1)),
        Ca("tigera-operator-signer", key=ec_key(number=31), path_length=1),
        ".CN=tigera-operator-signer.: its common name must not start with",
    ),
    "a root that ends long before its CA begins": (
        Ca(
            key=ec_key(number=32),
            above=Ca("Root", key=ec_key(number=31), path_length=1, end=datetime(2026, 6, 1, tzinfo=UTC)),
            begin=datetime(2027, 1, 1, tzinfo=UTC),
        ),
        Ca("Root", key=ec_key(number=31), path_length=1, end=datetime(2026, 6, 1, tzinfo=UTC)),
        ".CN=Issuing.: must begin before .CN=Root. ends; begins 2027-01-01, the other ends 2026-06-01",
    ),
    "a root that ends when its CA begins": (
        Ca(
            key=ec_key(number=32),
            above=Ca("Root", key=ec_key(number=31), path_length=1, end=datetime(2027, 1, 1, tzinfo=UTC)),
            begin=datetime(2027, 1, 1, tzinfo=UTC),
        ),
        Ca("Root", key=ec_key(number=31), path_length=1, end=datetime(2027, 1, 1, tzinfo=UTC)),
        ".CN=Issuing.: must begin before .CN=Root. ends; begins 2027-01-01, the other ends 2027-01-01",
    ),
}


@pytest.mark.parametrize(("below", "above", "violation"), LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("in_file", [True, False], ids=["chain in the file", "root in the bundle alone"])
def test_refused_is_a_chain_with(below: Ca, above: Ca, violation: str, *, in_file: bool) -> None:
    """What stands above the issuing CA is held to the same, also where only the trust bundle has it."""
    with pytest.raises(ConfigurationError, match=violation):
        loaded(below.pem, above.pem) if in_file else loaded(below.pem, trust=above.pem)


def test_sha_1_is_refused_where_a_signature_counts() -> None:
    """A forged intermediate would do harm."""
    pem = signed_with_sha1(Ca(key=ec_key(number=32), above=RSA_ROOT), rsa_key(2048))
    with pytest.raises(ConfigurationError, match="must be signed with one of SHA256, SHA384, SHA512, not sha1"):
        loaded(pem, trust=RSA_ROOT.pem)


@pytest.mark.parametrize("extensions", [{}, {x509.AuthorityKeyIdentifier: None}], ids=["names its key", "names none"])
def test_an_old_root_may_be_signed_with_sha_1(extensions: Extensions) -> None:
    """Relying parties do not look at the signature of a root, which they trust as it is."""
    key = rsa_key(2048)
    ca = Ca("Old root", key=key, extensions=extensions)
    assert loaded(signed_with_sha1(ca, key)).certificate.subject == ca.subject


@pytest.mark.parametrize("names_itself", [False, True], ids=["names no key", "names its own key"])
def test_a_ca_that_another_issued_is_no_root_by_its_identifiers(*, names_itself: bool) -> None:
    """Who can forge a signature with SHA-1 chooses them too: the signature counts."""
    key = ec_key(number=32)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    ca = Ca(
        key=key,
        above=RSA_ROOT,
        extensions={x509.AuthorityKeyIdentifier: (authority, False) if names_itself else None},
    )
    (certificate,) = x509.load_pem_x509_certificates(signed_with_sha1(ca, rsa_key(2048)))
    assert not checks.self_signed(certificate)
    assert any("must be signed with" in each for each in checks.violations(certificate, below=0, purposes=()))


def test_a_signature_of_unknown_hash_counts_for_nothing() -> None:
    """An Ed25519 root's own key is refused already; what it signed names no hash either."""
    root = Ca("Ed", key=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)), path_length=None)
    with pytest.raises(ConfigurationError, match=r"must be signed with one of .*, not unknown"):
        loaded(Ca(key=ec_key(number=32), above=root).pem, root.pem)


def test_an_unknown_signature_algorithm_breaks_the_chain() -> None:
    """The signature cannot be verified, so it proves nothing."""
    changed = with_replaced(
        ISSUING, der.object_identifier("1.2.840.10045.4.3.2"), bytes.fromhex("06082a8648ce3d04037f")
    )
    with pytest.raises(ConfigurationError, match=r"must hold .CN=Issuing. or its issuer"):
        loaded(changed, trust=ROOT.pem)
    (certificate,) = x509.load_pem_x509_certificates(changed)
    assert checks.violations(certificate, below=0, purposes=()) == [
        '"CN=Issuing": must be signed with one of SHA256, SHA384, SHA512, not unknown'
    ]


@pytest.mark.parametrize(
    ("violation", "certificates", "trust"),
    [
        (r"certificate: Invalid value: must be PEM certificates", [b""], None),
        (r"certificate: Invalid value: must be PEM certificates", [b"garbage"], None),
        (r"certificate: Invalid value: must be PEM certificates", [pem_of(b"\x30\x00")], None),
        (r"trust_bundle: Invalid value: must be PEM certificates", [ROOT.pem], b""),
        (
            r"certificate: Invalid value: .CN=Root.: must be issued by the next in the file, .CN=Issuing.; put",
            [ROOT.pem, ISSUING.pem],
            None,
        ),
        (r"certificate: Invalid value: .CN=Issuing.: must be issued by the next", [ISSUING.pem, RSA_ROOT.pem], None),
        (r"certificate: Duplicate value: .CN=Issuing.", [ISSUING.pem, ISSUING.pem], None),
        (r"trust_bundle: Duplicate value: .CN=Root.", [ISSUING.pem], ROOT.pem + ROOT.pem),
        (r"trust_bundle: Invalid value: must hold .CN=Issuing. or its issuer", [ISSUING.pem], RSA_ROOT.pem),
        (
            r"trust_bundle: Invalid value: must hold .CN=Issuing. or its issuer",
            [ISSUING.pem],
            Ca("Root", key=ec_key(number=99)).pem,  # of the same name
        ),
        (
            r"trust_bundle: Invalid value: must hold .CN=Issuing. or its issuer; otherwise relying parties refuse",
            [ROOTED.pem],
            RSA_ROOT.pem,
        ),
        (
            r"trust_bundle: Invalid value: .CN=Leaf.: must have basic constraints CA:TRUE, because a trust bundle",
            [ROOTED.pem],
            ROOTED.pem + Ca("Leaf", extensions={x509.BasicConstraints: None}).pem,
        ),
        (
            r"trust_bundle: Invalid value: .CN=Odd.: must be readable",
            [ROOTED.pem],
            ROOTED.pem + Ca("Odd", further=[unreadable_names()]).pem,
        ),
        (
            r"trust_bundle: Invalid value: .CN=Weak.: its key must be RSA of 2048 bits or more, .*not RSA-1024",
            [ROOTED.pem],
            ROOTED.pem + Ca("Weak", key=rsa_key(1024)).pem,
        ),
        (
            r"trust_bundle: Invalid value: .CN=Next.: must be signed with one of SHA256",
            [ROOTED.pem],
            ROOTED.pem + signed_with_sha1(Ca("Next", key=ec_key(number=32), above=RSA_ROOT), rsa_key(2048)),
        ),
        (
            r"certificate: Invalid value: must be PEM certificates: .*not a valid X509 version",
            [with_version_10(ROOTED)],
            None,
        ),
        (r"certificate: Invalid value: must be PEM certificates: year 0 is out of range", [with_year_0(ROOTED)], None),
        (
            r"trust_bundle: Invalid value: must be PEM certificates: year 0 is out of range",
            [ROOTED.pem],
            with_year_0(ROOTED),
        ),
    ],
)
def test_refused_are_files_with(violation: str, certificates: list[bytes], trust: bytes | None) -> None:
    """Unreadable, out of order, twice the same, or not below what is trusted."""
    with pytest.raises(ConfigurationError, match=rf"^issuer\.{violation}"):
        loaded(*certificates, trust=trust)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_private_key_beside_the_certificate_is_a_secret_where_none_belongs(form: PrivateFormat) -> None:
    """The configuration holds no secret; a key in a file would be one, and the CA's key is KMS's."""
    secret = ec_key(number=32).private_bytes(Encoding.PEM, form, NoEncryption())
    for certificates, trust, key in (
        ([ISSUING.pem + secret], ROOT.pem, "certificate"),
        ([ISSUING.pem], secret, "trust"),
    ):
        with pytest.raises(ConfigurationError, match=rf"^issuer\.{key}.*: Forbidden: .* holds a private key"):
            loaded(*certificates, trust=trust)


@pytest.mark.parametrize("with_middle", [False, True], ids=["no CA between", "a CA between"])
def test_the_anchor_that_lasts_longest_is_taken(*, with_middle: bool) -> None:
    """A renewed root stands beside the old one: certificates are clamped to what relying parties will accept."""
    key = ec_key(number=31)
    old = Ca("Root", key=key, path_length=2, end=datetime(2028, 1, 1, tzinfo=UTC))
    renewed = Ca("Root", key=key, path_length=2, end=datetime(2032, 1, 1, tzinfo=UTC))
    chain_of = [Ca("Middle", key=ec_key(number=33), above=old, path_length=1)] if with_middle else []
    issuing = Ca(key=ec_key(number=32), above=[old, *chain_of][-1])
    for bundle in (old.pem + renewed.pem, renewed.pem + old.pem):
        issuer = loaded(issuing.pem, *(ca.pem for ca in chain_of), trust=bundle)
        assert issuer.path[-1] == renewed.certificate
        assert issuer.not_after == datetime(2032, 1, 1, tzinfo=UTC)
        assert len(issuer.public_keys) == 2 + with_middle


def test_of_several_anchors_a_good_one_is_taken() -> None:
    """One that lasts longer, but that some relying party does not accept, does not spoil a path that is right."""
    key = ec_key(number=31)
    good = Ca("Root", key=key, path_length=1, end=datetime(2028, 1, 1, tzinfo=UTC))
    odd = Ca("Root", key=key, path_length=1, further=[("1.2.3.4", der.NULL, True)])
    for bundle in (good.pem + odd.pem, odd.pem + good.pem):
        assert loaded(ISSUING.pem, trust=bundle).path == (ISSUING.certificate, good.certificate)
    with pytest.raises(ConfigurationError, match=r"extension 1\.2\.3\.4 must not be critical"):
        loaded(ISSUING.pem, trust=odd.pem)


@pytest.mark.parametrize("in_file", [True, False], ids=["the renewed root in the file", "only what is below it"])
def test_a_renewed_root_in_the_file_does_not_count_below_the_old_one(*, in_file: bool) -> None:
    """Both have one name and key: what one issued is issued by the other, whose path length counts what is below."""
    key = ec_key(number=31)
    old = Ca("Root", key=key, path_length=1, end=datetime(2030, 1, 1, tzinfo=UTC))
    renewed = Ca("Root", key=key, path_length=1)
    middle = Ca("Middle", key=ec_key(number=33), above=renewed, path_length=None)
    issuer = loaded(ISSUING.pem, *([renewed.pem] if in_file else []), trust=old.pem)
    assert issuer.path == (ISSUING.certificate, old.certificate)
    assert issuer.not_after == datetime(2030, 1, 1, tzinfo=UTC)
    assert issuer.chain_pem == ISSUING.pem
    with pytest.raises(ConfigurationError, match=r".CN=Root.: path length is 1, must be 2 or more"):
        loaded(
            Ca(key=ec_key(number=32), above=middle).pem, middle.pem, *([renewed.pem] if in_file else []), trust=old.pem
        )


def test_an_old_root_in_the_file_may_be_signed_with_sha_1() -> None:
    """What the renewed root replaces need not verify: its key and its name are the renewed root's."""
    key = rsa_key(2048)
    renewed = Ca("Root", key=key, path_length=None)
    middle = Ca("Middle", key=ec_key(number=33), above=renewed, path_length=1)
    issuing = Ca(key=ec_key(number=32), above=middle)
    issuer = loaded(issuing.pem, middle.pem, signed_with_sha1(renewed, key), trust=renewed.pem)
    assert issuer.path == (issuing.certificate, middle.certificate, renewed.certificate)


def test_a_ca_of_the_file_that_is_no_root_is_never_left_out() -> None:
    """Leaves are sent with it, so that its validity counts, even if the bundle has another CA of its key."""
    root = Ca("Root", key=ec_key(number=31), path_length=None)
    middle = Ca("Middle", key=ec_key(number=33), above=root, path_length=1, end=datetime(2028, 1, 1, tzinfo=UTC))
    issuing = Ca(key=ec_key(number=32), above=middle)
    rooted = Ca("Middle", key=ec_key(number=33), path_length=1)
    issuer = loaded(issuing.pem, middle.pem, trust=rooted.pem + root.pem)
    assert issuer.path == (issuing.certificate, middle.certificate, root.certificate)
    assert issuer.not_after == datetime(2028, 1, 1, tzinfo=UTC)


def test_a_self_signed_end_that_nothing_of_the_bundle_replaces_is_refused() -> None:
    """The anchor must have issued what is below it."""
    with pytest.raises(ConfigurationError, match=r"must hold .CN=Root. or its issuer"):
        loaded(ISSUING.pem, ROOT.pem, trust=RSA_ROOT.pem)


@pytest.mark.parametrize(("old_key", "new_key"), [(31, 33), (33, 31)])
def test_the_new_key_of_a_root_under_its_old_one_is_an_intermediate(old_key: int, new_key: int) -> None:
    """Issuer and subject are one name, but without this certificate nothing verifies for who trusts the old root."""
    old = Ca("Root", key=ec_key(number=old_key), path_length=None)
    link = Ca("Root", key=ec_key(number=new_key), above=old, path_length=1)
    issuing = Ca(key=ec_key(number=32), above=link)
    for trusted in ((link.pem, old.pem), (link.pem,)):
        issuer = loaded(issuing.pem, *trusted, trust=old.pem)
        assert issuer.path == (issuing.certificate, link.certificate, old.certificate)
        assert issuer.chain_pem == issuing.pem + link.pem


def test_a_certificate_without_authority_key_identifier_is_a_root_only_if_it_signed_itself() -> None:
    """Without the identifier, only the signature shows whether the certificate signed itself."""
    old = Ca("Root", key=ec_key(number=31), path_length=None)
    link = Ca("Root", key=ec_key(number=33), above=old, path_length=1, extensions={x509.AuthorityKeyIdentifier: None})
    assert not checks.self_signed(link.certificate)
    with pytest.raises(ConfigurationError, match=r".CN=Root.: must have an authority key identifier"):
        loaded(Ca(key=ec_key(number=32), above=link).pem, link.pem, trust=old.pem)


@pytest.mark.filterwarnings("ignore:Attribute's length must be")
def test_a_certificate_of_any_bytes_is_loaded_or_refused() -> None:
    """9,000 changes of one or two bytes: nothing but the operator's fault leaves `load`."""
    encoded, chosen, refused = ROOTED.certificate.public_bytes(Encoding.DER), random.Random(5), 0  # noqa: S311
    for _ in range(9000):
        changed = bytearray(encoded)
        for _ in range(chosen.randint(1, 2)):
            changed[chosen.randrange(len(changed))] = chosen.randrange(256)
        try:
            loaded(pem_of(bytes(changed)))
        except ConfigurationError:
            refused += 1
    assert 1000 < refused < 9000


def test_validity_is_what_the_whole_path_shares() -> None:
    """Also the anchor's, where the chain's file does not hold it: a leaf that outlives its root is refused by Go."""
    root = Ca("Root", key=ec_key(number=31), path_length=1, end=END - timedelta(days=100))
    issuing = Ca(key=ec_key(number=32), above=root, begin=BEGIN + timedelta(days=10))
    for issuer in (loaded(issuing.pem, root.pem), loaded(issuing.pem, trust=root.pem)):
        assert (issuer.not_before, issuer.not_after) == (BEGIN + timedelta(days=10), END - timedelta(days=100))


def test_other_cas_may_stand_in_the_bundle() -> None:
    """During a rotation it holds the next CA, which is no issuer here yet, and perhaps ones that have ended."""
    coming = Ca("Next", key=ec_key(number=55), path_length=None)
    ended = Ca("Last", key=rsa_key(2048), begin=datetime(2016, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 1, tzinfo=UTC))
    issuer = loaded(ISSUING.pem, trust=coming.pem + ROOT.pem + ended.pem)
    assert issuer.path == (ISSUING.certificate, ROOT.certificate)
    assert len(issuer.public_keys) == 4


def test_a_subject_that_cannot_be_read_is_named_by_its_number() -> None:
    """A message must not fail for what it is about."""
    utf8, wrong = der.element(0x0C, b"Issuing"), der.element(0x0C, b"Issuin\xff")
    (certificate,) = x509.load_pem_x509_certificates(with_replaced(ROOTED, utf8, wrong))
    assert checks.name_of(certificate) == "number 5EED"
    (violation,) = checks.violations(certificate, below=0, purposes=())
    assert violation.startswith("number 5EED: must be readable")
    assert not checks.self_signed(certificate)


CONSTRAINTS = {
    "a name itself": (permitted(x509.DNSName("typha-server")), ["typha-server"], []),
    "another name": (permitted(x509.DNSName("typha-server")), ["typha-client"], ['typha-client by "CN=Issuing"']),
    "a name below": (permitted(x509.DNSName("cluster.local")), ["api.svc.cluster.local", "CLUSTER.local"], []),
    "a name that only ends alike": (
        permitted(x509.DNSName("luster.local")),
        ["cluster.local"],
        ['cluster.local by "CN=Issuing"'],
    ),
    "a leading dot": (permitted(x509.DNSName(".local")), ["cluster.local"], []),
    "a leading dot and no label before it": (permitted(x509.DNSName(".local")), ["local"], ['local by "CN=Issuing"']),
    "the empty constraint": (permitted(x509.DNSName("")), ["anything"], []),
    "one of several": (permitted(x509.DNSName("a"), x509.DNSName("b")), ["b"], []),
    "constraints of other kinds": (permitted(x509.RFC822Name("example.com")), ["typha-client"], []),
    "an excluded name": (permitted(excluded=[x509.DNSName("local")]), ["x.local"], ['x.local by "CN=Issuing"']),
    "no excluded name": (permitted(excluded=[x509.DNSName("local")]), ["x.example"], []),
    "an excluded part of what is permitted": (
        permitted(x509.DNSName("local"), excluded=[x509.DNSName("bad.local")]),
        ["good.local", "very.bad.local"],
        ['very.bad.local by "CN=Issuing"'],
    ),
    "no constraints": ({}, ["typha-client"], []),
}


@pytest.mark.parametrize(("extensions", "names", "refused"), CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_name_constraints_hold_for(extensions: dict[type, None], names: list[str], refused: list[str]) -> None:
    """RFC 5280 §4.2.1.10, as Go and OpenSSL read it: zero or more labels may stand before a constraint."""
    assert chain.not_permitted([Ca(extensions=extensions).certificate], dns_names=names) == refused


def test_name_constraints_hold_for_addresses() -> None:
    """An address is compared with networks alone; constraints of names do not concern it."""
    ranges = permitted(x509.IPAddress(ip_network("10.0.0.0/8")), x509.DNSName("local"))
    path = [Ca(extensions=ranges).certificate, Ca("Root").certificate]
    addresses = [ip_address(text) for text in ("10.1.2.3", "192.0.2.1", "2001:db8::1")]
    assert chain.not_permitted(path, dns_names=["x.local"], ip_addresses=addresses) == [
        '192.0.2.1 by "CN=Issuing"',
        '2001:db8::1 by "CN=Issuing"',
    ]


def test_name_constraints_of_every_ca_hold() -> None:
    """The root's narrow what the issuing CA may certify."""
    root = Ca("Root", key=ec_key(number=31), path_length=1, extensions=permitted(x509.DNSName("local")))
    issuer = loaded(Ca(key=ec_key(number=32), above=root).pem, trust=root.pem)
    assert chain.not_permitted(issuer.path, dns_names=["x.example"]) == ['x.example by "CN=Root"']
