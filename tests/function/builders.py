"""Honest values of every stage, and the same with one thing wrong.

Whatever is not named by a test is what Calico's node asks for in release 3.31: `judge()` alone is a permit. Requests
are written by the sandbox's DER writer, which can also write what a library would refuse to, and shares no code with
the function. Keys follow from numbers: no secret is kept, and two runs see the same bytes.
"""

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Protocol

import gmpy2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer import issuer as issuers
from csr_signer import profile
from csr_signer.attestation import (
    CREDENTIAL_ID,
    NODE_NAME,
    POD_NAME,
    POD_UID,
    Attestation,
    Node,
    Pod,
    PodIdentity,
    attest,
    identify,
)
from csr_signer.csr import CertificateSigningRequest
from csr_signer.issuer import SIGNATURE_ALGORITHMS, Issuer, SignatureAlgorithm
from csr_signer.pkcs10 import parse
from csr_signer.policy import Decision, Deferral, Permit, Signer, decide
from csr_signer.violation import CODES
from sandbox.calico import der
from tests.function.component_tables import configured

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

CREATED: Final = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
NOW: Final = CREATED + timedelta(seconds=4)
CLUSTER: Final = "demo"
SIGNER_NAME: Final = "csr-signer.example.com/calico"
KEY_VERSION: Final = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
CSR_UID: Final = "6f1b7a52-4c1e-4f0e-9d53-0d1b6f7a2c11"
POD: Final = "calico-node-x7k2p"
POD_IDENTIFIER: Final = "0b9c5a9e-55a3-4d7e-8f4b-6a1d0c2e9f10"
EXAMPLES: Final = Path(__file__).resolve().parents[2] / "infra" / "examples" / "profiles"
NODE: Final = "gke-demo-pool-1-4f7c"
ADDRESS: Final = "10.132.0.7"
RANGES: Final = (ip_network("10.132.0.0/16"),)
USAGES: Final = ("server auth", "client auth", "digital signature", "key agreement", "key encipherment")

SUBJECT: Final = (
    ("2.5.4.6", "US"),
    ("2.5.4.10", "Tigera"),
    ("2.5.4.11", "Engineering"),
    ("2.5.4.7", "San Francisco"),
    ("2.5.4.8", "California"),
)
COMMON_NAME: Final = "2.5.4.3"
EXTENSION_REQUEST: Final = "1.2.840.113549.1.9.14"
CHALLENGE_PASSWORD: Final = "1.2.840.113549.1.9.7"
SUBJECT_ALTERNATIVE_NAME: Final = "2.5.29.17"
BASIC_CONSTRAINTS: Final = "2.5.29.19"
KEY_USAGE: Final = "2.5.29.15"
EXTENDED_KEY_USAGE: Final = "2.5.29.37"
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"
DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_AGREEMENT, CERT_SIGN = 0, 2, 4, 5
RSA_WITH_SHA256: Final = "1.2.840.113549.1.1.11"
ECDSA_WITH_SHA256: Final = "1.2.840.10045.4.3.2"


@cache
def ec_key(curve: str = "P-256", number: int = 1234567) -> ec.EllipticCurvePrivateKey:
    """The key whose private scalar is that number."""
    curves: Mapping[str, ec.EllipticCurve] = {
        "P-224": ec.SECP224R1(),
        "P-256": ec.SECP256R1(),
        "P-384": ec.SECP384R1(),
        "P-521": ec.SECP521R1(),
    }
    return ec.derive_private_key(number, curves[curve])


