"""The configuration document: one JSON file that says everything a deployment decides.

Its path is in the environment variable `CSR_EXPORTER_CONFIGURATION`. No secret is in it: credentials are named by the
path of their file and read when they are used. All of its errors are reported together.

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
      "replicas": {"count": 2, "delay_seconds": 15},
      "rate_limit": {"burst": 6, "seconds": 30}
    }

`identity` may also be `{"kind": "metadata_server"}` or, for a sandbox, `{"kind": "unsafe_none"}`. `health`, `replicas`
(default: one) and `rate_limit` are optional. `POD_INDEX`, or the number at the end of `POD_NAME`, says which replica
this is. `api_server` (`server`, `certificate_authority`, `token_file`) is needed only outside a pod.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from csr_exporter.csr import Stage
from csr_exporter.document import Document, is_loopback, json_object
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.replicas import Replicas

VARIABLE = "CSR_EXPORTER_CONFIGURATION"
HEALTH_ADDRESS = "127.0.0.1"
HEALTH_PORT = 9863
STS_URL = "https://sts.googleapis.com"
IAM_CREDENTIALS_URL = "https://iamcredentials.googleapis.com"
METADATA_URL = "http://metadata.google.internal"
# What the kubelet mounts into every pod.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigurationError(Exception):
    """The configuration document cannot be used; `errors` says why, all of it, each line with its path."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A signerName to watch, and the stages in which its CSRs are the function's to act on."""

    signer_name: str
    stages: frozenset[Stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """Where events go, and the audience that the ID token must name (the URI of the Cloud Run service)."""

    url: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentityFederation:
    """ID token by way of a projected service account token, STS and IAM Credentials.

    `sts_url` and `iam_credentials_url` are roots (`https://host`); the methods' paths are appended.
    """

    token_file: Path
    sts_audience: str
    service_account: str
    sts_url: str = STS_URL
    iam_credentials_url: str = IAM_CREDENTIALS_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataServer:
    """ID token from the metadata server: only in a pod that is not on the host's network."""

    url: str = METADATA_URL


@dataclass(frozen=True, slots=True)
class UnsafeNone:
    """No identity at all: a sandbox's function on the same machine."""


Identity = WorkloadIdentityFederation | MetadataServer | UnsafeNone


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """The Kubernetes API server. Both files are read again whenever they are used: they rotate."""

    server: str
    certificate_authority: Path
    token_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Where /livez and /readyz are served. Port 0 is any free one; the log says which."""

    address: str = HEALTH_ADDRESS
    port: int = HEALTH_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The whole document."""

    source: str
    signers: tuple[Signer, ...]
    function: Function
    identity: Identity
    api_server: ApiServer
    health: Health
    replicas: Replicas = field(default_factory=Replicas)
    rate_limit: RateLimit = field(default_factory=RateLimit)


def load(environment: Mapping[str, str]) -> Configuration:
    """Reads the document that the environment names.

    Raises:
        ConfigurationError: it is not named, cannot be read, or is not a valid document.
    """
    path = environment.get(VARIABLE, "")
    if not path:
        raise ConfigurationError([f"environment variable {VARIABLE} is not set: it names the document"])
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigurationError([f"{path!r} cannot be read: {error}"]) from error
    return parse(text, environment)


def parse(text: str, environment: Mapping[str, str]) -> Configuration:
    """Makes a Configuration of the document's text.

    Raises:
        ConfigurationError: with every error of the document.
    """
    try:
        content = json.loads(text, object_pairs_hook=json_object)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"the document is not JSON: {error}"]) from error
    errors: list[str] = []
    document = Document.root(content, errors)
    configuration = Configuration(
        source=document.text("source", allowed=r"[!-~]{1,512}", example="//container.googleapis.com/..."),
        signers=_signers(document),
        function=_function(document.child("function")),
        identity=_identity(document.child("identity")),
        api_server=_api_server(document, environment),
        health=_health(document),
        replicas=_replicas(document, environment),
        rate_limit=_rate_limit(document),
    )
    document.refuse_other_keys()
    _check_unsafe(configuration, errors)
    if errors:
        raise ConfigurationError(errors)
    return configuration


def _signers(document: Document) -> tuple[Signer, ...]:
    signers = tuple(_signer(each) for each in document.children("signers"))
    names = [signer.signer_name for signer in signers]
    document.refuse_repeated("signers", [name for name in names if name])
    return signers


def _signer(document: Document) -> Signer:
    # The API server's own rule for signerNames is stricter; what it refuses matches no CSR.
    name = document.text(
        "signer_name", allowed=r"[a-z0-9.-]{1,253}/[A-Za-z0-9._-]{1,512}", example="example.com/calico"
    )
    stages = document.choices("stages", [stage.value for stage in Stage])
    document.refuse_other_keys()
    return Signer(signer_name=name, stages=frozenset(Stage(stage) for stage in stages))


