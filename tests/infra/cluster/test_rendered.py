"""The manifests as kustomize renders them: who may do what, and that every file says the same names."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from csr_exporter import configuration
from tests.infra.cluster.manifests import FUNCTION_OF_SITE, SECRET

Documents = list[dict[str, Any]]

pytestmark = pytest.mark.real  # kustomize comes with the control plane's kubectl

FUNCTION = "User csr-access-demo@example-project.iam.gserviceaccount.com"
EXPORTER = "ServiceAccount kms-csr-signer/csr-exporter"
RENEWAL = "ServiceAccount kms-csr-signer-renewal/csr-renewal"
KEY_PAIRS = "ServiceAccount kms-csr-signer-key-pairs/csr-key-pairs"
COMPONENTS = [f"ServiceAccount calico-system/{name}" for name in ("goldmane", "guardian", "whisker")]
"""The components for which the CronJob csr-key-pairs asks, with their tokens."""
_KEY_PAIRS = ("key-pairs", "key-pairs-csrs", "key-pairs-tokens")
OPTIONAL = (RENEWAL, KEY_PAIRS, *COMPONENTS)
PARTS = ("renewal", "key-pairs")
SIGNER_NAME = "csr-signer.example.com/calico"
SECRETS_OF_CALICO = "guardian-key-pair, whisker-backend-key-pair"
FOLDERS = ["demo", "databases", "site", "pod"]
ON_THE_HOST = ["demo", "site"]


def of_kind(documents: Documents, *kinds: str) -> Documents:
    """The documents of the kinds."""
    return [each for each in documents if each["kind"] in kinds]


def only(documents: Documents, kind: str, *, part: str = "") -> dict[str, Any]:
    """The single document of a kind in one part of the folder."""
    (document,) = (each for each in of_kind(documents, kind) if part_of(each) == part)
    return document


def part_of(document: dict[str, Any]) -> str:
    """The optional part of the folder that a document belongs to; empty for none."""
    metadata = document["metadata"]
    component: str = metadata["labels"].get("app.kubernetes.io/component", "")
    ends = (part for part in PARTS if component == part or metadata["name"].endswith(f"-{part}"))
    return next(ends, "")


def grants(documents: Documents) -> Iterator[tuple[str, str, str]]:
    """Each right that the bindings give: subject, where, `verb group/resource[names]`."""
    roles = {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each["rules"]
        for each in of_kind(documents, "Role", "ClusterRole")
    }
    for binding in of_kind(documents, "RoleBinding", "ClusterRoleBinding"):
        namespace = binding["metadata"].get("namespace")
        reference = binding["roleRef"]
        role_namespace = namespace if reference["kind"] == "Role" else None
        for rule in roles[reference["kind"], role_namespace, reference["name"]]:
            for right in rights(rule):
                for subject in binding["subjects"]:
                    path = f"{subject['namespace']}/" if "namespace" in subject else ""
                    yield f"{subject['kind']} {path}{subject['name']}", namespace or "everywhere", right


def rights(rule: dict[str, Any]) -> Iterable[str]:
    """The rights of one rule as text."""
    assert rule.keys() <= {"apiGroups", "resources", "resourceNames", "verbs"}
    names = f"[{', '.join(rule['resourceNames'])}]" if "resourceNames" in rule else ""
    return [
        f"{verb} {group}/{resource}{names}"
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]


def test_rights_are_exactly_these(render: Callable[[str], Documents]) -> None:
    """The inventory of all rights that the manifests give: a right that is added must be added here too."""
    assert sorted(grants(render("demo"))) == sorted(
        [
            (FUNCTION, "everywhere", "get certificates.k8s.io/certificatesigningrequests"),
            (FUNCTION, "everywhere", "patch certificates.k8s.io/certificatesigningrequests/status"),
            (FUNCTION, "everywhere", "patch certificates.k8s.io/certificatesigningrequests/approval"),
            (FUNCTION, "everywhere", f"sign certificates.k8s.io/signers[{SIGNER_NAME}]"),
            (FUNCTION, "everywhere", f"approve certificates.k8s.io/signers[{SIGNER_NAME}]"),
            (FUNCTION, "calico-system", "get /pods"),
            (FUNCTION, "calico-system", "create /events"),
            (FUNCTION, "default", "create /events"),
            (EXPORTER, "everywhere", "list certificates.k8s.io/certificatesigningrequests"),
            (EXPORTER, "everywhere", "watch certificates.k8s.io/certificatesigningrequests"),
            (RENEWAL, "everywhere", "list certificates.k8s.io/certificatesigningrequests"),
            (RENEWAL, "calico-system", "list /pods"),
            (RENEWAL, "calico-system", "create /pods/eviction"),
            (RENEWAL, "calico-system", "get apps/daemonsets"),
            (RENEWAL, "calico-system", "get apps/replicasets"),
            (RENEWAL, "calico-system", "get apps/statefulsets"),
            (KEY_PAIRS, "everywhere", "get operator.tigera.io/installations[default]"),
            (KEY_PAIRS, "everywhere", "get certificates.k8s.io/certificatesigningrequests"),
            (KEY_PAIRS, "calico-system", "list /pods"),
            (KEY_PAIRS, "calico-system", "create /serviceaccounts/token[goldmane, guardian, whisker]"),
            *((KEY_PAIRS, "calico-system", f"{verb} /secrets[{SECRETS_OF_CALICO}]") for verb in ("get", "update")),
            *((KEY_PAIRS, "tigera-operator", f"{verb} /secrets[goldmane-key-pair]") for verb in ("get", "update")),
            *((KEY_PAIRS, namespace, "create /secrets") for namespace in ("calico-system", "tigera-operator")),
            *(
                (component, "everywhere", f"{verb} certificates.k8s.io/certificatesigningrequests")
                for component in COMPONENTS
                for verb in ("create", "delete")
            ),
        ]
    )


def test_host_addresses_need_one_right_more(render: Callable[[str], Documents]) -> None:
    """Nodes are read by name, and only if a profile certifies addresses of the host."""
    assert [each for each in grants(render("databases")) if "/nodes" in each[2]] == [
        ("User csr-access-databases@example-project.iam.gserviceaccount.com", "everywhere", "get /nodes")
    ]


def test_older_calico_adds_one_namespace(render: Callable[[str], Documents]) -> None:
    """The profile of older releases gives the same rights in calico-apiserver as in calico-system, no others."""
    site, demo = (
        {(where, right) for subject, where, right in grants(render(folder)) if subject not in OPTIONAL}
        for folder in ("site", "demo")
    )
    assert site - demo == {("calico-apiserver", right) for right in ("get /pods", "create /events")}
    assert demo < site


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_wildcards(render: Callable[[str], Documents], folder: str) -> None:
    """No rule has a wildcard; every rule about signers names them whole; no binding uses a role from elsewhere."""
    documents = render(folder)
    for document in of_kind(documents, "Role", "ClusterRole"):
        assert "aggregationRule" not in document
        for rule in document["rules"]:
            texts = [text for values in rule.values() for text in values]
            assert not [text for text in texts if "*" in text]
            if "signers" in rule["resources"]:
                assert rule["resources"] == ["signers"]
                assert rule["resourceNames"]
    assert len(list(grants(documents))) >= len(of_kind(documents, "RoleBinding", "ClusterRoleBinding"))


def test_another_cluster_has_no_name_of_the_example(render: Callable[[str], Documents]) -> None:
    """Outside GKE, the function's user is in every binding, and the provider in the token and the configuration."""
    documents = render("site")
    assert {subject for subject, _, _ in grants(documents)} == {f"User {FUNCTION_OF_SITE}", EXPORTER}
    assert "csr-access-" not in str(documents)
    assert "svc.id.goog" not in str(documents)


