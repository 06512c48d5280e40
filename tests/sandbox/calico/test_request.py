"""The PKCS#10 bytes: those of Go 1.26's x509.CreateCertificateRequest with the client's template."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from sandbox.calico import der, request
from sandbox.calico.components import components
from sandbox.calico.keys import (
    KEY_ALGORITHMS,
    SIGNATURE_ALGORITHMS,
    KeyMismatchError,
    KeyPool,
    generate,
    known,
    private_key_pem,
    signature_algorithms_for,
    subject_public_key_info,
)
from sandbox.calico.request import Content, certification_request

# Written by a Go program with the template of key-cert-provisioner/pkg/tls/tls.go, not by this project.
_GO = {
    "calico-node": (
        """
        3078310b3009060355040613025553311330110603550408130a43616c69666f726e6961311630140603550407130d53
        616e204672616e636973636f310f300d060355040a130654696765726131143012060355040b130b456e67696e656572
        696e67311530130603550403130c74797068612d636c69656e74
        """,
        """
        a06d306b06092a864886f70d01090e315e305c301d0603551d1104163014820c74797068612d636c69656e7487040a80
        0002300c0603551d130101ff04023000300e0603551d0f0101ff0404030203a8301d0603551d250416301406082b0601
        050507030106082b06010505070302
        """,
    ),
    "calico-apiserver": (
        """
        3076310b3009060355040613025553311330110603550408130a43616c69666f726e6961311630140603550407130d53
        616e204672616e636973636f310f300d060355040a130654696765726131143012060355040b130b456e67696e656572
        696e67311330110603550403130a63616c69636f2d617069
        """,
        """
        a081e13081de06092a864886f70d01090e3181d03081cd30818d0603551d11048185308182820a63616c69636f2d6170
        69821863616c69636f2d6170692e63616c69636f2d73797374656d821c63616c69636f2d6170692e63616c69636f2d73
        797374656d2e737663822a63616c69636f2d6170692e63616c69636f2d73797374656d2e7376632e636c75737465722e
        6c6f63616c8710fd000010024400000000000000000007300c0603551d130101ff04023000300e0603551d0f0101ff04
        04030203a8301d0603551d250416301406082b0601050507030106082b06010505070302
        """,
    ),
    "odd": (
        """
        3070310b3009060355040613025553311330110603550408130a43616c69666f726e6961311630140603550407130d53
        616e204672616e636973636f310f300d060355040a130654696765726131143012060355040b130b456e67696e656572
        696e67310d300b06035504030c047226642a
        """,
        """
        a05d305b06092a864886f70d01090e314e304c300d0603551d110406300482008700300c0603551d130101ff04023000
        300e0603551d0f0101ff0404030203a8301d0603551d250416301406082b0601050507030106082b06010505070302
        """,
    ),
}
_ROWS = {row.workload: row for row in components("3.31")}
_CONTENTS = {
    "calico-node": Content(common_name="typha-client", dns_names=_ROWS["calico-node"].dns_names, address="10.128.0.2"),
    "calico-apiserver": Content(
        common_name="calico-api", dns_names=_ROWS["calico-apiserver"].dns_names, address="fd00:10:244::7"
    ),
    # An empty DNS_NAMES, an address that is none, and a name that is no PrintableString.
    "odd": Content(common_name="r&d*", dns_names=("",), address="none"),
}


def _load(content: Content) -> x509.CertificateSigningRequest:
    return x509.load_der_x509_csr(certification_request(content, generate("ECDSAWithCurve256"), "ECDSAWithSHA256"))


@pytest.mark.parametrize("name", sorted(_GO))
def test_bytes_are_those_of_go(name: str) -> None:
    """Subject and attributes are, byte for byte, what Go writes: RDN order, string types, extensions, key usage."""
    key = generate("ECDSAWithCurve256")
    subject, attributes = (bytes.fromhex(text) for text in _GO[name])
    information = der.sequence(der.integer(0), subject, subject_public_key_info(key), attributes)
    encoded = certification_request(_CONTENTS[name], key, "ECDSAWithSHA256")
    assert x509.load_der_x509_csr(encoded).tbs_certrequest_bytes == information


def test_exactly_four_extensions() -> None:
    """The four extensions that the client's own test counts, with their criticality, and nothing else."""
    csr = _load(_CONTENTS["calico-node"])
    assert [(each.oid.dotted_string, each.critical) for each in csr.extensions] == [
        ("2.5.29.17", False),
        ("2.5.29.19", True),
        ("2.5.29.15", True),
        ("2.5.29.37", False),
    ]
    usages = csr.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not csr.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_key_usage_bits() -> None:
    """Key usage is digitalSignature, keyEncipherment and keyAgreement for every kind of key."""
    usage = _load(_CONTENTS["calico-node"]).extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage == x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=True,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def test_email_address() -> None:
    """EMAIL_ADDRESS adds one more attribute after the common name."""
    content = Content(common_name="a", dns_names=("a",), address=None, email_address="a@example.com")
    assert list(_load(content).subject)[-1] == x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.com")


