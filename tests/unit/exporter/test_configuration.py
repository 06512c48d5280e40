"""The configuration document: what is accepted, and what each mistake is told."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from csr_exporter import configuration
from csr_exporter.configuration import (
    ApiServer,
    Function,
    Health,
    MetadataServer,
    MetricsEndpoint,
    Signer,
    Tls,
    UnsafeNone,
    WorkloadIdentityFederation,
)
from csr_exporter.csr import Stage
from csr_exporter.document import ConfigurationError
from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.replicas import Replicas
from tests.unit.exporter.support import SIGNER, SOURCE

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
FEDERATION = {
    "kind": "workload_identity_federation",
    "token_file": "/var/run/secrets/csr-exporter/token",
    "sts_audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/w/providers/c",
    "service_account": "csr-exporter@example-project.iam.gserviceaccount.com",
}
MINIMAL: dict[str, Any] = {
    "source": SOURCE,
    "signers": [{"signer_name": SIGNER, "stages": ["pending", "approved"]}],
    "function": {"url": "https://csr-signer-x.a.run.app/", "audience": "https://csr-signer-x.a.run.app"},
    "identity": FEDERATION,
}


def _changed(path: str, value: object) -> dict[str, Any]:
    document = copy.deepcopy(MINIMAL)
    *parents, last = path.split(".")
    here: Any = document
    for each in parents:
        here = here[int(each)] if each.isdigit() else here.setdefault(each, {})
    if value is None:
        del here[last]
    else:
        here[last] = value
    return document


def _errors(document: object, environment: dict[str, str] | None = None) -> list[str]:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(ConfigurationError) as raised:
        configuration.parse(text, POD if environment is None else environment)
    return raised.value.errors


def test_the_least_that_must_be_said() -> None:
    """In a pod, everything else has a default."""
    read = configuration.parse(json.dumps(MINIMAL), POD)
    assert read.source == SOURCE
    assert read.signers == (Signer(signer_name=SIGNER, stages=frozenset(Stage)),)
    assert read.function == Function(**MINIMAL["function"])
    assert read.identity == WorkloadIdentityFederation(
        token_file=Path(FEDERATION["token_file"]),
        sts_audience=FEDERATION["sts_audience"],
        service_account=FEDERATION["service_account"],
    )
    assert isinstance(read.identity, WorkloadIdentityFederation)
    assert (read.identity.sts_url, read.identity.iam_credentials_url) == (
        "https://sts.googleapis.com",
        "https://iamcredentials.googleapis.com",
    )
    assert read.health == Health(address="127.0.0.1", port=9863)
    assert read.metrics is None
    assert (read.replicas, read.rate_limit) == (Replicas(count=1, ordinal=0), RateLimit(burst=6, seconds=30))
    mounted = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    assert read.api_server == ApiServer(
        server="https://10.0.0.1:443", certificate_authority=mounted / "ca.crt", token_file=mounted / "token"
    )


def test_everything_can_be_said() -> None:
    """Each field that is given is what is used; IPv6 works for a pod's API server."""
    document = _changed("health", {"address": "::1", "port": 0})
    tls = {"certificate": "/tls/tls.crt", "key": "/tls/tls.key", "client_ca": "/tls/ca.crt"}
    document["metrics"] = {"address": "::", "port": 9877, "tls": tls}
    document["identity"] |= {"unsafe_sts_url": "http://127.0.0.1:1", "unsafe_iam_credentials_url": "http://[::1]:2"}
    document["signers"].append({"signer_name": "example.com/other", "stages": ["approved"]})
    read = configuration.parse(json.dumps(document), POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert isinstance(read.identity, WorkloadIdentityFederation)
    assert (read.identity.sts_url, read.identity.iam_credentials_url) == (
        "http://127.0.0.1:1",
        "http://[::1]:2",
    )
    assert read.health == Health(address="::1", port=0)
    files = Tls(**{name: Path(path) for name, path in tls.items()})
    assert read.metrics == MetricsEndpoint(address="::", port=9877, tls=files)
    assert read.api_server.server == "https://[fd00::1]:443"
    assert read.signers[1] == Signer(signer_name="example.com/other", stages=frozenset({Stage.APPROVED}))


def test_outside_a_pod_the_api_server_is_named() -> None:
    """Then the environment is not asked."""
    given = {"server": "https://10.1.1.1:6443/k8s/c-1", "certificate_authority": "/ca.pem", "token_file": "/token"}
    read = configuration.parse(json.dumps(_changed("api_server", given)), {})
    assert read.api_server == ApiServer(
        server=given["server"], certificate_authority=Path("/ca.pem"), token_file=Path("/token")
    )


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"kind": "metadata_server"}, MetadataServer(url="http://metadata.google.internal")),
        ({"kind": "metadata_server", "url": "http://127.0.0.1:80"}, MetadataServer(url="http://127.0.0.1:80")),
        ({"kind": "unsafe_none"}, UnsafeNone()),
    ],
)
def test_other_identities(identity: dict[str, str], expected: object) -> None:
    """The metadata server, and for a function on this machine none at all."""
    document = _changed("identity", identity)
    document["function"]["url"] = "http://localhost:8080/"
    assert configuration.parse(json.dumps(document), POD).identity == expected


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("", "the document is not JSON"),
        ("[" * 100_000, "the document is not JSON"),
        ("[]", "the document: Invalid value: []: must be an object"),
        ('{"source": "a", "source": "b"}', 'Duplicate key: "source"'),
        (_changed("source", None), "source: Required value"),
        (_changed("source", "two words"), 'source: Invalid value: "two words": must match'),
        (
            _changed("sauce", "x"),
            "sauce: Forbidden: unknown field: must be one of api_server, function, health, identity",
        ),
        (_changed("signers", None), "signers: Required value"),
        (_changed("signers", []), "signers: Invalid value: []: must be a list with at least one item"),
        (_changed("signers", [5]), "signers[0]: Invalid value: 5: must be an object"),
        (_changed("signers", MINIMAL["signers"] * 2), f'signers: Duplicate value: "{SIGNER}"'),
        (_changed("signers.0.signer_name", "calico"), 'signers[0].signer_name: Invalid value: "calico"'),
        (
            _changed("signers.0.signer_name", "example.com/a,b=c"),
            'signers[0].signer_name: Invalid value: "example.com/a,b=c"',
        ),
        (
            _changed("signers.0.stages", []),
            "signers[0].stages: Invalid value: []: must be a list with at least one item",
        ),
        (
            _changed("signers.0.stages", ["denied"]),
            'signers[0].stages[0]: Unsupported value: "denied": supported values: "pending", "approved"',
        ),
        (_changed("signers.0.stages", ["pending", "pending"]), 'signers[0].stages: Duplicate value: "pending"'),
        (_changed("signers.0.profile", "calico"), "signers[0].profile: Forbidden: unknown field"),
        (_changed("function", None), "function: Required value"),
        (_changed("function", "https://x"), 'function: Invalid value: "https://x": must be an object'),
        (
            _changed("function.url", "http://x.example.com/"),
            'function.url: Invalid value: "http://x.example.com/": must be https',
        ),
        (
            _changed("function.url", "https://user@x.example.com/"),
            'function.url: Invalid value: "https://user@x.example.com/"',
        ),
        (
            _changed("function.url", "https://x.example.com/?a=b"),
            'function.url: Invalid value: "https://x.example.com/?a=b"',
        ),
        (
            _changed("function.url", "https://x.example.com:99999/"),
            'function.url: Invalid value: "https://x.example.com:99999/"',
        ),
        (_changed("function.url", "ftp://x.example.com/"), 'function.url: Invalid value: "ftp://x.example.com/"'),
        (_changed("function.audience", ""), 'function.audience: Invalid value: ""'),
        (_changed("identity", None), "identity: Required value"),
        (_changed("identity", []), "identity: Invalid value: []: must be an object"),
        (
            _changed("identity.kind", "key_file"),
            'identity.kind: Unsupported value: "key_file": supported values: "workload_identity',
        ),
        (_changed("metrics", 9877), "metrics: Invalid value: 9877: must be an object"),
        (_changed("metrics", {"port": 9877}), "metrics.address: Required value"),
        (_changed("metrics", {"address": "::"}), "metrics.port: Required value"),
        (_changed("metrics.tls", {"certificate": "/a", "client_ca": "b"}), "metrics.tls.key: Required value"),
        (_changed("metrics.tls.client_ca", "ca.crt"), 'metrics.tls.client_ca: Invalid value: "ca.crt"'),
        (_changed("identity.token_file", "token"), 'identity.token_file: Invalid value: "token"'),
        (
            _changed("identity.service_account", "a/../b@c.com"),
            'identity.service_account: Invalid value: "a/../b@c.com"',
        ),
        (_changed("identity.sts_url", "https://sts.example.com"), "identity.sts_url: Forbidden: unknown field"),
        (
            _changed("identity.unsafe_sts_url", "https://sts.example.com"),
            'identity.unsafe_sts_url: Invalid value: "https://sts.example.com"',
        ),
        (
            _changed("identity.unsafe_iam_credentials_url", "http://127.0.0.1@example.com"),
            'identity.unsafe_iam_credentials_url: Invalid value: "http://127.0.0.1@example.com"',
        ),
        (
            _changed("identity", {"kind": "unsafe_none"}),
            'identity.kind: Forbidden: "unsafe_none" needs a function.url on this machine',
        ),
        (
            _changed("identity", {"kind": "metadata_server", "url": "http://10.0.0.1"}),
            'identity.url: Invalid value: "http://10.0.0.1"',
        ),
        (_changed("health.port", 65536), "health.port: Invalid value: 65536: must be from 0 to 65535"),
        (_changed("health", {"port": True}), "health.port: Invalid value: true"),
        (_changed("health.address", "example.com"), 'health.address: Invalid value: "example.com"'),
        (
            _changed("api_server.server", "http://127.0.0.1:80"),
            'api_server.server: Invalid value: "http://127.0.0.1:80"',
        ),
        (_changed("api_server.token_file", "/t"), "api_server.certificate_authority: Required value"),
        (_changed("replicas", 2), "replicas: Invalid value: 2: must be an object"),
        (_changed("replicas", {"count": 0}), "replicas.count: Invalid value: 0: must be from 1 to 9"),
        (_changed("replicas", {"count": 2}), 'replicas.count: Forbidden: more than 1, and POD_INDEX is ""'),
        (_changed("replicas", {"delay_seconds": 0.5}), "replicas.delay_seconds: Invalid value: 0.5"),
        (
            _changed("replicas", {"ordinal": 1}),
            "replicas.ordinal: Forbidden: unknown field: must be one of count, delay_seconds",
        ),
        (_changed("rate_limit", {"burst": 0}), "rate_limit.burst: Invalid value: 0: must be from 1 to 10000"),
        (
            _changed("rate_limit", {"seconds": "30"}),
            'rate_limit.seconds: Invalid value: "30": must be from 1 to 3600',
        ),
        (
            _changed("rate_limit", {"rate": 1}),
            "rate_limit.rate: Forbidden: unknown field: must be one of burst, seconds",
        ),
        (_changed("source", "x" * 100_000), 'source: Invalid value: "xxx'),
    ],
)
def test_a_mistake_is_named(document: object, error: str) -> None:
    """The error has the path, what was found and what is allowed, and is short."""
    errors = _errors(document)
    assert any(each.startswith(error) or error in each for each in errors), errors
    assert all(len(each) < 400 for each in errors)