@pytest.mark.parametrize("folder", FOLDERS)
def test_exporter_reads_its_configuration(render: Callable[[str], Documents], folder: str) -> None:
    """The exporter's own loader accepts the mounted document; names, ports and numbers in it are the manifests'."""
    documents = render(folder)
    stateful_set = only(documents, "StatefulSet")["spec"]
    (container,) = stateful_set["template"]["spec"]["containers"]
    loaded = load(documents)
    named = {right.split("[")[1].rstrip("]") for _, _, right in grants(documents) if "/signers[" in right}
    assert {signer.signer_name for signer in loaded.signers} == named
    assert loaded.replicas.count == stateful_set["replicas"]
    on_host = stateful_set["template"]["spec"].get("hostNetwork", False)
    host = {"host": loaded.health.address} if on_host else {}
    assert container["readinessProbe"]["httpGet"] == {**host, "port": loaded.health.port, "path": "/readyz"}
    assert "livenessProbe" not in container  # whoever fills or takes the port must not restart the exporter
    assert loaded.health.address == ("127.0.0.1" if on_host else "0.0.0.0")  # noqa: S104 - the pod's own network
    assert loaded.health.port not in {5473, 9091, 9094, 9098, 9099}


def load(documents: Documents) -> configuration.Configuration:
    """The mounted document, as the exporter's second replica reads it."""
    pod = only(documents, "StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    config_map = only(documents, "ConfigMap")
    ((name, text),) = config_map["data"].items()
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["configuration"]["configMap"]["name"] == config_map["metadata"]["name"]
    environment = {each["name"]: each.get("value", "") for each in container["env"]}
    assert environment[configuration.VARIABLE] == f"{mounts(container)['configuration']}/{name}"
    # What the kubelet adds to the environment of every pod, and the downward API's values.
    environment |= {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    environment |= {"POD_NAME": "csr-exporter-1", "POD_INDEX": "1"}
    return configuration.parse(text, environment)


def mounts(container: dict[str, Any]) -> dict[str, str]:
    """Where volumes are mounted, by their names."""
    return {each["name"]: each["mountPath"] for each in container["volumeMounts"]}


@pytest.mark.parametrize("folder", ON_THE_HOST)
def test_the_token_is_where_the_exporter_looks_for_it(render: Callable[[str], Documents], folder: str) -> None:
    """The projected token's path and audience are the document's."""
    documents = render(folder)
    pod = only(documents, "StatefulSet")["spec"]["template"]["spec"]
    (source,) = {each["name"]: each for each in pod["volumes"]}["google-token"]["projected"]["sources"]
    token = source["serviceAccountToken"]
    identity = load(documents).identity
    assert isinstance(identity, configuration.WorkloadIdentityFederation)
    assert str(identity.token_file) == f"{mounts(pod['containers'][0])['google-token']}/{token['path']}"
    # On GKE the pool is a part of the STS audience, elsewhere both are the same.
    assert token["audience"] in identity.sts_audience


@pytest.mark.parametrize("folder", ["databases", "pod"])
def test_on_the_pod_network_nothing_is_the_hosts(render: Callable[[str], Documents], folder: str) -> None:
    """No host network, the metadata server's identity, no projected token, `restricted`, and a policy that fits."""
    documents = render(folder)
    pod = only(documents, "StatefulSet")["spec"]["template"]["spec"]
    assert "hostNetwork" not in pod
    assert "dnsPolicy" not in pod
    assert [each["key"] for each in pod["tolerations"]] == ["node.kubernetes.io/unreachable"]
    assert [each["name"] for each in pod["volumes"]] == ["configuration"]
    assert isinstance(load(documents).identity, configuration.MetadataServer)
    assert "iam.gke.io/gcp-service-account" in only(documents, "ServiceAccount")["metadata"]["annotations"]
    labels = only(documents, "Namespace")["metadata"]["labels"]
    assert {value for key, value in labels.items() if key.startswith("pod-security")} == {"restricted"}
    policy = only(documents, "NetworkPolicy")["spec"]
    assert policy["podSelector"] == only(documents, "StatefulSet")["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == []
    assert not of_kind(render("demo"), "NetworkPolicy")


@pytest.mark.parametrize("folder", ["scraped", "scraped pod"])
def test_other_hosts_reach_the_metrics_alone(render: Callable[[str], Documents], folder: str) -> None:
    """With certificates of the Secret, which is mounted where the exporter looks for it and may appear later."""
    documents = render(folder)
    metrics = load(documents).metrics
    assert metrics is not None
    assert (metrics.address, metrics.port) == ("0.0.0.0", 9877)  # noqa: S104 - what the operator chose
    pod = only(documents, "StatefulSet")["spec"]["template"]["spec"]
    folder_of_files = mounts(pod["containers"][0])["metrics-tls"]
    assert metrics.tls is not None
    files = (metrics.tls.certificate, metrics.tls.key, metrics.tls.client_ca)
    assert [str(file) for file in files] == [f"{folder_of_files}/{name}" for name in ("tls.crt", "tls.key", "ca.crt")]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "metrics-tls"]
    assert volume["secret"] == {"secretName": SECRET, "optional": True}
    if pod.get("hostNetwork"):
        assert "ports" not in pod["containers"][0]
        return
    assert {"name": "metrics", "containerPort": 9877} in pod["containers"][0]["ports"]
    (ingress,) = only(documents, "NetworkPolicy")["spec"]["ingress"]
    assert ingress["ports"] == [{"port": 9877}]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_policy_is_in_force(render: Callable[[str], Documents], folder: str) -> None:
    """Each has a binding that denies, and refuses what it cannot judge; they name whom the RBAC names."""
    documents = render(folder)
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(documents, "ValidatingAdmissionPolicy")}
    rules = ["create", "decide", "delete", "events", "exporter-pods", "function"]
    rules += _KEY_PAIRS if folder == "demo" else ()
    assert sorted(policies) == [f"kms-csr-signer-{rule}" for rule in rules]
    assert {policy["failurePolicy"] for policy in policies.values()} == {"Fail"}
    bindings = [each["spec"] for each in of_kind(documents, "ValidatingAdmissionPolicyBinding")]
    assert bindings == [{"policyName": name, "validationActions": ["Deny"]} for name in policies]
    (user,) = {name for kind, _, name in (each[0].partition(" ") for each in grants(documents)) if kind == "User"}
    assert f'"{user}"' in str(policies["kms-csr-signer-function"])
    for signer in load(documents).signers:
        assert f'"{signer.signer_name}"' in str(policies["kms-csr-signer-create"])


def test_exporter_runs_before_the_network(render: Callable[[str], Documents]) -> None:
    """The exporter needs no pod network, no cluster DNS and no ready node, and no node has two of it."""
    stateful_set = only(render("demo"), "StatefulSet")
    pod = stateful_set["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert pod["dnsPolicy"] == "Default"
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert pod["tolerations"] == [
        {"operator": "Exists", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
        {
            "key": "node.kubernetes.io/unreachable",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 60,
        },
    ]
    labels = stateful_set["spec"]["template"]["metadata"]["labels"]
    (term,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    for selector in (term["labelSelector"], stateful_set["spec"]["selector"]):
        assert selector["matchLabels"].items() <= labels.items()
    assert term["topologyKey"] == "kubernetes.io/hostname"
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
    assert pod["containers"][0]["envFrom"] == [
        {"configMapRef": {"name": "kubernetes-services-endpoint", "optional": True}}
    ]


def test_only_the_exporter_gets_a_token(render: Callable[[str], Documents]) -> None:
    """The service account hands out no token by itself; the exporter's pod template asks for it."""
    documents = render("demo")
    assert only(documents, "ServiceAccount")["automountServiceAccountToken"] is False
    assert only(documents, "StatefulSet")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_budget_selects_the_exporter(render: Callable[[str], Documents]) -> None:
    """The disruption budget is the exporter's, and leaves one of the two replicas running."""
    documents = render("demo")
    budget = only(documents, "PodDisruptionBudget")["spec"]
    stateful_set = only(documents, "StatefulSet")["spec"]
    assert budget["selector"] == stateful_set["selector"]
    assert (stateful_set["replicas"], budget["maxUnavailable"]) == (2, 1)


def test_renewal_is_restricted_and_never_twice_at_once(render: Callable[[str], Documents]) -> None:
    """Its namespace enforces `restricted`; two runs could evict two pods of a DaemonSet at once; a stop is final."""
    documents = render("demo")
    labels = only(documents, "Namespace", part="renewal")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert only(documents, "ServiceAccount", part="renewal")["automountServiceAccountToken"] is False
    cron_job = only(documents, "CronJob", part="renewal")["spec"]
    assert cron_job["concurrencyPolicy"] == "Forbid"
    assert cron_job["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = cron_job["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["containers"][0]["args"] == [
        "renew",
        "--log-format=json",
        "--requesters",
        SIGNER_NAME,
        "365d",
        "calico-system/calico-apiserver,calico-system/calico-node,calico-system/calico-typha",
    ]


def test_key_pairs_are_restricted_and_never_twice_at_once(render: Callable[[str], Documents]) -> None:
    """Two runs would delete each other's CSRs. The policy names exactly the Secrets that RBAC names."""
    documents = render("demo")
    labels = only(documents, "Namespace", part="key-pairs")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    cron_job = only(documents, "CronJob", part="key-pairs")["spec"]
    assert cron_job["concurrencyPolicy"] == "Forbid"
    pod = cron_job["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == [
        "key-pairs",
        "--log-format=json",
        *("--signer", SIGNER_NAME),
        *("--release", "3.31"),
        *("--cluster-domain", "cluster.local"),
    ]
    (policy,) = (
        each["spec"]
        for each in of_kind(documents, "ValidatingAdmissionPolicy")
        if each["metadata"]["name"] == "kms-csr-signer-key-pairs"
    )
    assert policy["matchConditions"][0]["expression"].endswith(
        '"system:serviceaccount:kms-csr-signer-key-pairs:csr-key-pairs"'
    )
    names = [f"calico-system/{name}" for name in SECRETS_OF_CALICO.split(", ")]
    listed = json.dumps([*names, "tigera-operator/goldmane-key-pair"])
    assert policy["validations"][0]["expression"].replace("\n", " ").endswith(f" in {listed}")


def test_without_an_image_there_is_no_renewal(render: Callable[[str], Documents]) -> None:
    """The operator asks for it with --renewal-image."""
    assert not [each for each in render("site") if part_of(each)]