@pytest.mark.parametrize("key_algorithm", KEY_ALGORITHMS)
def test_every_algorithm_signs(key_algorithm: str) -> None:
    """Each key algorithm works with each signature algorithm of its kind, and the signature is right."""
    with KeyPool([key_algorithm], make=known) as keys:
        for signature_algorithm in signature_algorithms_for(key_algorithm):
            encoded = certification_request(_CONTENTS["calico-node"], keys.take(key_algorithm), signature_algorithm)
            csr = x509.load_der_x509_csr(encoded)
            expected = SIGNATURE_ALGORITHMS[signature_algorithm]
            assert csr.is_signature_valid
            assert csr.signature_algorithm_oid.dotted_string == expected.identifier
            public_key = csr.public_key()
            assert isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
            assert str(public_key.key_size) in key_algorithm


def test_unknown_algorithms_mean_the_default() -> None:
    """A typo in the Installation gives RSA 2048 and SHA-256, silently."""
    csr = x509.load_der_x509_csr(
        certification_request(_CONTENTS["calico-node"], generate("RSAWithSize1024"), "MD5WithRSA")
    )
    public_key = csr.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    assert public_key.key_size == 2048
    assert csr.signature_algorithm_oid.dotted_string == "1.2.840.113549.1.1.11"


def test_mismatched_pair() -> None:
    """A key on a curve with the default signature algorithm fails before any CSR exists."""
    with pytest.raises(KeyMismatchError, match="SHA256WithRSA"):
        certification_request(_CONTENTS["calico-node"], generate("ECDSAWithCurve256"), "")


@pytest.mark.parametrize(
    ("key_algorithm", "label"), [("", b"RSA PRIVATE KEY"), ("ECDSAWithCurve384", b"EC PRIVATE KEY")]
)
def test_private_key_form(key_algorithm: str, label: bytes) -> None:
    """Keys are written as PKCS#1 or SEC1, not as PKCS#8."""
    assert private_key_pem(generate(key_algorithm)).startswith(b"-----BEGIN " + label + b"-----\n")


def test_pem() -> None:
    """One block with lines of 64 characters, which a reader takes for the same bytes."""
    encoded = certification_request(_CONTENTS["calico-apiserver"], generate(""), "")
    text = request.pem(encoded)
    lines = text.decode().splitlines()
    assert {len(line) for line in lines[1:-2]} == {64}
    assert base64.b64decode("".join(lines[1:-1])) == encoded
    assert x509.load_pem_x509_csr(text).is_signature_valid


def test_hidden_extension() -> None:
    """A second list of requested extensions can be written, of which a common parser sees nothing."""
    comment = request.extension("2.16.840.1.113730.1.13", der.ia5_text("x" * 128))
    hidden = request.extension_request(request.basic_constraints(der.TRUE), comment)
    csr = _load(Content(common_name="a", dns_names=("a",), address=None, authority=None, other_attributes=(hidden,)))
    with pytest.raises(x509.ExtensionNotFound):
        csr.extensions.get_extension_for_class(x509.BasicConstraints)
    assert csr.tbs_certrequest_bytes.count(hidden) == 1


def test_attribute() -> None:
    """Further attributes stand beside the extensionRequest."""
    password = request.attribute("1.2.840.113549.1.9.7", der.text("secret"))
    csr = _load(Content(common_name="a", dns_names=("a",), address=None, other_attributes=(password,)))
    assert csr.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value == b"secret"


def test_key_pool_reuses_slow_keys_only() -> None:
    """RSA keys of a pool take turns; keys on a curve are always new."""
    with KeyPool(["RSAWithSize4096"], make=known) as keys:
        assert keys.take("RSAWithSize4096") is keys.take("RSAWithSize4096")
        assert keys.take("ECDSAWithCurve256") is not keys.take("ECDSAWithCurve256")
