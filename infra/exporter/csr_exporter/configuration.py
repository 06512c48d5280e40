"""The configuration document: one JSON file with everything that a deployment decides.

The environment variable `CSR_EXPORTER_CONFIGURATION` holds its path. It contains no secret: it names credentials by the
path of their file, and the exporter reads the file when it uses the credential. Errors are reported together.

    {
      "source": "//container.googleapis.com/projects/p/locations/l/clusters/c",
      "signers": [{"signer_name": "example.com/calico", "stages": ["pending", "approved"]}],
      "function": {"url": "https://csr-signer-x.a.run.app/", "audience": "https://csr-signer-x.a.run.app"},
      "identity": {
        "kind": "workload_identity_federation",
        "token_file": "/var/run/secrets/csr-exporter/token",
        "sts_audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/w/providers/c",
        "service_account": "csr-exporter@p.iam.gserviceaccount.com"
      },
      "health": {"address": "127.0.0.1", "port": 9863},
      "metrics": {
        "address": "0.0.0.0", "port": 9877,
        "tls": {"certificate": "/tls/tls.crt", "key": "/tls/tls.key", "client_ca": "/tls/ca.crt"}
      },
      "replicas": {"count": 2, "delay_seconds": 15},
      "rate_limit": {"burst": 6, "seconds": 30}
    }

`identity` may also be `{"kind": "metadata_server"}` or, for a sandbox, `{"kind": "unsafe_none"}`. `health`, `metrics`,
its `tls`, `replicas` and `rate_limit` are optional. Outside a pod, `api_server` (`server`, `certificate_authority`,
`token_file`) is required.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from csr_exporter import document
from csr_exporter.csr import Stage
from csr_exporter.document import LOOPBACK, ConfigurationError, integer, object_of, quoted, string
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.replicas import Replicas

VARIABLE = "CSR_EXPORTER_CONFIGURATION"
METADATA_URL = "http://metadata.google.internal"
# The kubelet mounts these files into every pod.
_MOUNTED = "/var/run/secrets/kubernetes.io/serviceaccount"
_IN_POD = {"certificate_authority": f"{_MOUNTED}/ca.crt", "token_file": f"{_MOUNTED}/token"}
_VISIBLE = r"[!-~]{1,512}"
_FILE = string(r"/[^\0]{1,4095}", "/var/run/secrets/token", make=Path)
_File = Annotated[Path, _FILE]
_ADDRESS = r"[0-9a-f.:]{2,45}"
_LOOPBACK = "|".join(re.escape(f"[{host}]" if ":" in host else host) for host in sorted(LOOPBACK))
_DOUBLE = rf"http://(?:{_LOOPBACK})(?::[0-9]{{1,5}})?"
"""A double of a Google service, on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A signerName to watch, and the stages of its CSRs that the exporter sends.

    Attributes:
        signer_name: `spec.signerName`.
        stages: `pending` if the function approves, `approved` if another approver may; both are usual.
    """

    # The API server's own rule for signerNames is stricter.
    signer_name: Annotated[str, string(r"[a-z0-9.-]{1,253}/[A-Za-z0-9._-]{1,512}", "example.com/calico")]
    stages: Annotated[
        frozenset[Stage],
        document.list_of(
            document.choice({each.value: each for each in Stage}), make=frozenset, key=lambda stage: stage.value
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """Where events go, and the audience that the ID token must name (the URI of the Cloud Run service).

    Attributes:
        url: the function's URL.
        audience: the ID token's audience: the URI of the Cloud Run service.
    """

    url: Annotated[str, document.url()]
    audience: Annotated[str, string(_VISIBLE, "https://...")]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentityFederation:
    """ID token by way of a projected service account token, STS and IAM Credentials.

    Attributes:
        token_file: the projected service account token.
        sts_audience: the provider of the workload identity pool.
        service_account: the Google service account that the ID token names.
        unsafe_sts_url: for a sandbox, a double of STS.
        unsafe_iam_credentials_url: for a sandbox, a double of IAM Credentials.
    """

    token_file: _File
    sts_audience: Annotated[str, string(_VISIBLE, "//iam.googleapis.com/...")]
    # It becomes part of a URL's path, so its alphabet is closed.
    service_account: Annotated[
        str,
        string(r"[a-z0-9.-]{1,128}@[a-z0-9.-]{1,128}\.gserviceaccount\.com", "csr-exporter@p.iam.gserviceaccount.com"),
    ]
    # These hosts receive the projected token and an access token, so they are Google's, or doubles on this machine.
    unsafe_sts_url: Annotated[str | None, string(_DOUBLE, "http://127.0.0.1:8080")] = None
    unsafe_iam_credentials_url: Annotated[str | None, string(_DOUBLE, "http://127.0.0.1:8080")] = None

    @property
    def sts_url(self) -> str:
        """Returns the URL of the Security Token Service."""
        return self.unsafe_sts_url or "https://sts.googleapis.com"

    @property
    def iam_credentials_url(self) -> str:
        """Returns the URL of the IAM Credentials API."""
        return self.unsafe_iam_credentials_url or "https://iamcredentials.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataServer:
    """ID token from the metadata server: only in a pod that is not on the host's network.

    Attributes:
        url: the metadata server.
    """

    # It has no TLS, so that the exporter asks only its own name, or a double on this machine.
    url: Annotated[str, string(f"{re.escape(METADATA_URL)}|{_DOUBLE}", METADATA_URL)] = METADATA_URL


@dataclass(frozen=True, slots=True)
class UnsafeNone:
    """No identity: for a function on the same machine."""


Identity = WorkloadIdentityFederation | MetadataServer | UnsafeNone


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """The Kubernetes API server. The exporter reads both files whenever it uses them: they rotate.

    Attributes:
        server: its URL.
        certificate_authority: PEM file of its CA.
        token_file: the exporter's service account token.
    """

    server: Annotated[str, document.url(http_to=())]
    certificate_authority: _File
    token_file: _File


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Where the kubelet reads /readyz and people /livez; on loopback, also /metrics. Port 0 is any free port."""

    address: Annotated[str, string(_ADDRESS, "127.0.0.1")] = "127.0.0.1"
    port: Annotated[int, integer(0, 65535)] = 9863


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files of a TLS server, read for each connection. With `client_ca`, a client needs a certificate of that CA."""

    certificate: _File
    key: _File
    client_ca: Annotated[Path | None, _FILE] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsEndpoint:
    """Where scrapers on other machines read /metrics. Without it, only loopback serves them."""

    address: Annotated[str, string(_ADDRESS, "10.0.0.1")]
    port: Annotated[int, integer(0, 65535)]
    tls: Annotated[Tls | None, object_of(Tls)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The whole document.

    Attributes:
        source: the source of the events: the function's configuration has the same for this cluster.
        signers: the signerNames to watch.
        function: where events go.
        identity: how the exporter gets its ID token; `kind` says which of the three.
        api_server: the Kubernetes API server; in a pod the exporter finds it by itself.
        health: where the exporter serves its state and its metrics.
        replicas: the exporters that share the work.
        rate_limit: the events that one requester may cause.
    """

    source: Annotated[str, string(_VISIBLE, "//container.googleapis.com/...")]
    signers: Annotated[
        tuple[Signer, ...], document.list_of(object_of(Signer), make=tuple, key=lambda signer: signer.signer_name)
    ]
    function: Annotated[Function, object_of(Function)]
    identity: Annotated[
        Identity,
        document.tagged(
            workload_identity_federation=object_of(WorkloadIdentityFederation),
            metadata_server=object_of(MetadataServer),
            unsafe_none=object_of(UnsafeNone),
        ),
    ]
    api_server: Annotated[ApiServer, object_of(ApiServer)]
    health: Annotated[Health, object_of(Health)] = field(default_factory=Health)
    metrics: Annotated[MetricsEndpoint | None, object_of(MetricsEndpoint)] = None
    replicas: Annotated[Replicas, object_of(Replicas)] = field(default_factory=Replicas)
    rate_limit: Annotated[RateLimit, object_of(RateLimit)] = field(default_factory=RateLimit)


