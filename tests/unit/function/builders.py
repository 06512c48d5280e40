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
from ipaddress import ip_network
from typing import Any, Final, Protocol

import gmpy2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer.ca import issuer as issuers
from csr_signer.ca.algorithm import SIGNATURE_ALGORITHMS, SignatureAlgorithm
from csr_signer.ca.issuer import Issuer
from csr_signer.issuance.certificate import assemble, build
from csr_signer.issuance.lint import lint
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.policy import profile
from csr_signer.policy.attestation import CREDENTIAL_ID, NODE_NAME, POD_NAME, POD_UID, Attestation, attest, identify
from csr_signer.policy.decision import Decision, Deferral, Permit, Refusal, decide
from csr_signer.policy.signer import Signer
from csr_signer.policy.triage import IgnoreReason, triage
from csr_signer.request.pkcs10 import parse
from csr_signer.violation import CODES
from sandbox.calico import der, request

# Redundant aliases export: tests take the parts of a request and the keys from here, beside everything else.
from sandbox.calico.request import BASIC_CONSTRAINTS as BASIC_CONSTRAINTS
from sandbox.calico.request import CLIENT_AUTH as CLIENT_AUTH
from sandbox.calico.request import COMMON_NAME as COMMON_NAME
from sandbox.calico.request import DIGITAL_SIGNATURE as DIGITAL_SIGNATURE
from sandbox.calico.request import EXTENDED_KEY_USAGE as EXTENDED_KEY_USAGE
from sandbox.calico.request import EXTENSION_REQUEST as EXTENSION_REQUEST
from sandbox.calico.request import KEY_AGREEMENT as KEY_AGREEMENT
from sandbox.calico.request import KEY_ENCIPHERMENT as KEY_ENCIPHERMENT
from sandbox.calico.request import KEY_USAGE as KEY_USAGE
from sandbox.calico.request import SERVER_AUTH as SERVER_AUTH
from sandbox.calico.request import SUBJECT as SUBJECT
from sandbox.calico.request import SUBJECT_ALTERNATIVE_NAME as SUBJECT_ALTERNATIVE_NAME
from sandbox.calico.request import alternative_names as alternative_names
from sandbox.calico.request import attribute as attribute
from sandbox.calico.request import basic_constraints as basic_constraints
from sandbox.calico.request import dns_name as dns_name
from sandbox.calico.request import extended_key_usages as extended_key_usages
from sandbox.calico.request import extension as extension
from sandbox.calico.request import name_attribute as name_attribute
from sandbox.calico.request import pem as pem
from sandbox.derived_keys import PrivateKey as PrivateKey
from sandbox.derived_keys import ec_key as ec_key
from sandbox.derived_keys import prime as prime
from sandbox.derived_keys import rsa_key as rsa_key
from sandbox.kubernetes.verbs import merge
from tests.paths import EXAMPLE_PROFILES
from tests.unit.function.policy.component_tables import configured

CREATED: Final = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
NOW: Final = CREATED + timedelta(seconds=4)
CLUSTER: Final = "demo"
SIGNER_NAME: Final = "csr-signer.example.com/calico"
KEY_VERSION: Final = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
CSR_UID: Final = "6f1b7a52-4c1e-4f0e-9d53-0d1b6f7a2c11"
POD: Final = "calico-node-x7k2p"
POD_IDENTIFIER: Final = "0b9c5a9e-55a3-4d7e-8f4b-6a1d0c2e9f10"
EXAMPLES: Final = EXAMPLE_PROFILES
NODE: Final = "gke-demo-pool-1-4f7c"
ADDRESS: Final = "10.132.0.7"
RANGES: Final = (ip_network("10.132.0.0/16"),)
USAGES: Final = ("server auth", "client auth", "digital signature", "key agreement", "key encipherment")

CHALLENGE_PASSWORD: Final = "1.2.840.113549.1.9.7"
CERT_SIGN: Final = request.KEY_CERT_SIGN
RSA_WITH_SHA256: Final = "1.2.840.113549.1.1.11"
ECDSA_WITH_SHA256: Final = "1.2.840.10045.4.3.2"


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
    key = der.sequence(der.integer(modulus), der.integer(exponent))
    return der.sequence(
        der.sequence(der.object_identifier("1.2.840.113549.1.1.1"), parameters),
        der.bit_string(key),
    )


def ec_public_key_info(point: bytes, curve: str = "1.2.840.10045.3.1.7") -> bytes:
    """DER of the SubjectPublicKeyInfo of any point at all."""
    algorithm = der.sequence(der.object_identifier("1.2.840.10045.2.1"), der.object_identifier(curve))
    return der.sequence(algorithm, der.bit_string(point))