def _function(document: Document) -> Function:
    function = Function(
        url=document.url("url"),
        audience=document.text("audience", allowed=r"[!-~]{1,512}", example="https://..."),
    )
    document.refuse_other_keys()
    return function


def _identity(document: Document) -> Identity:
    kind = document.choice("kind", ["workload_identity_federation", "metadata_server", "unsafe_none"])
    identity: Identity = UnsafeNone()
    if kind == "workload_identity_federation":
        identity = WorkloadIdentityFederation(
            token_file=document.path("token_file"),
            sts_audience=document.text("sts_audience", allowed=r"[!-~]{1,512}", example="//iam.googleapis.com/..."),
            # It becomes part of a URL's path, so its alphabet is closed.
            service_account=document.text(
                "service_account",
                allowed=r"[a-z0-9.-]{1,128}@[a-z0-9.-]{1,128}\.gserviceaccount\.com",
                example="csr-exporter@p.iam.gserviceaccount.com",
            ),
            sts_url=document.url("sts_url", default=STS_URL, root=True),
            iam_credentials_url=document.url("iam_credentials_url", default=IAM_CREDENTIALS_URL, root=True),
        )
    elif kind == "metadata_server":
        # It has no TLS, so only its own name or a double on this machine may be asked.
        identity = MetadataServer(url=document.url("url", default=METADATA_URL, root=True, plain_hosts=[METADATA_URL]))
    document.refuse_other_keys()
    return identity


def _api_server(document: Document, environment: Mapping[str, str]) -> ApiServer:
    if document.has("api_server"):
        given = document.child("api_server")
        api_server = ApiServer(
            server=given.url("server", plain=False),
            certificate_authority=given.path("certificate_authority"),
            token_file=given.path("token_file"),
        )
        given.refuse_other_keys()
        return api_server
    host, port = (environment.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port:
        document.error("api_server", "is missing, and KUBERNETES_SERVICE_HOST and _PORT are not set: not in a pod")
    return ApiServer(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        certificate_authority=SERVICE_ACCOUNT / "ca.crt",
        token_file=SERVICE_ACCOUNT / "token",
    )


def _health(document: Document) -> Health:
    if not document.has("health"):
        return Health()
    given = document.child("health")
    health = Health(
        address=given.text("address", allowed=r"[0-9a-f.:]{2,45}", example=HEALTH_ADDRESS, default=HEALTH_ADDRESS),
        port=given.integer("port", least=0, most=65535, default=HEALTH_PORT),
    )
    given.refuse_other_keys()
    return health


def _rate_limit(document: Document) -> RateLimit:
    if not document.has("rate_limit"):
        return RateLimit()
    given, usual = document.child("rate_limit"), RateLimit()
    rate_limit = RateLimit(
        burst=given.integer("burst", least=1, most=10_000, default=usual.burst),
        seconds=given.integer("seconds", least=1, most=3600, default=int(usual.seconds)),
    )
    given.refuse_other_keys()
    return rate_limit


def _replicas(document: Document, environment: Mapping[str, str]) -> Replicas:
    if not document.has("replicas"):
        return Replicas()
    given, usual = document.child("replicas"), Replicas()
    count = given.integer("count", least=1, most=9, default=usual.count)
    delay = given.integer("delay_seconds", least=1, most=300, default=int(usual.delay_seconds))
    given.refuse_other_keys()
    return Replicas(count=count, delay_seconds=delay, ordinal=_ordinal(document, environment) if count > 1 else 0)


def _ordinal(document: Document, environment: Mapping[str, str]) -> int:
    """Which replica this is. Never by the host name, which is the node's on the host's network."""
    index, name = environment.get("POD_INDEX", ""), environment.get("POD_NAME", "")
    ordinal = re.fullmatch(r"[0-9]{1,4}", index) if index else re.search(r"(?<=-)[0-9]{1,4}\Z", name)
    if ordinal is not None:
        return int(ordinal[0])
    document.error(
        "replicas.count",
        f"is more than 1, and environment variables POD_INDEX {index!r} and POD_NAME {name!r} do not say which this "
        "is, allowed is the index of a StatefulSet's pod, or its name NAME-INDEX",
    )
    return 0


def _check_unsafe(configuration: Configuration, errors: list[str]) -> None:
    if isinstance(configuration.identity, UnsafeNone) and not is_loopback(configuration.function.url) and not errors:
        errors.append(
            f"identity.kind: got 'unsafe_none' with function.url {configuration.function.url!r}, "
            "allowed only with a function on this machine (127.0.0.1, ::1 or localhost)"
        )
