"""Makes the issuing CA of a deployment with the operator's command line."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import grpc
from google.api_core.exceptions import GoogleAPIError

from sandbox.documents import Signer
from sandbox.kms import connect, create_signing_key

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
_HEALTH: Final = "/grpc.health.v1.Health/Check"


class AuthorityError(Exception):
    """The CA could not be made; the message has the error of KMS or signerctl."""


def create(
    kms: str,
    certificate: Path,
    *,
    key_algorithm: str,
    signer_name: str,
    release: str,
    log: Path,
    common_name: str = "Calico demo CA",
    days: int | None = None,
) -> Signer:
    """Makes a key in KMS and a root certificate for it.

    Args:
        kms: HOST:PORT of a KMS on the loopback address, plaintext.
        certificate: Where the certificate goes.
        key_algorithm: Of the key.
        signer_name: Of the signer that will use it.
        release: Of Calico.
        log: Where signerctl's audit records go.
        common_name: Of the certificate.
        days: Validity of the certificate; None for signerctl's default.

    Raises:
        AuthorityError: No KMS answers there, it refused to make the key, or signerctl failed.
    """
    key_version = _create_key(kms, key_algorithm)
    wanted = ("--key-version", key_version, "--common-name", common_name, "--out", str(certificate))
    validity = () if days is None else ("--days", str(days))
    access = ("--audit-log", str(log), "--unsafe-plaintext-kms-endpoint", kms)
    done = subprocess.run(
        [sys.executable, "-m", "signerctl", "ca", "create", *wanted, *validity, *access],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise AuthorityError(f"signerctl ended with status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return Signer(signer_name=signer_name, release=release, key_version=key_version, certificate_authority=certificate)


def _create_key(kms: str, algorithm: str) -> str:
    with grpc.insecure_channel(kms) as channel:
        try:
            # Any gRPC server answers, if only that it has no such method. gRPC's own wait for a channel starts a
            # thread, which prints a traceback if a signal interrupts the wait.
            channel.unary_unary(_HEALTH)(b"", timeout=_CONNECT_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise AuthorityError(f"no KMS answers at {kms!r}") from None
    try:
        with connect(kms) as client:
            # Each run makes its own key, because another KMS than the double keeps the keys of earlier runs.
            return create_signing_key(client, algorithm, key=f"calico-ca-{time.time_ns()}")
    except (GoogleAPIError, TimeoutError) as error:
        raise AuthorityError(f"the KMS at {kms!r} made no key: {error}") from error
