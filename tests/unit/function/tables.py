"""The rules as a table: one thing wrong per row, with every code that it must give.

Tests of several modules read these rows, and tests/unit/function/requests judges all of them. A test checks that every
code has a row.
"""

from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer.policy.attestation import CREDENTIAL_ID, NODE_NAME, POD_NAME, POD_UID
from sandbox.calico import der
from tests.unit.function.authorities import Ca, permitted
from tests.unit.function.builders import (
    ADDRESS,
    CERT_SIGN,
    CHALLENGE_PASSWORD,
    CLIENT_AUTH,
    COMMON_NAME,
    CREATED,
    DIGITAL_SIGNATURE,
    EXTENDED_KEY_USAGE,
    EXTENSION_REQUEST,
    KEY_AGREEMENT,
    KEY_USAGE,
    NODE,
    POD,
    RANGES,
    RSA_WITH_SHA256,
    SERVER_AUTH,
    SUBJECT,
    USAGES,
    Case,
    alternative_names,
    attribute,
    authority,
    basic_constraints,
    case,
    certifying_addresses,
    close_primes_modulus,
    dns_name,
    ec_key,
    ec_public_key_info,
    extension,
    invalid_case,
    large_modulus,
    make_authority,
    make_issuer,
    make_request_der,
    name_attribute,
    pem,
    postgresql,
    prime,
    public_key_info,
    roca_modulus,
    rsa_key,
    rsa_public_key_info,
    sign,
    sign_with_factors,
)

_SAN: Final = alternative_names(dns_name(b"typha-client"))
_REQUESTED: Final = attribute(EXTENSION_REQUEST, der.sequence(_SAN))
_TWO_REQUESTED: Final = _REQUESTED + attribute(
    EXTENSION_REQUEST,
    der.sequence(alternative_names(dns_name(b"kubernetes.default.svc.cluster.local")), basic_constraints(der.TRUE)),
)
POINT: Final = ec_key().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
_OTHER_NAME: Final = der.element(  # a user principal name, as Windows logs on with
    0xA0,
    der.object_identifier("1.3.6.1.4.1.311.20.2.3"),
    der.explicit(0, der.element(0x0C, b"administrator@example.com")),
)
_ENDS_IN_DATA: Final = pem(make_request_der() + b"\x00")


def corrupt(signed: bytes) -> bytes:
    """A signature of right form that is not one over these bytes."""
    return sign(ec_key(), signed + b"!")


def _text_in_block(encoded: bytes) -> bytes:
    return pem(encoded).replace(b"REQUEST-----\n", b"REQUEST-----\nProc-Type: 4,ENCRYPTED\n\n", 1)


def _spare_bits(encoded: bytes) -> bytes:
    """Base64 whose last character carries bits that mean nothing: two texts would be one request."""
    text = pem(encoded)
    end = text.index(b"=")  # there is one, unless the request's length is a multiple of three
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return text[: end - 1] + alphabet[alphabet.index(text[end - 1]) + 1 :][:1] + text[end:]


def _long_length(encoded: bytes) -> bytes:
    """The outer length in three octets where two are enough (X.690 §10.1)."""
    assert encoded[1] == 0x82
    return pem(bytes([encoded[0], 0x83, 0]) + encoded[2:])


