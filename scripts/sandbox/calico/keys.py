"""The keys and signatures of `certificateManagement`, and a pool of keys that are made in advance.

Names and defaults come from the Installation resource (operator:api/v1/installation_types.go) and the client's
switch statements: for an unknown or empty name, the client silently uses the default.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox.calico import der
from sandbox.derived_keys import rsa_key

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_SIZES: Mapping[str, int] = {"RSAWithSize2048": 2048, "RSAWithSize4096": 4096, "RSAWithSize8192": 8192}
CURVES: Mapping[str, ec.EllipticCurve] = {
    "ECDSAWithCurve256": ec.SECP256R1(),
    "ECDSAWithCurve384": ec.SECP384R1(),
    "ECDSAWithCurve521": ec.SECP521R1(),
}
KEY_ALGORITHMS: tuple[str, ...] = (*RSA_SIZES, *CURVES)


class KeyMismatchError(Exception):
    """The signature algorithm belongs to another kind of key: the client exits without a CSR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """The signature algorithm of a CertificationRequest: PKCS#1 v1.5 or ECDSA, never PSS."""

    name: str
    identifier: str
    rsa: bool
    digest: hashes.HashAlgorithm

    def algorithm_identifier(self) -> bytes:
        """Encodes the AlgorithmIdentifier (RFC 5280 §4.1.1.2); RSA has NULL parameters, ECDSA none."""
        return der.sequence(der.object_identifier(self.identifier), *([der.NULL] if self.rsa else []))

    def sign(self, key: PrivateKey, data: bytes) -> bytes:
        """Signs `data`.

        Raises:
            KeyMismatchError: The key is of the other kind.
        """
        if isinstance(key, rsa.RSAPrivateKey) and self.rsa:
            return key.sign(data, padding.PKCS1v15(), self.digest)
        if isinstance(key, ec.EllipticCurvePrivateKey) and not self.rsa:
            return key.sign(data, ec.ECDSA(self.digest))
        raise KeyMismatchError(f"{self.name} does not sign with a key of type {type(key).__name__}")


_DIGESTS: Mapping[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
_RSA_IDENTIFIERS = {"SHA256": 11, "SHA384": 12, "SHA512": 13}  # RFC 8017 A.2.4
_ECDSA_IDENTIFIERS = {"SHA256": 2, "SHA384": 3, "SHA512": 4}  # RFC 5758 §3.2
SIGNATURE_ALGORITHMS: Mapping[str, SignatureAlgorithm] = {
    **{
        f"{digest}WithRSA": SignatureAlgorithm(
            name=f"{digest}WithRSA", identifier=f"1.2.840.113549.1.1.{arc}", rsa=True, digest=_DIGESTS[digest]
        )
        for digest, arc in _RSA_IDENTIFIERS.items()
    },
    **{
        f"ECDSAWith{digest}": SignatureAlgorithm(
            name=f"ECDSAWith{digest}",
            identifier=f"1.2.840.10045.4.3.{arc}",
            rsa=False,
            digest=_DIGESTS[digest],
        )
        for digest, arc in _ECDSA_IDENTIFIERS.items()
    },
}


def signature_algorithm(name: str) -> SignatureAlgorithm:
    """Returns the algorithm of that name; as in the client, an unknown name means SHA256WithRSA."""
    return SIGNATURE_ALGORITHMS.get(name, SIGNATURE_ALGORITHMS["SHA256WithRSA"])


def signature_algorithms_for(key_algorithm: str) -> tuple[str, ...]:
    """Returns the signature algorithms that match a key algorithm."""
    of_rsa = key_algorithm not in CURVES
    return tuple(name for name, algorithm in SIGNATURE_ALGORITHMS.items() if algorithm.rsa == of_rsa)


def generate(key_algorithm: str) -> PrivateKey:
    """Generates a key of the named kind; as in the client, an unknown name means RSA 2048."""
    if key_algorithm in CURVES:
        return ec.generate_private_key(CURVES[key_algorithm])
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_SIZES.get(key_algorithm, 2048))


def known(key_algorithm: str) -> PrivateKey:
    """Returns a key of the named kind at once: an RSA key is always the same, and not secret."""
    if key_algorithm in CURVES:
        return generate(key_algorithm)
    return rsa_key(RSA_SIZES.get(key_algorithm, 2048))


def private_key_pem(key: PrivateKey) -> bytes:
    """Encodes the key as the client does: PKCS#1 `RSA PRIVATE KEY` or SEC1 `EC PRIVATE KEY`."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def subject_public_key_info(key: PrivateKey) -> bytes:
    """Returns the DER of the key's SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class KeyPool:
    """A pool of keys made in the background, so that measurements of a fleet exclude key generation.

    RSA keys take 0.03 s (2048) to about 8 s (8192) of CPU each, so the pool makes only a few and reuses them. It
    makes a new key on a curve each time, which is cheap. Key generation releases the interpreter's lock.
    """

    DISTINCT: Mapping[str, int] = {"RSAWithSize2048": 16, "RSAWithSize4096": 4, "RSAWithSize8192": 1}

    def __init__(
        self,
        key_algorithms: Iterable[str] = (),
        *,
        make: Callable[[str], PrivateKey] = generate,
        workers: int | None = None,
    ) -> None:
        """Starts making the keys that these requests will need, the slowest kinds first.

        Args:
            key_algorithms: One name per request.
            make: `generate`, or `known` if the keys need not be new.
            workers: Number of threads; by default, the number of processors.
        """
        self._executor = ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1, thread_name_prefix="keys")
        self._make = make
        self._ready: dict[str, list[Future[PrivateKey]]] = {}
        self._taken: dict[str, int] = {}
        wanted = [name if name in KEY_ALGORITHMS else "RSAWithSize2048" for name in key_algorithms]
        for name in sorted(RSA_SIZES, key=RSA_SIZES.__getitem__, reverse=True):
            self._prepare(name, min(wanted.count(name), self.DISTINCT[name]))

    def _prepare(self, name: str, count: int) -> None:
        self._ready[name] = [self._executor.submit(self._make, name) for _ in range(count)]

    def take(self, key_algorithm: str, timeout: float = 120.0) -> PrivateKey:
        """Returns a key of that kind; waits until it is made.

        Raises:
            TimeoutError: The key was not ready after `timeout` seconds.
        """
        if key_algorithm in CURVES:
            return generate(key_algorithm)
        name = key_algorithm if key_algorithm in RSA_SIZES else "RSAWithSize2048"
        if not self._ready[name]:
            self._prepare(name, 1)
        turn = self._taken[name] = self._taken.get(name, -1) + 1
        ready = self._ready[name]
        return ready[turn % len(ready)].result(timeout)

    def close(self) -> None:
        """Cancels keys that are not started yet, and waits for the others."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