@pytest.mark.parametrize(
    ("environment", "ordinal"),
    [
        ({"POD_INDEX": "1"}, 1),
        ({"POD_NAME": "csr-exporter-1"}, 1),
        ({"POD_NAME": "csr-exporter-12"}, 12),
        ({"POD_INDEX": "0", "POD_NAME": "csr-exporter-1"}, 0),
        ({"POD_INDEX": "", "POD_NAME": "csr-exporter-0"}, 0),
    ],
)
def test_which_replica_this_is(environment: dict[str, str], ordinal: int) -> None:
    """The pod's index in its StatefulSet, which the downward API tells, directly or as the end of its name."""
    document = _changed("replicas", {"count": 2, "delay_seconds": 20})
    read = configuration.parse(json.dumps(document), POD | environment)
    assert read.replicas == Replicas(count=2, ordinal=ordinal, delay_seconds=20)


@pytest.mark.parametrize(
    "environment",
    [{}, {"POD_INDEX": "one"}, {"POD_INDEX": "-1"}, {"POD_NAME": "csr-exporter-x7k2p"}, {"POD_NAME": "node7"}],
)
def test_replicas_that_do_not_know_which_they_are(environment: dict[str, str]) -> None:
    """They do not start: all would take themselves for the same one. The host's name is never asked."""
    errors = _errors(_changed("replicas", {"count": 2}), POD | environment)
    assert [each.split(":")[0] for each in errors] == ["replicas.count"]