def sign(key: PrivateKey, data: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
    """An honest signature, with SHA-256 unless said otherwise."""
    digest = digest or hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), digest)
    return key.sign(data, ec.ECDSA(digest, deterministic_signing=True))


def sign_with_factors(*factors: int, exponent: int = 65537) -> Callable[[bytes], bytes]:
    """Makes valid RSA PKCS#1 v1.5 signatures with SHA-256 by the key of any prime factors: one, two alike, or many."""
    modulus = math.prod(factors)
    size = (modulus.bit_length() + 7) // 8
    order = math.prod(factor - (factor not in factors[:place]) for place, factor in enumerate(factors))
    private = pow(exponent, -1, order)

    def signature(data: bytes) -> bytes:
        algorithm = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), der.NULL)
        digest = der.sequence(algorithm, der.octet_string(hashlib.sha256(data).digest()))
        padded = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest  # RFC 8017 §9.2
        return int(gmpy2.powmod(int.from_bytes(padded, "big"), private, modulus)).to_bytes(size, "big")

    return signature


def rsa_request(*factors: int, exponent: int = 65537) -> dict[str, Any]:
    """Returns arguments of `make_request` for the RSA key of any prime factors, which signs honestly."""
    return {
        "public_key": rsa_public_key_info(math.prod(factors), exponent),
        "algorithm": RSA_WITH_SHA256,
        "parameters": der.NULL,
        "signature": sign_with_factors(*factors, exponent=exponent),
    }


def make_request_der(
    *,
    addresses: Sequence[str] = (ADDRESS,),
    other_names: Sequence[bytes] = (),
    key: PrivateKey | None = None,
    public_key: bytes | None = None,
    algorithm: str | None = None,
    parameters: bytes | None = None,
    digest: hashes.HashAlgorithm | None = None,
    signature: Callable[[bytes], bytes] | None = None,
    **content: Any,
) -> bytes:
    """Returns the DER of the CertificationRequest of Calico's client, with changes.

    Args:
        addresses: of the SAN, after the DNS names.
        other_names: of the SAN, encoded, after the addresses.
        key: signs, and is certified unless `public_key` says otherwise.
        public_key: SubjectPublicKeyInfo, encoded.
        algorithm: identifier of the signature's algorithm; the key's with SHA-256 by default.
        parameters: of the signature's algorithm, encoded.
        digest: of the honest signature.
        signature: of the CertificationRequestInfo, in place of the honest one.
        content: fields of `sandbox.calico.request.Content`.
    """
    key = key or ec_key()
    names = [*map(request.ip_address, addresses), *other_names]
    asked: dict[str, Any] = {
        "common_name": "typha-client",
        "dns_names": ("typha-client",),
        "address": None,
        "other_names": names,
    }
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    identifier = der.object_identifier(algorithm or (RSA_WITH_SHA256 if is_rsa else ECDSA_WITH_SHA256))
    if parameters is None:
        parameters = der.NULL if is_rsa else b""
    return request.assemble(
        request.Content(**(asked | content)),
        public_key or public_key_info(key),
        der.sequence(identifier, parameters),
        signature or (lambda information: sign(key, information, digest)),
    )


def make_request(*, wrap: Callable[[bytes], bytes] = pem, **one_thing_wrong: Any) -> bytes:
    """`spec.request`: the PEM text around `make_request_der`."""
    return wrap(make_request_der(**one_thing_wrong))


