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
      "replicas": {"count": 2, "delay_seconds": 15},
      "rate_limit": {"burst": 6, "seconds": 30}
    }

`identity` may also be `{"kind": "metadata_server"}` or, for a sandbox, `{"kind": "unsafe_none"}`. `health`, `replicas`
and `rate_limit` are optional. Outside a pod, `api_server` (`server`, `certificate_authority`, `token_file`) is
required.
"""

import json
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from csr_exporter.csr import Stage
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.replicas import Replicas

VARIABLE = "CSR_EXPORTER_CONFIGURATION"
METADATA_URL = "http://metadata.google.internal"
# The kubelet mounts these files into every pod.
_MOUNTED = "/var/run/secrets/kubernetes.io/serviceaccount"
_IN_POD = {"certificate_authority": f"{_MOUNTED}/ca.crt", "token_file": f"{_MOUNTED}/token"}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_VISIBLE = r"[!-~]{1,512}"
_LONGEST_QUOTE = 120


class ConfigurationError(Exception):
    """The configuration document is invalid; `errors` has one line per error, each with its path."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A signerName to watch, and the stages of its CSRs that the exporter sends."""

    signer_name: str
    stages: frozenset[Stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """Where events go, and the audience that the ID token must name (the URI of the Cloud Run service)."""

    url: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentityFederation:
    """ID token by way of a projected service account token, STS and IAM Credentials. The URLs have no path."""

    token_file: Path
    sts_audience: str
    service_account: str
    sts_url: str = "https://sts.googleapis.com"
    iam_credentials_url: str = "https://iamcredentials.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataServer:
    """ID token from the metadata server: only in a pod that is not on the host's network."""

    url: str = METADATA_URL


@dataclass(frozen=True, slots=True)
class UnsafeNone:
    """No identity: for a function on the same machine."""


Identity = WorkloadIdentityFederation | MetadataServer | UnsafeNone


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """The Kubernetes API server. The exporter reads both files whenever it uses them: they rotate."""

    server: str
    certificate_authority: Path
    token_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Where the exporter serves /livez, /readyz and /metrics. Port 0 is any free port; the log says which."""

    address: str = "127.0.0.1"
    port: int = 9863


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The whole document."""

    source: str
    signers: tuple[Signer, ...]
    function: Function
    identity: Identity
    api_server: ApiServer
    health: Health = field(default_factory=Health)
    replicas: Replicas = field(default_factory=Replicas)
    rate_limit: RateLimit = field(default_factory=RateLimit)


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
        raise ConfigurationError([f"environment variable {VARIABLE}: cannot read {_quoted(path)}: {error}"]) from error
    return parse(text, environment)


def parse(text: str, environment: Mapping[str, str]) -> Configuration:
    """Makes a Configuration of the document's text.

    Raises:
        ConfigurationError: with every error of the document.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"the document is not JSON: {error}"]) from error
    host, port = (environment.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if isinstance(content, dict) and host and port:
        in_pod = {"server": f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", **_IN_POD}
        content.setdefault("api_server", in_pod)
    configuration: Configuration = _DOCUMENT(content, "")
    if isinstance(configuration.identity, UnsafeNone) and not is_loopback(configuration.function.url):
        unsafe = 'identity.kind: Forbidden: "unsafe_none" needs a function.url on this machine'
        raise ConfigurationError([f"{unsafe}; it is {_quoted(configuration.function.url)}"])
    if configuration.replicas.count == 1:
        return configuration
    return replace(configuration, replicas=replace(configuration.replicas, ordinal=_ordinal(environment)))


def is_loopback(url: str) -> bool:
    """Returns whether the host of a URL is this machine by its very spelling; resolves no name."""
    return urlsplit(url).hostname in _LOOPBACK


def _invalid(value: object, path: str, must: str) -> ConfigurationError:
    return ConfigurationError([f"{path}: Invalid value: {_quoted(value)}: {must}"])


def _quoted(value: object) -> str:
    quoted = json.dumps(value)
    return quoted if len(quoted) <= _LONGEST_QUOTE else quoted[:_LONGEST_QUOTE] + "..."


Check: TypeAlias = Callable[[object, str], Any]
"""Parses a value at a path, or raises ConfigurationError."""


def _object(make: Callable[..., object], **checks: Check) -> Check:
    """Parses an object with these fields into a dataclass. Fields with a default are optional."""
    required = {each.name for each in fields(make) if each.default is each.default_factory is MISSING}  # type: ignore[arg-type]

    def check(value: object, path: str) -> object:
        if not isinstance(value, dict):
            raise _invalid(value, path or "the document", "must be an object")
        errors: list[str] = []
        parsed = {}
        for name in (*checks, *(name for name in value if name not in checks)):
            at = f"{path}.{name}" if path else name
            if name not in checks:
                errors.append(f"{at}: Forbidden: unknown field: must be one of {', '.join(sorted(checks))}")
            elif name in value:
                parsed[name] = _collect(checks[name], value[name], at, errors)
            elif name in required:
                errors.append(f"{at}: Required value")
        if errors:
            raise ConfigurationError(errors)
        return make(**parsed)

    return check


def _tagged(**kinds: Check) -> Check:
    """Parses an object whose field `kind` names the check of the other fields."""

    def check(value: object, path: str) -> object:
        if not isinstance(value, dict):
            raise _invalid(value, path, "must be an object")
        kind = _choice(kinds)(value.get("kind"), f"{path}.kind")
        return kind({name: field for name, field in value.items() if name != "kind"}, path)

    return check


def _list(each: Check, *, make: Callable[[list[Any]], object], key: Callable[[Any], str]) -> Check:
    """Parses a list of at least one item, each with a key of its own."""

    def check(value: object, path: str) -> object:
        if not isinstance(value, list) or not value:
            raise _invalid(value, path, "must be a list with at least one item")
        errors: list[str] = []
        items = [_collect(each, item, f"{path}[{index}]", errors) for index, item in enumerate(value)]
        keys = [] if errors else [key(item) for item in items]
        errors += [f"{path}: Duplicate value: {_quoted(twice)}" for twice in set(keys) if keys.count(twice) > 1]
        if errors:
            raise ConfigurationError(errors)
        return make(items)

    return check


def _collect(check: Check, value: object, path: str, errors: list[str]) -> object:
    try:
        return check(value, path)
    except ConfigurationError as error:
        errors += error.errors
        return None


def _choice(values: Mapping[str, Any]) -> Check:
    def check(value: object, path: str) -> object:
        if isinstance(value, str) and value in values:
            return values[value]
        supported = ", ".join(map(_quoted, values))
        raise ConfigurationError([f"{path}: Unsupported value: {_quoted(value)}: supported values: {supported}"])

    return check


def _scalar(is_valid: Callable[[Any], object], must: str, make: Callable[[Any], object] = lambda value: value) -> Check:
    def check(value: object, path: str) -> object:
        if not is_valid(value):
            raise _invalid(value, path, must)
        return make(value)

    return check


def _text(pattern: str, example: str, make: Callable[[str], object] = str) -> Check:
    must = f"must match {pattern}, for example {_quoted(example)}"
    return _scalar(lambda value: isinstance(value, str) and re.fullmatch(pattern, value), must, make)


def _integer(least: int, most: int) -> Check:
    # bool is an int
    return _scalar(lambda value: type(value) is int and least <= value <= most, f"must be from {least} to {most}")


def _url(*, root: bool = False, http_to: Container[str] = _LOOPBACK) -> Check:
    """Parses an https URL; `root`: without a path. http is valid only for these hosts."""
    must = f"must be https://HOST[:PORT]{'' if root else '/PATH'} without user, query or fragment"
    if http_to != ():
        must += "; http only to this machine"

    def is_valid(value: object) -> bool:
        if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]{1,2000}", value) or set(value) & set("@?#"):
            return False
        try:
            parts = urlsplit(value)
            has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            return False
        is_secure = parts.scheme == "https" or parts.netloc in http_to or parts.hostname in http_to
        return has_host and is_secure and (not root or parts.path in {"", "/"})

    return _scalar(is_valid, must, lambda value: value.rstrip("/") if root else value)


_FILE = _text(r"/[^\0]{1,4095}", "/var/run/secrets/token", make=Path)
_FEDERATION = _object(
    WorkloadIdentityFederation,
    token_file=_FILE,
    sts_audience=_text(_VISIBLE, "//iam.googleapis.com/..."),
    # It becomes part of a URL's path, so its alphabet is closed.
    service_account=_text(
        r"[a-z0-9.-]{1,128}@[a-z0-9.-]{1,128}\.gserviceaccount\.com", "csr-exporter@p.iam.gserviceaccount.com"
    ),
    sts_url=_url(root=True),
    iam_credentials_url=_url(root=True),
)
_SIGNER = _object(
    Signer,
    # The API server's own rule for signerNames is stricter.
    signer_name=_text(r"[a-z0-9.-]{1,253}/[A-Za-z0-9._-]{1,512}", "example.com/calico"),
    stages=_list(_choice({each.value: each for each in Stage}), make=frozenset, key=lambda stage: stage.value),
)
_DOCUMENT = _object(
    Configuration,
    source=_text(_VISIBLE, "//container.googleapis.com/..."),
    signers=_list(_SIGNER, make=tuple, key=lambda signer: signer.signer_name),
    function=_object(Function, url=_url(), audience=_text(_VISIBLE, "https://...")),
    identity=_tagged(
        workload_identity_federation=_FEDERATION,
        # It has no TLS, so that the exporter asks only its own name, or a double on this machine.
        metadata_server=_object(
            MetadataServer, url=_url(root=True, http_to={*_LOOPBACK, urlsplit(METADATA_URL).netloc})
        ),
        unsafe_none=_object(UnsafeNone),
    ),
    api_server=_object(ApiServer, server=_url(http_to=()), certificate_authority=_FILE, token_file=_FILE),
    health=_object(Health, address=_text(r"[0-9a-f.:]{2,45}", "127.0.0.1"), port=_integer(0, 65535)),
    replicas=_object(Replicas, count=_integer(1, 9), delay_seconds=_integer(1, 300)),
    rate_limit=_object(RateLimit, burst=_integer(1, 10_000), seconds=_integer(1, 3600)),
)


def _ordinal(environment: Mapping[str, str]) -> int:
    """Returns which replica this is. The host name does not say: on the host's network it is the node's."""
    index, name = environment.get("POD_INDEX", ""), environment.get("POD_NAME", "")
    ordinal = re.fullmatch(r"[0-9]{1,4}", index) if index else re.search(r"(?<=-)[0-9]{1,4}\Z", name)
    if ordinal is not None:
        return int(ordinal[0])
    found = f"POD_INDEX is {_quoted(index)} and POD_NAME is {_quoted(name)}"
    must = "set POD_INDEX to the index of the StatefulSet's pod, or POD_NAME to NAME-INDEX"
    raise ConfigurationError([f"replicas.count: Forbidden: more than 1, and {found}: {must}"])


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"Duplicate key: {_quoted(next(key for key in keys if keys.count(key) > 1))}")
    return content