def test_a_single_replica_needs_no_index() -> None:
    """Nor is one looked at."""
    read = configuration.parse(json.dumps(_changed("replicas", {"count": 1})), POD | {"POD_INDEX": "x"})
    assert read.replicas == Replicas()


def test_the_rate_limit() -> None:
    """Both numbers, or one of them."""
    for given, expected in (
        ({"burst": 20, "seconds": 5}, RateLimit(burst=20, seconds=5)),
        ({"burst": 7}, RateLimit(burst=7)),
    ):
        assert configuration.parse(json.dumps(_changed("rate_limit", given)), POD).rate_limit == expected


def test_all_mistakes_are_named_together() -> None:
    """One reading finds all of them."""
    document = _changed("source", None)
    document["identity"] |= {"token_file": 7, "sts_audience": "", "service_account": "me"}
    document["extra"] = {}
    assert [each.split(":")[0] for each in _errors(document)] == [
        "source",
        "identity.token_file",
        "identity.sts_audience",
        "identity.service_account",
        "extra",
    ]


def test_outside_a_pod_without_api_server() -> None:
    """It says what was looked for."""
    assert _errors(MINIMAL, {}) == ["api_server: Required value"]


def test_load_follows_the_environment(tmp_path: Path) -> None:
    """The variable names the file; that it is missing or cannot be read is said with its name."""
    file = tmp_path / "exporter.json"
    with pytest.raises(ConfigurationError, match="CSR_EXPORTER_CONFIGURATION: Required value"):
        configuration.load({})
    with pytest.raises(ConfigurationError, match=r"cannot read .*exporter\.json"):
        configuration.load({"CSR_EXPORTER_CONFIGURATION": str(file)})
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"cannot read .*exporter\.json"):
        configuration.load({"CSR_EXPORTER_CONFIGURATION": str(file)})
    file.write_text(json.dumps(MINIMAL))
    assert configuration.load({"CSR_EXPORTER_CONFIGURATION": str(file), **POD}).source == SOURCE