def merged(document: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the document with a JSON merge patch applied (RFC 7396)."""
    changed = merge(document, patch)
    assert isinstance(changed, dict)
    return changed


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
    metadata: Mapping[str, Any] | None = None,
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
    return merged(api, {"metadata": metadata or {}})


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
    **changes: Any,
) -> dict[str, Any]:
    """A pod whose init container asks for a certificate, as kube-apiserver returns it; changes are a merge patch."""
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
    return merged(api, changes)


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
    links = tuple(link.pem for link in (of or authority(), *chain))
    return _loaded(b"".join(links), links[-1] if trust is None else trust)


@cache
def _loaded(certificate: bytes, trust_bundle: bytes) -> Issuer:
    return issuers.load(
        key_version=KEY_VERSION, certificate=certificate, trust_bundle=trust_bundle, protection_level="HSM"
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


Judgement = Decision | IgnoreReason
"""A decision, or why triage ignores the CSR."""


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
    judgement = judge_objects(
        csr=make_csr_object(request=text, **csr or {}),
        pod=None if no_pod else make_pod_object(**pod or {}),
        node=make_node_object(**node or {}),
        signer=make_signer(**signer or {}),
        now=now,
    )
    assert not isinstance(judgement, IgnoreReason), judgement
    return judgement


def judge_objects(
    *, csr: dict[str, Any], pod: dict[str, Any] | None, node: dict[str, Any], signer: Signer, now: datetime
) -> Judgement:
    """Reads objects of the API server and judges them, in the steps of the pipeline and without its writes.

    Args:
        csr: the CSR.
        pod: what the API server has under the name that the token says, whatever its own name is; None: nothing.
        node: likewise, under the name of the pod's node.
        signer: judges.
        now: of the decision.
    """
    read = CertificateSigningRequest.from_api(json.dumps(csr).encode(), name=csr["metadata"]["name"])
    ignored = triage(read, uid=csr["metadata"]["uid"], signer_name=signer.signer_name, approve=signer.approve)
    if ignored is not None:
        return ignored
    identity = identify(read.requester, credential_id=signer.credential_id)
    live = host = None
    if isinstance(identity, PodIdentity) and pod is not None:
        names = {"name": identity.pod_name, "namespace": identity.namespace}
        live = Pod.from_api(json.dumps(merged(pod, {"metadata": names})).encode(), **names)
        rows = signer.profile.rows_of(identity.namespace, identity.service_account)
        if live.host_network and any(row.addresses == "pod" for row in rows):
            named = merged(node, {"metadata": {"name": live.node_name}})
            host = Node.from_api(json.dumps(named).encode(), name=live.node_name)
    attestation = make_attestation(read, live, host, credential_id=signer.credential_id)
    return decide(csr=read, request=parse(read.request), attestation=attestation, signer=signer, now=now)


def codes(judgement: Judgement) -> frozenset[str]:
    """Codes of every violation of a refusal; none otherwise."""
    return frozenset(v.code for v in judgement.violations) if isinstance(judgement, Refusal) else frozenset()


def outcome(judgement: Judgement) -> str:
    """How a judgement ends, as `Case.outcome` has it."""
    match judgement:
        case IgnoreReason():
            return judgement
        case Permit():
            return "permitted"
        case Deferral():
            return "deferred"
        case Refusal():
            return "refused"


def issued(permit: Permit, issuer: Issuer | None = None) -> x509.Certificate:
    """What a permit becomes: built, linted, signed by the CA of every test, assembled and verified."""
    issuer, of = issuer or make_issuer(), authority()
    cleared = lint(build(permit, issuer, of.algorithm), permit, issuer, of.algorithm)
    return x509.load_pem_x509_certificate(assemble(cleared, of.sign(cleared.der), issuer, of.algorithm).pem)


def make_permit(**one_thing_wrong: Any) -> Permit:
    """The permit of the honest request; with changes, one that `decide` would never make."""
    permit = judge()
    assert isinstance(permit, Permit), permit
    return replace(permit, **one_thing_wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of a table: the honest story with one thing changed, and what must come of it.

    Attributes:
        sentence: says what is changed; the test's id.
        breaks: codes of the refusal, all of them.
        request, csr, pod, no_pod, node, signer, now: arguments of `judge`.
        outcome: `refused`, `permitted`, `deferred`, or why triage ignores the CSR.
        certified: attributes of the permit that differ from the honest one's.
        invalid: fields of the CSR that a kube-apiserver finds invalid (422), so that the CSR never exists.
        source: where the idea is from.
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
    outcome: str = "refused"
    certified: Mapping[str, Any] = field(default_factory=dict)
    invalid: str = ""
    source: str = ""

    def __str__(self) -> str:
        return self.sentence

    def __post_init__(self) -> None:
        assert self.breaks <= set(CODES), sorted(self.breaks - set(CODES))
        assert bool(self.breaks) == (self.outcome == "refused"), self.sentence

    @property
    def text(self) -> bytes:
        """`spec.request`."""
        return self.request if isinstance(self.request, bytes) else make_request(**self.request or {})

    def objects(self) -> dict[str, Any]:
        """Returns the arguments of `judge_objects`."""
        return {
            "csr": make_csr_object(request=self.text, **self.csr),
            "pod": None if self.no_pod else make_pod_object(**self.pod),
            "node": make_node_object(**self.node),
            "signer": make_signer(**self.signer),
            "now": self.now,
        }

    def judge(self) -> Judgement:
        """Returns the judgement on this row."""
        return judge_objects(**self.objects())


def case(sentence: str, *breaks: str, **story: Any) -> Case:
    """Returns a row."""
    return Case(sentence=sentence, breaks=frozenset(breaks), **story)


def invalid_case(sentence: str, *breaks: str, **story: Any) -> Case:
    """Returns a row whose request a kube-apiserver finds invalid: Go cannot read it, or its signature is wrong."""
    return case(sentence, *breaks, invalid="spec.request", **story)