PEM_CASES: Final = (
    invalid_case("nothing at all", "request.pem", request=b""),
    invalid_case("garbage", "request.pem", request=b"garbage"),
    invalid_case("more than 16 KiB", "request.size", request=b"A" * (16 * 1024 + 1)),
    case("text before the block", "request.pem", request={"wrap": lambda encoded: b"hello\n" + pem(encoded)}),
    case("text after the block", "request.pem", request={"wrap": lambda encoded: pem(encoded) + b"hello\n"}),
    case("an empty line after the block", "request.pem", request={"wrap": lambda encoded: pem(encoded) + b"\n"}),
    case("two blocks", "request.pem", request={"wrap": lambda encoded: pem(encoded) * 2}),
    case("headers in the block", "request.pem", request={"wrap": _text_in_block}),
    invalid_case(
        "the old label", "request.pem", request={"wrap": lambda encoded: pem(encoded, "NEW CERTIFICATE REQUEST")}
    ),
    invalid_case("a certificate's label", "request.pem", request={"wrap": lambda encoded: pem(encoded, "CERTIFICATE")}),
    invalid_case("a block that is never closed", "request.pem", request={"wrap": lambda encoded: pem(encoded)[:-20]}),
    case("spare bits in base64", "request.pem", request={"wrap": _spare_bits}),
    invalid_case(
        "padding in the middle of base64",
        "request.pem",
        request={"wrap": lambda _: pem(b"").replace(b"\n\n", b"\nA=AA\n")},
    ),
    invalid_case("bytes that are no DER", "request.der", request={"wrap": lambda _: pem(b"garbage")}),
    invalid_case("data after the request", "request.der", request=_ENDS_IN_DATA),
    invalid_case("a length that is not minimal", "request.der", request={"wrap": _long_length}),
    invalid_case("half a request", "request.der", request={"wrap": lambda encoded: pem(encoded[: len(encoded) // 2])}),
)
"""`spec.request` of which nothing can be read."""

REQUEST_CASES: Final = (
    case("a request of version 1", "request.der", request={"version": 1}),
    invalid_case("a bad proof of possession", "request.signature", request={"signature": corrupt}),
    invalid_case(
        "another key's signature", "request.signature", request={"public_key": public_key_info(ec_key(number=99))}
    ),
    invalid_case("no signature", "request.signature", request={"signature": lambda _: b""}),
    case(
        "a signature with SHA-1",
        "request.signature_algorithm",
        request={
            "key": rsa_key(),
            "algorithm": "1.2.840.113549.1.1.5",
            "digest": hashes.SHA1(),  # noqa: S303 - what is refused
        },
    ),
    case(
        "a signature with SHA-1 on a curve",
        "request.signature_algorithm",
        request={"algorithm": "1.2.840.10045.4.1", "digest": hashes.SHA1()},  # noqa: S303 - what is refused
    ),
    invalid_case(
        "a signature with PSS",
        "request.signature_algorithm",
        request={
            "key": rsa_key(),
            "algorithm": "1.2.840.113549.1.1.10",
            "parameters": der.sequence(),
            "signature": lambda data: rsa_key().sign(data, padding.PSS(padding.MGF1(hashes.SHA1()), 0), hashes.SHA1()),  # noqa: S303 - PSS' default
        },
    ),
    invalid_case(
        "an RSA algorithm with a key on a curve",
        "request.signature_algorithm",
        request={"algorithm": "1.2.840.113549.1.1.11", "parameters": der.NULL},
    ),
    case("an RSA algorithm without NULL", "request.signature_algorithm", request={"key": rsa_key(), "parameters": b""}),
    case("an ECDSA algorithm with NULL", "request.signature_algorithm", request={"parameters": der.NULL}),
    invalid_case("an Ed25519 signature algorithm", "request.signature_algorithm", request={"algorithm": "1.3.101.112"}),
    case(
        "a challenge password",
        "request.attribute",
        request={"other_attributes": [attribute(CHALLENGE_PASSWORD, der.element(0x0C, b"secret"))]},
    ),
    invalid_case("two extensionRequest attributes", "request.attribute", request={"attributes": _TWO_REQUESTED}),
    case(
        "an extensionRequest with two values",
        "request.attribute",
        "san.dns.missing",
        request={"attributes": attribute(EXTENSION_REQUEST, der.sequence(_SAN), der.sequence(basic_constraints()))},
    ),
    case("no attribute", "san.dns.missing", request={"attributes": b""}),
    invalid_case(
        "an extensionRequest that holds no extensions",
        "request.extension",
        "san.dns.missing",
        request={"attributes": attribute(EXTENSION_REQUEST, der.integer(1))},
    ),
    case(
        "an extension that no profile names",
        "request.extension",
        request={"other_extensions": [extension("2.5.29.32", der.sequence())]},
    ),
    case(
        "a subject key identifier that is none",
        "request.extension",
        request={"other_extensions": [extension("2.5.29.14", der.integer(1))]},
    ),
    case(
        "name constraints",
        "request.extension",
        request={
            "other_extensions": [
                extension("2.5.29.30", der.sequence(der.explicit(0, der.sequence(dns_name(b"example.com")))))
            ]
        },
    ),
    invalid_case(
        "a second subjectAltName extension",
        "request.extension",
        request={"other_extensions": [alternative_names(dns_name(b"kubernetes.default.svc"))]},
    ),
    invalid_case(
        "a subjectAltName that is no list",
        "request.extension",
        "san.dns.missing",
        request={"extensions": [extension("2.5.29.17", der.integer(1))]},
    ),
    case(
        "a key usage that is no bit string",
        "request.extension",
        request={"extensions": [_SAN, extension(KEY_USAGE, der.integer(1))]},
    ),
    case(
        "a key usage that means nothing: encipher only, without key agreement",
        "request.disagreement",
        "key_usage.not_allowed",
        request={"key_usage": (7,)},
    ),
    case(
        "a key usage of ten bits",
        "request.extension",
        request={"extensions": [_SAN, extension(KEY_USAGE, bytes.fromhex("03030680" + "40"))]},
    ),
    case(
        "an extended key usage that is no list of identifiers",
        "request.extension",
        request={"extensions": [_SAN, extension(EXTENDED_KEY_USAGE, der.sequence(der.integer(1)))]},
    ),
    case(
        "basic constraints with CA:FALSE written out",
        "request.extension",
        request={"extensions": [_SAN, basic_constraints(bytes.fromhex("010100"))]},
    ),
    case(
        "an extension whose critical FALSE is written out",
        "request.extension",
        "san.dns.missing",
        request={
            "extensions": [
                der.sequence(
                    der.object_identifier("2.5.29.17"),
                    bytes.fromhex("010100"),
                    der.octet_string(der.sequence(dns_name(b"typha-client"))),
                )
            ]
        },
    ),
)
"""Rules about the PKCS#10 request as a whole."""

SUBJECT_CASES: Final = (
    case("no common name", "subject.common_name", request={"common_name": None}),
    case(
        "two common names",
        "subject.common_name",
        request={"rdns": [name_attribute(COMMON_NAME, der.text("typha-server"))]},
    ),
    case(
        "the right common name twice",
        "subject.common_name",
        request={"rdns": [name_attribute(COMMON_NAME, der.text("typha-client"))]},
    ),
    case("another component's common name", "subject.common_name", request={"common_name": "typha-server"}),
    case("a common name in upper case", "subject.common_name", request={"common_name": "Typha-Client"}),
    case("a common name with a dot after it", "subject.common_name", request={"common_name": "typha-client."}),
    case("a common name with a space after it", "subject.common_name", request={"common_name": "typha-client "}),
    case(
        "a node's common name", "subject.common_name", "name.reserved", request={"common_name": "system:node:worker-1"}
    ),
    case("an empty subject", "subject.common_name", request={"subject": (), "common_name": None}),
    case(
        "a common name as BMPString",
        "subject.structure",
        "subject.common_name",
        request={
            "common_name": None,
            "rdns": [name_attribute(COMMON_NAME, der.element(0x1E, "typha-client".encode("utf-16-be")))],
        },
    ),
    case(
        "a common name as TeletexString",
        "subject.structure",
        "subject.common_name",
        request={"common_name": None, "rdns": [name_attribute(COMMON_NAME, der.element(0x14, b"typha-client"))]},
    ),
    case(
        "a common name as OCTET STRING",
        "subject.structure",
        "subject.common_name",
        request={"common_name": None, "rdns": [name_attribute(COMMON_NAME, der.octet_string(b"typha-client"))]},
    ),
    invalid_case(
        "a common name that is no UTF-8",
        "subject.structure",
        "subject.common_name",
        request={"common_name": None, "rdns": [name_attribute(COMMON_NAME, der.element(0x0C, b"\xff\xfe"))]},
    ),
    case(
        "an RDN of two attributes",
        "subject.structure",
        request={
            "subject": (),
            "common_name": None,
            "rdns": [
                der.set_of(
                    der.sequence(der.object_identifier(COMMON_NAME), der.text("typha-client")),
                    der.sequence(der.object_identifier("2.5.4.10"), der.text("Tigera")),
                )
            ],
        },
    ),
    case(
        "an organization that is a group of the cluster",
        "subject.attribute",
        request={"subject": (("2.5.4.10", "system:masters"),)},
    ),
    case(
        "a second, foreign organization",
        "subject.attribute",
        request={"subject": (*SUBJECT, ("2.5.4.10", "system:masters"))},
    ),
    case("a serial number in the subject", "subject.attribute", request={"subject": (*SUBJECT, ("2.5.4.5", "1"))}),
    case(
        "an e-mail address in the subject",
        "subject.structure",
        request={"rdns": [name_attribute("1.2.840.113549.1.9.1", der.ia5_text("root@example.com"))]},
    ),
)
"""Rules about the subject."""

NAME_CASES: Final = (
    case("a foreign dns name", "san.dns.not_allowed", request={"dns_names": ("typha-client", "google.com")}),
    case(
        "a foreign dns name in place of the own one",
        "san.dns.not_allowed",
        "san.dns.missing",
        request={"dns_names": ("typha-server",)},
    ),
    case("the own dns name twice", "san.dns.not_allowed", request={"dns_names": ("typha-client", "typha-client")}),
    case(
        "the own dns name in upper case",
        "san.dns.not_allowed",
        "san.dns.missing",
        request={"dns_names": ("TYPHA-CLIENT",)},
    ),
    case(
        "the own dns name with a dot after it",
        "san.dns.not_allowed",
        "san.dns.missing",
        request={"dns_names": ("typha-client.",)},
    ),
    case(
        "a wildcard",
        "san.dns.not_allowed",
        "name.reserved",
        request={"dns_names": ("typha-client", "*.calico-system.svc")},
    ),
    case(
        "a system name among the dns names",
        "san.dns.not_allowed",
        "name.reserved",
        request={"dns_names": ("typha-client", "system:masters")},
    ),
    case("no dns name", "san.dns.missing", request={"dns_names": ()}),
    case("no name at all", "san.type", "san.dns.missing", request={"dns_names": (), "addresses": ()}),
    case(
        "more than 100 names",
        "san.type",
        "san.dns.not_allowed",
        request={"dns_names": ("typha-client", *(f"n{number}" for number in range(100))), "addresses": ()},
    ),
    case(
        "a dns name with a label of 64 characters",
        "san.type",
        request={"dns_names": ("typha-client", f"{'a' * 64}.example.com")},
    ),
    case(
        "a dns name of 254 characters",
        "san.type",
        request={"dns_names": ("typha-client", ".".join(["a" * 63] * 3 + ["a" * 62]))},
    ),
    case("an empty dns name", "san.type", request={"other_names": [dns_name(b"")]}),
    case(
        "a dns name with NUL",
        "san.type",
        request={"other_names": [dns_name(b"typha-client\x00.example.com")]},
    ),
    invalid_case(
        "a dns name that is no ASCII",
        "san.type",
        request={"other_names": [dns_name("typha-cliént".encode())]},
    ),
    case("an e-mail address", "san.type", request={"other_names": [der.implicit(1, b"root@example.com")]}),
    case("a URI", "san.type", request={"other_names": [der.implicit(6, b"spiffe://cluster.local/ns/calico-system")]}),
    case("another kind of name (UPN)", "san.type", request={"other_names": [_OTHER_NAME]}),
    case(
        "a directory name",
        "san.type",
        request={"other_names": [der.element(0xA4, der.sequence(name_attribute(COMMON_NAME, der.text("a"))))]},
    ),
    case("a registered identifier", "san.type", request={"other_names": [der.implicit(8, b"\x2a\x03")]}),
    invalid_case(
        "an address of 5 bytes",
        "san.type",
        request={"other_names": [der.implicit(7, bytes(5))]},
    ),
    invalid_case(
        "an address with a mask",
        "san.type",
        request={"other_names": [der.implicit(7, bytes([10, 0, 0, 0, 255, 0, 0, 0]))]},
    ),
    case(
        "an address outside the cluster's ranges",
        "san.ip.not_allowed",
        request={"addresses": ("8.8.8.8",)},
        signer={"address_ranges": RANGES},
    ),
    case(
        "an address outside the cluster's ranges beside the own one",
        "san.ip.not_allowed",
        request={"addresses": (ADDRESS, "10.0.0.1")},
        signer={"address_ranges": RANGES},
    ),
    case("an address twice", "san.ip.not_allowed", request={"addresses": (ADDRESS, ADDRESS)}),
    case("the own address mapped into IPv6", "san.ip.not_allowed", request={"addresses": (f"::ffff:{ADDRESS}",)}),
)
"""Rules about subjectAltName."""

USAGE_CASES: Final = (
    case("a CA certificate", "basic_constraints.ca", request={"authority": True}),
    case(
        "a path length",
        "basic_constraints.ca",
        "request.disagreement",
        request={"extensions": [_SAN, basic_constraints(der.integer(0))]},
    ),
    case(
        "a CA certificate with a path length",
        "basic_constraints.ca",
        request={"extensions": [_SAN, basic_constraints(der.TRUE, der.integer(0))]},
    ),
    case("signing of certificates", "key_usage.not_allowed", request={"key_usage": (DIGITAL_SIGNATURE, CERT_SIGN)}),
    case("signing of revocation lists", "key_usage.not_allowed", request={"key_usage": (DIGITAL_SIGNATURE, 6)}),
    case("content commitment", "key_usage.not_allowed", request={"key_usage": (DIGITAL_SIGNATURE, 1)}),
    case("decipher only", "key_usage.not_allowed", request={"key_usage": (KEY_AGREEMENT, 8)}),
    case(
        "code signing",
        "extended_key_usage.not_allowed",
        request={"extended_key_usage": (SERVER_AUTH, "1.3.6.1.5.5.7.3.3")},
    ),
    case("any extended key usage", "extended_key_usage.not_allowed", request={"extended_key_usage": ("2.5.29.37.0",)}),
    case(
        "an extended key usage without a name",
        "extended_key_usage.not_allowed",
        request={"extended_key_usage": (CLIENT_AUTH, "1.3.6.1.4.1.311.20.2.2")},
    ),
    case(
        "metadata that leave the certificate no room in etcd",
        "object.size",
        csr={"metadata": {"generateName": "x" * (1 << 20)}},
    ),
    case("further usages in the spec", "usages.not_allowed", csr={"usages": (*USAGES, "cert sign")}),
    case("an any usage in the spec", "usages.not_allowed", csr={"usages": ("any",)}),
    case("no usages in the spec", "usages.not_allowed", csr={"usages": ()}, invalid="spec.usages"),
)
"""Rules about what the certificate may be used for."""


KEY_CASES: Final = (
    case("RSA-1024", "public_key.size", request={"key": rsa_key(1024)}),
    invalid_case("RSA-2056", "public_key.size", request={"public_key": rsa_public_key_info(large_modulus(2056))}),
    invalid_case("RSA-16384", "public_key.size", request={"public_key": rsa_public_key_info(large_modulus(16384))}),
    invalid_case(
        "a negative modulus", "public_key.size", request={"public_key": rsa_public_key_info(-large_modulus(2048))}
    ),
    invalid_case(
        "RSA with e = 3", "public_key.exponent", request={"public_key": rsa_public_key_info(large_modulus(2048), 3)}
    ),
    invalid_case(
        "RSA with e = 1", "public_key.exponent", request={"public_key": rsa_public_key_info(large_modulus(2048), 1)}
    ),
    case(
        "a prime modulus",
        "public_key.weak",
        request={
            "public_key": rsa_public_key_info(prime(2048)),
            "algorithm": RSA_WITH_SHA256,
            "parameters": der.NULL,
            "signature": sign_with_factors(prime(2048)),
        },
    ),
    invalid_case(
        "an even modulus", "public_key.weak", request={"public_key": rsa_public_key_info(large_modulus(2048) + 1)}
    ),
    invalid_case(
        "a modulus with a small factor",
        "public_key.weak",
        request={"public_key": rsa_public_key_info(3 * large_modulus(2047))},
    ),
    invalid_case(
        "a modulus of close primes",
        "public_key.weak",
        request={"public_key": rsa_public_key_info(close_primes_modulus())},
    ),
    invalid_case(
        "a modulus with the fingerprint of ROCA",
        "public_key.weak",
        request={"public_key": rsa_public_key_info(roca_modulus())},
    ),
    invalid_case(
        "RSA without NULL",
        "public_key.type",
        request={"public_key": rsa_public_key_info(large_modulus(2048), parameters=b"")},
    ),
    invalid_case(
        "RSA with parameters",
        "public_key.type",
        request={"public_key": rsa_public_key_info(large_modulus(2048), parameters=der.sequence())},
    ),
    invalid_case(
        "an RSA key that is no RSAPublicKey",
        "public_key.type",
        request={
            "public_key": der.sequence(
                der.sequence(der.object_identifier("1.2.840.113549.1.1.1"), der.NULL), der.bit_string(b"garbage")
            )
        },
    ),
    case("P-224", "public_key.type", request={"key": ec_key("P-224")}),
    invalid_case(
        "a compressed point",
        "public_key.type",
        request={"public_key": ec_public_key_info(bytes([2 + POINT[-1] % 2]) + POINT[1:33])},
    ),
    invalid_case(
        "a point that is off the curve",
        "public_key.type",
        request={"public_key": ec_public_key_info(POINT[:-1] + bytes([POINT[-1] ^ 1]))},
    ),
    invalid_case("the point at infinity", "public_key.type", request={"public_key": ec_public_key_info(b"\x00")}),
    invalid_case(
        "a hybrid point",
        "public_key.type",
        request={"public_key": ec_public_key_info(bytes([6 + POINT[-1] % 2]) + POINT[1:])},
    ),
    invalid_case(
        "a curve by its parameters",
        "public_key.type",
        request={
            "public_key": der.sequence(
                der.sequence(der.object_identifier("1.2.840.10045.2.1"), der.sequence(der.integer(1))),
                der.bit_string(POINT),
            )
        },
    ),
    invalid_case(
        "Ed25519",
        "public_key.type",
        request={
            "public_key": der.sequence(der.sequence(der.object_identifier("1.3.101.112")), der.bit_string(bytes(32)))
        },
    ),
    invalid_case(
        "DSA",
        "public_key.type",
        request={
            "public_key": der.sequence(
                der.sequence(der.object_identifier("1.2.840.10040.4.1"), der.sequence()), der.bit_string(der.integer(5))
            )
        },
    ),
    invalid_case(
        "a key that is not whole bytes",
        "public_key.type",
        request={"public_key": ec_public_key_info(POINT).replace(der.bit_string(POINT)[:3], b"\x03\x42\x01")},
    ),
    invalid_case("a key that is no SubjectPublicKeyInfo", "public_key.type", request={"public_key": der.sequence()}),
    case("the issuer's own key", "public_key.issuer", request={"key": authority().key}),
)
"""Rules about the key."""

_ACCOUNT: Final = "system:serviceaccount:calico-system:calico-node"

REQUESTER_CASES: Final = (
    case("a user", "requester.not_a_pod", csr={"username": "attacker"}),
    case("a user whose name ends as a service account's", "requester.not_a_pod", csr={"username": f"x:{_ACCOUNT}"}),
    case("a service account with a part too much", "requester.not_a_pod", csr={"username": f"{_ACCOUNT}:root"}),
    case(
        "a service account with a part too little",
        "requester.not_a_pod",
        csr={"username": "system:serviceaccount:calico-node"},
    ),
    case(
        "a namespace that leads elsewhere in a URL",
        "requester.not_a_pod",
        csr={"username": "system:serviceaccount:../x:calico-node"},
    ),
    case("a username that ends in a new line", "requester.not_a_pod", csr={"username": f"{_ACCOUNT}\n"}),
    case("a node", "requester.not_a_pod", csr={"username": "system:node:worker-1"}),
    case("a user without a uid", "requester.not_a_pod", csr={"account_uid": ""}),
    case(
        "a service account that the profile does not name",
        "requester.service_account",
        csr={"service_account": "calico-kube-controllers"},
        pod={"service_account": "calico-kube-controllers"},
    ),
    case("the right service account in another namespace", "requester.service_account", csr={"namespace": "default"}),
    case(
        "a namespace that the release does not use",
        "requester.service_account",
        csr={"namespace": "calico-apiserver", "service_account": "calico-apiserver"},
        pod={"service_account": "calico-apiserver"},
    ),
    case(
        "another component's service account",
        "request_name.not_allowed",
        "subject.common_name",
        "san.dns.not_allowed",
        "san.dns.missing",
        csr={"service_account": "calico-typha"},
        pod={"service_account": "calico-typha"},
    ),
    case("no groups", "requester.groups", csr={"groups": ()}),
    case(
        "a group twice in place of another",
        "requester.groups",
        csr={"groups": ("system:serviceaccounts", "system:authenticated", "system:authenticated")},
    ),
    case(
        "a group too much",
        "requester.groups",
        csr={
            "groups": (
                "system:serviceaccounts",
                "system:serviceaccounts:calico-system",
                "system:authenticated",
                "system:masters",
            )
        },
    ),
    case("a group too little", "requester.groups", csr={"groups": ("system:serviceaccounts", "system:authenticated")}),
    case(
        "another namespace's group",
        "requester.groups",
        csr={"groups": ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")},
    ),
    case(
        "a group twice",
        "requester.groups",
        csr={
            "groups": (
                "system:serviceaccounts",
                "system:serviceaccounts:calico-system",
                "system:authenticated",
                "system:authenticated",
            )
        },
    ),
    case("a token that is bound to no pod", "requester.unbound", csr={"extra": {CREDENTIAL_ID: ["JTI=1"]}}),
    case("no extra at all", "requester.unbound", csr={"extra": {}}),
    case("two pod names", "requester.unbound", csr={"further_extra": {POD_NAME: [POD, "other"]}}),
    case("two pod uids", "requester.unbound", csr={"further_extra": {POD_UID: ["a", "b"]}}),
    case("no credential id", "requester.unbound", csr={"further_extra": {CREDENTIAL_ID: []}}),
    case("an empty credential id", "requester.unbound", csr={"further_extra": {CREDENTIAL_ID: [""]}}),
    case(
        "two credential ids, though none is required",
        "requester.unbound",
        csr={"further_extra": {CREDENTIAL_ID: ["JTI=1", "JTI=2"]}},
        signer={"credential_id": False},
    ),
    case("two node names", "requester.unbound", csr={"further_extra": {NODE_NAME: [NODE, NODE]}}),
    case("an empty node name", "requester.unbound", csr={"further_extra": {NODE_NAME: [""]}}),
    case("an empty pod name", "requester.unbound", csr={"further_extra": {POD_NAME: [""]}}),
    case(
        "a pod name that leads elsewhere in a URL",
        "requester.unbound",
        csr={"further_extra": {POD_NAME: ["../secrets"]}},
    ),
    case("a pod name that ends in a new line", "requester.unbound", csr={"further_extra": {POD_NAME: [f"{POD}\n"]}}),
    case("a pod uid that is none", "requester.unbound", csr={"further_extra": {POD_UID: ["a/b"]}}),
    case(
        "an impersonator of everything but the token",
        "requester.not_a_pod",
        "requester.unbound",
        csr={"username": "admin", "extra": {}, "groups": ("system:masters",)},
    ),
    case("a stolen CSR name", "request_name.not_allowed", csr={"name": "node-certs:calico-node-other"}),
    case("the CSR name of another component", "request_name.not_allowed", csr={"name": f"typha-certs:{POD}"}),
    case("the CSR name of an older release", "request_name.not_allowed", csr={"name": f"calico-system:{POD}"}),
    case("the CSR name of a newer release", "request_name.not_allowed", signer={"release": "3.27"}),
)
"""Rules about who asks, and by which name."""

POD_CASES: Final = (
    case("a requester whose pod is gone", "pod.gone", no_pod=True),
    case("another pod's uid", "pod.gone", pod={"uid": "11111111-2222-3333-4444-555555555555"}),
    case("a pod of another service account", "pod.service_account", pod={"service_account": "default"}),
    case("a pod on another node", "pod.node", pod={"node": "worker-2"}),
    case("a token of another node", "pod.node", csr={"further_extra": {NODE_NAME: ["worker-2"]}}),
    case("a pod without a node", "pod.node", pod={"node": ""}),
    case("a pod that is being deleted", "pod.terminating", pod={"deleting": True}),
    case("a pod that succeeded", "pod.finished", pod={"phase": "Succeeded"}),
    case("a pod that failed", "pod.finished", pod={"phase": "Failed"}),
    case(
        "a pod about which everything is wrong",
        "pod.service_account",
        "pod.node",
        "pod.terminating",
        "pod.finished",
        pod={"service_account": "default", "node": NODE + "x", "deleting": True, "phase": "Failed"},
    ),
)
"""Links of the chain of proof."""


def _postgres(sentence: str, *breaks: str, pod: str, issuer: Ca | None = None) -> Case:
    """A request for a server's names that hold its pod's."""
    name = f"{pod}.postgres.databases.svc"
    account = {"namespace": "databases", "service_account": "postgres"}
    return case(
        sentence,
        *breaks,
        request={
            "subject": (),
            "common_name": name,
            "dns_names": (name, f"{name}.cluster.local"),
            "addresses": (),
            "key_usage": (DIGITAL_SIGNATURE,),
            "extended_key_usage": (SERVER_AUTH,),
        },
        csr={"name": f"postgres:{pod}", "pod": pod, "usages": ("server auth",), **account},
        pod={"name": pod, "host_network": False, "pod_ips": (), **account},
        signer={"profile": postgresql()} | ({} if issuer is None else {"issuer": make_issuer(issuer)}),
    )


PATTERN_CASES: Final = (
    _postgres("a pod whose name is two labels, where names contain it", "name.pod", pod="kubernetes.default"),
    _postgres(
        "a name outside what the CA may certify",
        "name.constrained",
        pod="postgres-0",
        issuer=Ca("Constrained", key=ec_key(number=4243), extensions=permitted(x509.DNSName("example.com"))),
    ),
    _postgres(
        "a name that the CA may not certify",
        "name.constrained",
        pod="postgres-0",
        issuer=Ca("Excluding", extensions=permitted(excluded=[x509.DNSName("postgres-0.postgres.databases.svc")])),
    ),
)
"""Rules about what a row's patterns become."""

_CERTIFYING: Final = {"profile": certifying_addresses()}
_AT_THE_LIMIT: Final = CREATED + timedelta(minutes=5)

ADDRESS_CASES: Final = (
    case(
        "an address that never became visible",
        "pod.address_missing",
        signer=_CERTIFYING,
        pod={"host_network": False, "pod_ips": (), "host_ips": ()},
        now=_AT_THE_LIMIT,
    ),
    case(
        "an address that is only the node's, for a pod that has its own",
        "pod.address_missing",
        signer=_CERTIFYING,
        pod={"host_network": False, "pod_ips": ("10.128.0.9",)},
        now=_AT_THE_LIMIT,
    ),
    case(
        "an address that only the pod's status has, on the host's network",
        "pod.address_missing",
        signer=_CERTIFYING,
        request={"addresses": ("10.132.0.8",)},
        pod={"pod_ips": ("10.132.0.8",), "host_ips": ("10.132.0.8",)},
        now=_AT_THE_LIMIT,
    ),
    case(
        "an address of a node that is gone",
        "pod.address_missing",
        signer=_CERTIFYING,
        node={"addresses": ()},
        now=_AT_THE_LIMIT,
    ),
    case(
        "a foreign address beside the own one, where addresses are certified",
        "pod.address_missing",
        signer=_CERTIFYING,
        request={"addresses": (ADDRESS, "10.0.0.1")},
        now=_AT_THE_LIMIT,
    ),
    case(
        "an address outside the cluster's ranges, though its status has it",
        "san.ip.not_allowed",
        signer=_CERTIFYING | {"address_ranges": RANGES},
        request={"addresses": ("10.133.0.1",)},
        node={"addresses": (("InternalIP", "10.133.0.1"),)},
    ),
    case(
        "an address outside the component's ranges, though within the cluster's",
        "san.ip.not_allowed",
        signer={"profile": certifying_addresses("10.132.9.0/24"), "address_ranges": RANGES},
    ),
    case(
        "an IPv6 address where the ranges are IPv4",
        "san.ip.not_allowed",
        signer={"address_ranges": RANGES},
        request={"addresses": ("2001:db8::7",)},
    ),
    *(
        case(
            f"{what} address, though the {whose} status has it",
            "san.ip.not_allowed",
            signer=signer,
            request={"addresses": (address,)},
            pod={"pod_ips": (address,)},
            node={"addresses": (("InternalIP", address),)},
        )
        for whose, signer in (("node's", _CERTIFYING), ("pod's", {}))
        for what, address in (
            ("a loopback", "127.0.0.1"),
            ("a link-local", "169.254.169.254"),
            ("a multicast", "224.0.0.1"),
            ("an unspecified", "0.0.0.0"),  # noqa: S104 - an address that is refused
            ("a mapped", "::ffff:10.0.0.1"),
            ("an IPv6 loopback", "::1"),
            ("an IPv6 link-local", "fe80::1"),
            ("an IPv6 multicast", "ff02::1"),
            ("an unspecified IPv6", "::"),
            ("a broadcast", "255.255.255.255"),
            ("a this-network", "0.0.0.1"),
            ("an IPv4-compatible", "::10.0.0.1"),
            ("a NAT64", "64:ff9b::10.0.0.1"),
            ("an unassigned IPv6", "4000::1"),
            ("a 6to4", "2002:7f00:1::1"),
            ("a site-local", "fec0::1"),
        )
    ),
    case(
        "a loopback address before any is visible",
        "san.ip.not_allowed",
        signer=_CERTIFYING,
        request={"addresses": ("127.0.0.1",)},
        node={"addresses": ()},
    ),
)
"""Rules about addresses, certified or not."""

TIME_CASES: Final = (
    case(
        "a request of which less than half the lifetime is left", "lifetime.too_late", now=CREATED + timedelta(days=183)
    ),
    case("a request after its lifetime", "lifetime.too_late", now=CREATED + timedelta(days=400)),
    case(
        "a lifetime beyond the issuer's",
        "lifetime.too_late",
        signer={"issuer": make_issuer(make_authority(not_after=CREATED + timedelta(days=180)))},
    ),
    case(
        "an issuer that begins when the lifetime ends",
        "lifetime.too_late",
        signer={"issuer": make_issuer(make_authority(not_before=CREATED + timedelta(days=365)))},
    ),
    case(
        "an issuer that is valid only later",
        "lifetime.too_late",
        signer={"issuer": make_issuer(make_authority(not_before=CREATED + timedelta(days=366)))},
    ),
)
"""Rules about time."""

WORST_CASES: Final = (
    invalid_case(
        "everything at once",
        "basic_constraints.ca",
        "extended_key_usage.not_allowed",
        "key_usage.not_allowed",
        "name.reserved",
        "pod.node",
        "request.signature",
        "request_name.not_allowed",
        "san.dns.not_allowed",
        "san.ip.not_allowed",
        "san.type",
        "subject.attribute",
        "subject.common_name",
        "usages.not_allowed",
        request={
            "subject": (*SUBJECT, ("2.5.4.10", "system:masters")),
            "common_name": "system:admin",
            "dns_names": ("typha-client", "*"),
            "addresses": ("8.8.8.8",),
            "other_names": [der.implicit(1, b"root@example.com")],
            "authority": True,
            "key_usage": (CERT_SIGN,),
            "extended_key_usage": ("1.3.6.1.5.5.7.3.9",),
            "signature": corrupt,
        },
        csr={"name": "node-certs:other", "usages": ("ocsp signing",)},
        pod={"node": "worker-2"},
        signer={"address_ranges": RANGES},
    ),
    invalid_case(
        "garbage by a stranger",
        "request.pem",
        "requester.not_a_pod",
        "usages.not_allowed",
        request=b"garbage",
        csr={"username": "attacker", "usages": ("cert sign",)},
    ),
)
"""Rows with more than one thing wrong: a refusal names everything."""

CASES: Final = (
    *PEM_CASES,
    *REQUEST_CASES,
    *SUBJECT_CASES,
    *NAME_CASES,
    *USAGE_CASES,
    *KEY_CASES,
    *REQUESTER_CASES,
    *POD_CASES,
    *PATTERN_CASES,
    *ADDRESS_CASES,
    *TIME_CASES,
    *WORST_CASES,
)