@cache
def prime(bits: int, number: int = 0) -> int:
    """A prime of exactly that size, which follows from the number; its two highest bits are set."""
    stream = hashlib.shake_256(f"prime {number} of {bits} bits".encode()).digest(bits // 8)
    start = int.from_bytes(stream, "big") | (3 << (bits - 2))
    return int(gmpy2.next_prime(start))


@cache
def rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """An RSA key of that size, always the same one."""
    p, q = prime(bits // 2, 1), prime(bits // 2, 2)
    d = pow(exponent, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p), public_numbers=public
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@cache
def large_factors(bits: int) -> tuple[int, ...]:
    """Primes, none of them small and no two close, whose product has exactly that size."""
    factors = [prime(1024, number) for number in range(10, 10 + (bits - 100) // 1024)]
    last = int(gmpy2.next_prime((5 << (bits - 3)) // math.prod(factors)))
    return *factors, last


def large_modulus(bits: int) -> int:
    """The product of `large_factors`."""
    return math.prod(large_factors(bits))


@cache
def close_primes_modulus() -> int:
    """A modulus of 2048 bits that Fermat's method factors at once."""
    return prime(1024) * int(gmpy2.next_prime(prime(1024)))


@cache
def roca_modulus() -> int:
    """2048 bits with the fingerprint of CVE-2017-15361: a power of 65537 modulo the product of the first primes."""
    product, candidate = 1, 2
    while product.bit_length() < 960:
        product *= candidate
        candidate = int(gmpy2.next_prime(candidate))
    return pow(65537, 12345, product) + product * ((3 << 2046) // product)


def public_key_info(key: PrivateKey) -> bytes:
    """DER of a key's SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def rsa_public_key_info(modulus: int, exponent: int = 65537, *, parameters: bytes = der.NULL) -> bytes:
    """DER of the SubjectPublicKeyInfo of any numbers at all."""
    key = der.sequence(_integer(modulus), _integer(exponent))
    return der.sequence(
        der.sequence(der.object_identifier("1.2.840.113549.1.1.1"), parameters),
        der.bit_string(key),
    )


def ec_public_key_info(point: bytes, curve: str = "1.2.840.10045.3.1.7") -> bytes:
    """DER of the SubjectPublicKeyInfo of any point at all."""
    algorithm = der.sequence(der.object_identifier("1.2.840.10045.2.1"), der.object_identifier(curve))
    return der.sequence(algorithm, der.bit_string(point))


def _integer(value: int) -> bytes:
    return der.element(0x02, value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True))


def pem(encoded: bytes, label: str = "CERTIFICATE REQUEST") -> bytes:
    """One PEM block with lines of 64 characters, as Go writes it."""
    body = base64.b64encode(encoded).decode()
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def extension(identifier: str, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension (RFC 5280 §4.1)."""
    return der.sequence(der.object_identifier(identifier), *([der.TRUE] if critical else []), der.octet_string(value))


def attribute(identifier: str, *values: bytes) -> bytes:
    """One Attribute of a CertificationRequestInfo (RFC 2986 §4.1)."""
    return der.sequence(der.object_identifier(identifier), der.set_of(*values))


def name_attribute(kind: str, value: bytes) -> bytes:
    """One RDN of one attribute whose value is encoded already."""
    return der.set_of(der.sequence(der.object_identifier(kind), value))


def dns_name(text: bytes) -> bytes:
    """A dNSName of any bytes."""
    return der.implicit(2, text)


def alternative_names(*names: bytes) -> bytes:
    """A subjectAltName extension of encoded names."""
    return extension(SUBJECT_ALTERNATIVE_NAME, der.sequence(*names))


def sign(key: PrivateKey, data: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
    """An honest signature, with SHA-256 unless said otherwise."""
    digest = digest or hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), digest)
    return key.sign(data, ec.ECDSA(digest, deterministic_signing=True))


def sign_with_factors(*factors: int) -> Callable[[bytes], bytes]:
    """Makes valid RSA PKCS#1 v1.5 signatures with SHA-256 by the key of any prime factors, also of a single one."""
    modulus = math.prod(factors)
    size = (modulus.bit_length() + 7) // 8
    exponent = pow(65537, -1, math.prod(factor - 1 for factor in factors))

    def signature(data: bytes) -> bytes:
        algorithm = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), der.NULL)
        digest = der.sequence(algorithm, der.octet_string(hashlib.sha256(data).digest()))
        padded = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
        return int(gmpy2.powmod(int.from_bytes(padded, "big"), exponent, modulus)).to_bytes(size, "big")

    return signature


def make_request_der(
    *,
    subject: Sequence[tuple[str, str]] = SUBJECT,
    common_name: str | None = "typha-client",
    rdns: Sequence[bytes] = (),
    dns_names: Sequence[str] = ("typha-client",),
    addresses: Sequence[str] = (ADDRESS,),
    other_names: Sequence[bytes] = (),
    authority: bool | None = False,
    key_usage: Sequence[int] | None = (DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_AGREEMENT),
    extended_key_usage: Sequence[str] | None = (SERVER_AUTH, CLIENT_AUTH),
    further_extensions: Sequence[bytes] = (),
    extensions: Sequence[bytes] | None = None,
    further_attributes: Sequence[bytes] = (),
    attributes: bytes | None = None,
    version: int = 0,
    key: PrivateKey | None = None,
    public_key: bytes | None = None,
    algorithm: str | None = None,
    parameters: bytes | None = None,
    digest: hashes.HashAlgorithm | None = None,
    signature: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """DER of the CertificationRequest of Calico's client (key-cert-provisioner/pkg/tls/tls.go), with changes.

    What can be changed:
        subject, common_name: attributes, written as Go writes them; None: no common name.
        rdns: encoded RDNs after them.
        dns_names, addresses, other_names: of subjectAltName; other_names are encoded.
        authority: of basicConstraints; None: no such extension. Likewise key_usage and extended_key_usage.
        further_extensions: encoded, after the client's four; `extensions` stands for all of them.
        further_attributes: encoded, before the extensionRequest; `attributes` stands for the whole content.
        version: of the CertificationRequestInfo.
        key: signs, and is certified unless `public_key` says otherwise.
        algorithm, parameters: of the signature's AlgorithmIdentifier; the key's with SHA-256 unless said otherwise.
        digest: of the honest signature.
        signature: of the CertificationRequestInfo, in place of the honest one.
    """
    key = key or ec_key()
    names = [der.text(value) for _, value in subject]
    encoded_rdns = [name_attribute(kind, name) for (kind, _), name in zip(subject, names, strict=True)]
    if common_name is not None:
        encoded_rdns.append(name_attribute(COMMON_NAME, der.text(common_name)))
    if extensions is None:
        general_names = [dns_name(name.encode()) for name in dns_names]
        general_names += [der.implicit(7, ip_address(address).packed) for address in addresses]
        extensions = [
            alternative_names(*general_names, *other_names),
            *([] if authority is None else [basic_constraints(*([der.TRUE] if authority else []))]),
            *([] if key_usage is None else [extension(KEY_USAGE, der.named_bits(*key_usage), critical=True)]),
            *([] if extended_key_usage is None else [extended_key_usages(*extended_key_usage)]),
            *further_extensions,
        ]
    if attributes is None:
        requested = attribute(EXTENSION_REQUEST, der.sequence(*extensions))
        every = sorted([requested, *further_attributes], key=_size)
        attributes = b"".join(every)
    information = der.sequence(
        der.integer(version),
        der.sequence(*encoded_rdns, *rdns),
        public_key or public_key_info(key),
        der.explicit(0, attributes),
    )
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    identifier = der.object_identifier(algorithm or (RSA_WITH_SHA256 if is_rsa else ECDSA_WITH_SHA256))
    if parameters is None:
        parameters = der.NULL if is_rsa else b""
    signed = signature(information) if signature else sign(key, information, digest)
    return der.sequence(information, der.sequence(identifier, parameters), der.bit_string(signed))


def _size(encoded: bytes) -> tuple[int, bytes]:
    return len(encoded), encoded


def basic_constraints(*content: bytes) -> bytes:
    """Critical basicConstraints of encoded content."""
    return extension(BASIC_CONSTRAINTS, der.sequence(*content), critical=True)


def extended_key_usages(*purposes: str) -> bytes:
    """An extKeyUsage extension of dotted numbers."""
    return extension(EXTENDED_KEY_USAGE, der.sequence(*map(der.object_identifier, purposes)))


def make_request(*, wrap: Callable[[bytes], bytes] = pem, **one_thing_wrong: Any) -> bytes:
    """`spec.request`: the PEM text around `make_request_der`."""
    return wrap(make_request_der(**one_thing_wrong))


def make_csr_object(
    *,
    name: str | None = None,
    uid: str = CSR_UID,
    created: str = "2026-03-14T09:26:53Z",
    deleting: bool = False,
    signer_name: str = SIGNER_NAME,
    request: bytes | None = None,
    usages: Sequence[str] = USAGES,
    expiration_seconds: int | None = None,
    namespace: str = "calico-system",
    service_account: str = "calico-node",
    username: str | None = None,
    account_uid: str = "9d2f8c1a-7b36-4d5e-8a90-3f4c5d6e7f80",
    groups: Sequence[str] | None = None,
    pod: str = POD,
    extra: Mapping[str, Sequence[str]] | None = None,
    further_extra: Mapping[str, Sequence[str]] | None = None,
    conditions: Sequence[Mapping[str, str]] = (),
    certificate: bytes = b"",
) -> dict[str, Any]:
    """A CertificateSigningRequest as kube-apiserver returns it; the requester is the pod's service account."""
    api: dict[str, Any] = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {
            "name": f"node-certs:{pod}" if name is None else name,
            "uid": uid,
            "resourceVersion": "4711",
            "creationTimestamp": created,
            "labels": {"k8s-app": namespace, "operator.tigera.io/csr": namespace},
        },
        "spec": {
            "request": base64.b64encode(make_request() if request is None else request).decode(),
            "signerName": signer_name,
            "usages": list(usages),
            "username": f"system:serviceaccount:{namespace}:{service_account}" if username is None else username,
            "uid": account_uid,
            "groups": [
                "system:serviceaccounts",
                f"system:serviceaccounts:{namespace}",
                "system:authenticated",
            ]
            if groups is None
            else list(groups),
            "extra": dict(make_extra(pod) if extra is None else extra) | dict(further_extra or {}),
        },
        "status": {},
    }
    if expiration_seconds is not None:
        api["spec"]["expirationSeconds"] = expiration_seconds
    if deleting:
        api["metadata"]["deletionTimestamp"] = "2026-03-14T09:27:00Z"
    if conditions:
        api["status"]["conditions"] = list(conditions)
    if certificate:
        api["status"]["certificate"] = base64.b64encode(certificate).decode()
    return api


def make_extra(pod: str = POD) -> dict[str, list[str]]:
    """`spec.extra` of a pod-bound token, as Kubernetes 1.32 and later record it."""
    return {
        CREDENTIAL_ID: ["JTI=5b1f6c1e-3a77-4e0a-9a7e-7a5b0c9d8e21"],
        NODE_NAME: [NODE],
        "authentication.kubernetes.io/node-uid": ["3e2d1c0b-9a88-4776-8655-44332211ffee"],
        POD_NAME: [pod],
        POD_UID: [POD_IDENTIFIER],
    }


def make_csr(**one_thing_wrong: Any) -> CertificateSigningRequest:
    """The value of `make_csr_object`, by way of the API server's JSON."""
    api = make_csr_object(**one_thing_wrong)
    return CertificateSigningRequest.from_api(json.dumps(api).encode(), name=api["metadata"]["name"])


def make_pod_object(
    *,
    name: str = POD,
    namespace: str = "calico-system",
    uid: str = POD_IDENTIFIER,
    service_account: str = "calico-node",
    node: str = NODE,
    host_network: bool = True,
    phase: str = "Pending",
    pod_ips: Sequence[str] = (ADDRESS,),
    host_ips: Sequence[str] = (ADDRESS,),
    deleting: bool = False,
) -> dict[str, Any]:
    """A pod whose init container asks for a certificate, as kube-apiserver returns it."""
    api: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {"serviceAccountName": service_account, "nodeName": node},
        "status": {"phase": phase},
    }
    if host_network:
        api["spec"]["hostNetwork"] = True
    if pod_ips:
        api["status"]["podIPs"] = [{"ip": address} for address in pod_ips]
    if host_ips:
        api["status"]["hostIPs"] = [{"ip": address} for address in host_ips]
    if deleting:
        api["metadata"]["deletionTimestamp"] = "2026-03-14T09:27:00Z"
    return api


def make_pod(**one_thing_wrong: Any) -> Pod:
    """The value of `make_pod_object`, by way of the API server's JSON."""
    api = make_pod_object(**one_thing_wrong)
    names = {key: api["metadata"][key] for key in ("name", "namespace")}
    return Pod.from_api(json.dumps(api).encode(), **names)


def make_node_object(*, name: str = NODE, addresses: Sequence[tuple[str, str]] | None = None) -> dict[str, Any]:
    """The node of the honest pod, as kube-apiserver returns it; addresses with their kinds."""
    named = [("Hostname", name), ("InternalIP", ADDRESS)] if addresses is None else addresses
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": "3e2d1c0b-9a88-4776-8655-44332211ffee"},
        "status": {"addresses": [{"type": kind, "address": address} for kind, address in named]},
    }


def make_node(**one_thing_wrong: Any) -> Node:
    """The value of `make_node_object`, by way of the API server's JSON."""
    api = make_node_object(**one_thing_wrong)
    return Node.from_api(json.dumps(api).encode(), name=api["metadata"]["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA in memory: its certificate and the key that KMS would hold."""

    certificate: x509.Certificate
    key: PrivateKey
    algorithm: SignatureAlgorithm

    @property
    def pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, data: bytes) -> bytes:
        """What KMS would answer; the same for the same data."""
        return sign(self.key, data, self.algorithm.digest())


def make_authority(
    *,
    common_name: str = "Calico CA",
    key: PrivateKey | None = None,
    algorithm: str = "EC_SIGN_P256_SHA256",
    above: Authority | None = None,
    not_before: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    not_after: datetime = datetime(2036, 1, 1, tzinfo=UTC),
    ca: bool = True,
    path_length: int | None = 0,
    basic_constraints: bool = True,
    key_cert_sign: bool = True,
    key_usage: bool = True,
    key_identifier: bool = True,
) -> Authority:
    """A CA certificate that is right, or wrong in one thing; self-signed unless there is one above."""
    key = key or ec_key(number=7654321)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    signing = key if above is None else above.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if above is None else above.certificate.subject)
        .public_key(key.public_key())
        .serial_number(0x5EED)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if basic_constraints:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True
        )
    if key_usage:
        builder = builder.add_extension(ca_key_usage(key_cert_sign=key_cert_sign), critical=True)
    if key_identifier:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    deterministic = True if isinstance(signing, ec.EllipticCurvePrivateKey) else None
    certificate = builder.sign(signing, hashes.SHA256(), ecdsa_deterministic=deterministic)
    return Authority(certificate=certificate, key=key, algorithm=SIGNATURE_ALGORITHMS[algorithm])


def ca_key_usage(*, key_cert_sign: bool = True) -> x509.KeyUsage:
    """A CA's key usage."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


@cache
def authority() -> Authority:
    """The CA of every test that names no other: self-signed, P-256."""
    return make_authority()


class HasPem(Protocol):
    """A CA, however it was made."""

    @property
    def pem(self) -> bytes: ...  # noqa: D102


def make_issuer(of: HasPem | None = None, *, chain: Sequence[HasPem] = (), trust: bytes | None = None) -> Issuer:
    """The issuer of a CA; its trust bundle is the last of the chain unless said otherwise."""
    links = [of or authority(), *chain]
    return issuers.load(
        key_version=KEY_VERSION,
        certificate=b"".join(link.pem for link in links),
        trust_bundle=links[-1].pem if trust is None else trust,
        protection_level="HSM",
    )


@cache
def calico(release: str = "3.31") -> profile.Profile:
    """The shipped profile's rows of one release."""
    return profile.load("calico", release=release, namespaces=configured("calico", release), folder=profile.SHIPPED)


@cache
def postgresql() -> profile.Profile:
    """The example of a user's own profile, whose names hold the pod's."""
    return profile.load("postgresql.yaml", release=None, folder=EXAMPLES)


@cache
def certifying_addresses(*ranges: str) -> profile.Profile:
    """Calico's rows, each with `addresses: pod`, within ranges where some are named."""
    rows = calico()
    networks = tuple(map(ip_network, ranges))
    changed = tuple(replace(row, addresses="pod", address_ranges=networks) for row in rows.components)
    return replace(rows, components=changed)


def make_signer(*, release: str = "3.31", **one_thing_wrong: Any) -> Signer:
    """A signer of Calico's shipped profile."""
    values: dict[str, Any] = {
        "cluster": CLUSTER,
        "cluster_domain": "cluster.local",
        "address_ranges": (),
        "credential_id": True,
        "signer_name": SIGNER_NAME,
        "approve": True,
        "profile": calico(release),
        "lifetime": calico(release).lifetime.maximum,
        "deferral_limit": timedelta(minutes=5),
        "issuer": make_issuer(),
        "configuration_digest": "0" * 64,
    }
    return Signer(**values | one_thing_wrong)


def make_attestation(
    csr: CertificateSigningRequest, pod: Pod | None, node: Node | None = None, *, credential_id: bool = True
) -> Attestation:
    """What the pipeline makes of a requester and of what the API server has."""
    identity = identify(csr.requester, credential_id=credential_id)
    if not isinstance(identity, PodIdentity):
        return Attestation(identity=None, pod=None, violations=identity)
    return attest(identity, pod, node)


def judge(
    *,
    request: Mapping[str, Any] | bytes | None = None,
    csr: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    no_pod: bool = False,
    node: Mapping[str, Any] | None = None,
    signer: Mapping[str, Any] | None = None,
    now: datetime = NOW,
) -> Decision:
    """Parses, attests and decides as the pipeline does.

    What can be changed:
        request: arguments of `make_request`, or the text itself.
        csr, pod, signer: arguments of `make_csr_object`, `make_pod_object`, `make_signer`.
        no_pod: the API server has no pod of that name.
        node: arguments of `make_node_object`; read only where the profile certifies addresses of the host.
        now: of the decision.
    """
    text = request if isinstance(request, bytes) else make_request(**request or {})
    value = make_csr(request=text, **csr or {})
    live = None if no_pod else make_pod(**pod or {})
    judged_by = make_signer(**signer or {})
    certifies = any(row.addresses == "pod" for row in judged_by.profile.components)
    host = make_node(**node or {}) if live is not None and live.host_network and certifies else None
    return decide(
        csr=value,
        request=parse(value.request),
        attestation=make_attestation(value, live, host, credential_id=judged_by.credential_id),
        signer=judged_by,
        now=now,
    )


def codes(decision: Decision) -> frozenset[str]:
    """Codes of every violation; none for a permit or a deferral."""
    return frozenset() if isinstance(decision, Permit | Deferral) else frozenset(v.code for v in decision.violations)


def make_permit(**one_thing_wrong: Any) -> Permit:
    """The permit of the honest request; with changes, one that `decide` would never make."""
    permit = judge()
    assert isinstance(permit, Permit), permit
    return replace(permit, **one_thing_wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of a table: the honest story with one thing wrong, and every rule that it breaks.

    Attributes:
        sentence: completes "refused is ..."; the test's id.
        breaks: codes, all of them.
        request, csr, pod, no_pod, node, signer, now: arguments of `judge`.
    """

    sentence: str
    breaks: frozenset[str]
    request: Mapping[str, Any] | bytes | None = None
    csr: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    no_pod: bool = False
    node: Mapping[str, Any] = field(default_factory=dict)
    signer: Mapping[str, Any] = field(default_factory=dict)
    now: datetime = NOW

    def __str__(self) -> str:
        return self.sentence

    def __post_init__(self) -> None:
        assert self.breaks <= set(CODES), sorted(self.breaks - set(CODES))

    def judge(self) -> Decision:
        """The decision on this row."""
        return judge(
            request=self.request,
            csr=self.csr,
            pod=self.pod,
            no_pod=self.no_pod,
            node=self.node,
            signer=self.signer,
            now=self.now,
        )


def case(sentence: str, *breaks: str, **story: Any) -> Case:
    """A row."""
    return Case(sentence=sentence, breaks=frozenset(breaks), **story)
