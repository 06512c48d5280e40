"""Provides key pairs: key, token, CSR, certificate, Secret."""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from cryptography import x509

from csr_signer.violation import quote
from signerctl import objects
from signerctl.api_server import ApiServer, ApiServerError
from signerctl.interface.program import CommandError
from signerctl.interface.text import shell_word
from signerctl.key_pairs import certificate, request
from signerctl.key_pairs.catalog import KeyPair
from signerctl.key_pairs.need import ANNOTATION, TYPES, Need
from signerctl.objects import CSRS

Json = Mapping[str, Any]

_TOKEN_SECONDS: Final = 600
"""The API server's minimum."""
_POLL_SECONDS: Final = 0.5
_CONFLICT: Final = 409
_FORBIDDEN: Final = 403
_KEPT: Final = ("annotations", "labels", "finalizers", "ownerReferences", "resourceVersion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An issued key pair that is not in a Secret yet.

    Attributes:
        need: Why it was issued.
        leaf: The certificate.
        chain: PEM of the certificate and its chain.
        key: PEM of the key.
    """

    need: Need
    leaf: x509.Certificate
    chain: bytes
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Provides key pairs.

    Attributes:
        api: The API server, with the caller's credentials.
        anchors: The CAs that the components trust.
        timeout: How long to wait for a certificate.
        clock: Monotonic seconds.
        sleep: Waits for seconds.
    """

    api: ApiServer
    anchors: Sequence[x509.Certificate]
    timeout: timedelta
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)

    def issue(self, need: Need) -> Issued:
        """Makes a key, and gets a certificate for it in the name of the component's pod.

        The key exists only in memory until `write` stores it. If the caller stops before, the next run makes another.

        Raises:
            CommandError: The signer refused, or did not answer in time.
        """
        pair, pod = need.key_pair, need.pod
        if pod is None or not need.is_due:
            raise CommandError(f"{pair.path}: {need.why}")
        key = request.new_key()
        as_pod = self.api.with_token(self._token(pair, pod))
        csr = request.csr(pair, pod["metadata"]["name"], request.certification_request(pair, key))
        chain = self._issued(as_pod, pair, csr)
        leaf = certificate.check(chain, pair, key.public_key(), anchors=self.anchors)
        return Issued(need=need, leaf=leaf, chain=chain, key=request.key_pem(key))

    def _token(self, pair: KeyPair, pod: Json) -> str:
        """Returns a token of the component's service account that is bound to its pod, as kubelet's tokens are."""
        reference = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"boundObjectRef": reference, "expirationSeconds": _TOKEN_SECONDS},
        }
        path = f"/api/v1/namespaces/{pair.namespace}/serviceaccounts/{pair.service_account}/token"
        return str(self.api.create(path, body)["status"]["token"])

    def _issued(self, as_pod: ApiServer, pair: KeyPair, csr: Json) -> bytes:
        """Files the CSR, and returns the certificate of its status."""
        name = csr["metadata"]["name"]
        path = objects.named(CSRS, name)
        # Of an earlier run, which was interrupted before it wrote the Secret, or whose certificate is in the Secret.
        as_pod.delete(path)
        try:
            uid = as_pod.create(CSRS, csr)["metadata"]["uid"]
        except ApiServerError as error:
            raise _explained(error, pair) from error
        end = self.clock() + self.timeout.total_seconds()
        while True:
            found = self.api.get(path, objects.CSR)
            if found is None or found["metadata"]["uid"] != uid:
                raise CommandError(f"{pair.path}: another program deleted CSR {quote(name)}; run the command again")
            refusal = objects.refusal(found)
            if refusal is not None:
                text = f"{refusal['type']}, {refusal.get('reason', '')}: {refusal.get('message', '')}"
                raise CommandError(f"{pair.path}: the signer refused CSR {quote(name)}: {text}")
            if objects.has_certificate(found):
                return base64.b64decode(found["status"]["certificate"])
            if self.clock() >= end:
                seconds = f"{self.timeout.total_seconds():.0f} s"
                ask = f"to see why, run signerctl explain {shell_word(f'csr/{name}')}"
                raise CommandError(f"{pair.path}: no certificate for CSR {quote(name)} within {seconds}: {ask}")
            self.sleep(_POLL_SECONDS)

    def write(self, issued: Issued) -> None:
        """Creates the Secret, or replaces the one that was read.

        Raises:
            CommandError: Another program changed or created the Secret meanwhile, or the API server refused it.
        """
        pair, present = issued.need.key_pair, issued.need.secret
        owner = f"{pair.namespace}/{pair.component}"
        # The operator or another program may have added labels and owners, which stay.
        kept = {} if present is None else {key: present["metadata"][key] for key in _KEPT if key in present["metadata"]}
        annotations = {**kept.pop("annotations", {}), ANNOTATION: owner}
        metadata = {**kept, "name": pair.secret, "namespace": pair.secret_namespace, "annotations": annotations}
        data = {"tls.crt": base64.b64encode(issued.chain).decode(), "tls.key": base64.b64encode(issued.key).decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPES[0], "data": data}
        collection = f"/api/v1/namespaces/{pair.secret_namespace}/secrets"
        try:
            if present is None:
                self.api.create(collection, secret)
            else:
                secret["type"] = present.get("type", TYPES[0])  # the API server refuses another type
                self.api.replace(objects.named(collection, pair.secret), secret)
        except ApiServerError as error:
            if error.answer is not None and error.answer.status == _CONFLICT:
                raise CommandError(f"Secret {pair.path}: another program changed it; run the command again") from error
            raise


def _explained(error: ApiServerError, pair: KeyPair) -> CommandError:
    if error.answer is None or error.answer.status != _FORBIDDEN:
        return error
    account = f"{pair.namespace}/{pair.service_account}"
    return CommandError(
        f"{pair.path}: service account {account} may not file its CSR: {error.answer.message}; the role"
        " kms-csr-signer:key-pairs in key-pairs.yaml grants the right"
    )