def load(environment: Mapping[str, str]) -> Configuration:
    """Reads the document that the environment names.

    Raises:
        ConfigurationError: it is not named, cannot be read, or is not a valid document.
    """
    path = environment.get(VARIABLE, "")
    if not path:
        raise ConfigurationError([f"environment variable {VARIABLE}: Required value: the path of the document"])
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigurationError([f"environment variable {VARIABLE}: cannot read {quoted(path)}: {error}"]) from error
    return parse(text, environment)


def parse(text: str, environment: Mapping[str, str]) -> Configuration:
    """Makes a Configuration of the document's text.

    Raises:
        ConfigurationError: with every error of the document.
    """
    content = document.loads(text)
    host, port = (environment.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if isinstance(content, dict) and host and port:
        content.setdefault(
            "api_server", {"server": f"https://{f'[{host}]' if ':' in host else host}:{port}", **_IN_POD}
        )
    configuration: Configuration = document.parse(content, object_of(Configuration))
    if isinstance(configuration.identity, UnsafeNone) and urlsplit(configuration.function.url).hostname not in LOOPBACK:
        unsafe = 'identity.kind: Forbidden: "unsafe_none" needs a function.url on this machine'
        raise ConfigurationError([f"{unsafe}; it is {quoted(configuration.function.url)}"])
    if configuration.replicas.count == 1:
        return configuration
    return replace(configuration, replicas=replace(configuration.replicas, ordinal=_ordinal(environment)))


def _ordinal(environment: Mapping[str, str]) -> int:
    """Returns which replica this is. The host name does not say: on the host's network it is the node's."""
    index, name = environment.get("POD_INDEX", ""), environment.get("POD_NAME", "")
    ordinal = re.fullmatch(r"[0-9]{1,4}", index) if index else re.search(r"(?<=-)[0-9]{1,4}\Z", name)
    if ordinal is not None:
        return int(ordinal[0])
    found = f"POD_INDEX is {quoted(index)} and POD_NAME is {quoted(name)}"
    must = "set POD_INDEX to the index of the StatefulSet's pod, or POD_NAME to NAME-INDEX"
    raise ConfigurationError([f"replicas.count: Forbidden: more than 1, and {found}: {must}"])
