"""The configuration document: good values, or an error that names the key, what was got and what is allowed."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509 import verification

from csr_signer.configuration.loader import load
from csr_signer.configuration.schema import GoogleAccessToken, GoogleIdToken
from csr_signer.errors import ConfigurationError
from csr_signer.policy import profile
from csr_signer.policy.decision import Permit
from csr_signer.violation import quote
from tests.unit.function.builders import (
    KEY_VERSION,
    NOW,
    POD,
    SIGNER_NAME,
    authority,
    ec_key,
    issued,
    judge,
    make_authority,
)

SOURCE = "//container.googleapis.com/projects/p/locations/l/clusters/demo"
ACCESS = "csr-access-demo@example-project.iam.gserviceaccount.com"
OTHER_VERSION = KEY_VERSION.replace("/k/", "/other/")
Change = Callable[[dict[str, Any]], object]


def document() -> dict[str, Any]:
    """A document with one cluster and one signer that is right."""
    return {
        "clusters": {
            "demo": {
                "source": SOURCE,
                "server": "https://10.0.0.1",
                "certificate_authority": "cluster-ca.pem",
                "authentication": {"google_id_token": {"audience": "https://demo.example.com"}},
            }
        },
        "signers": [
            {
                "cluster": "demo",
                "signer_name": SIGNER_NAME,
                "profile": {"name": "calico", "release": "3.31"},
                "issuer": {"key_version": KEY_VERSION, "certificate": "ca.pem", "trust_bundle": "ca.pem"},
            }
        ],
    }


def cluster(**changes: Any) -> Change:
    """Changes keys of the cluster; None removes one."""
    return lambda whole: _update(whole["clusters"]["demo"], changes)


def access_token(server: str | None, authority: str | None = "cluster-ca.pem", **options: Any) -> Change:
    """Makes the cluster one that gets a Google access token."""
    way = {"google_access_token": {"service_account": ACCESS} | options}
    return cluster(server=server, certificate_authority=authority, authentication=way)


def signer(**changes: Any) -> Change:
    """Changes keys of the signer."""
    return lambda whole: _update(whole["signers"][0], changes)


def issuer(**changes: Any) -> Change:
    """Changes keys of its issuer."""
    return lambda whole: _update(whole["signers"][0]["issuer"], changes)


def top(**changes: Any) -> Change:
    """Changes keys of the document."""
    return lambda whole: _update(whole, changes)


def _update(mapping: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            mapping.pop(key, None)
        else:
            mapping[key] = value


def second_cluster(*, shared: tuple[bool, bool] = (False, False), **changes: Any) -> Change:
    """Adds a cluster with a signer of its own key and CA, but for the changes to its issuer."""

    def change(whole: dict[str, Any]) -> None:
        whole["clusters"]["demo"]["shared_trust_domain"] = shared[0]
        whole["clusters"]["second"] = whole["clusters"]["demo"] | {
            "source": SOURCE + "-2",
            "shared_trust_domain": shared[1],
        }
        own = {"key_version": OTHER_VERSION, "certificate": "other-ca.pem", "trust_bundle": "other-ca.pem"}
        whole["signers"].append(whole["signers"][0] | {"cluster": "second", "issuer": own | changes})

    return change


def below_the_other_clusters_root(whole: dict[str, Any]) -> None:
    """Adds a cluster whose CA is below the root that the first one trusts; the document does not name it there."""
    second_cluster(certificate="below-root.pem", trust_bundle="below-root.pem")(whole)
    issuer(trust_bundle="root.pem", certificate="root-signed.pem")(whole)


def second_signer(**changes: Any) -> Change:
    """Adds a signer to the cluster that differs in its name, and in the changes."""
    other = {"signer_name": "csr-signer.example.com/other"} | changes
    return lambda whole: whole["signers"].append(whole["signers"][0] | other)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that documents name."""
    (tmp_path / "cluster-ca.pem").write_bytes(b"PEM")
    (tmp_path / "ca.pem").write_bytes(make_authority().pem)
    (tmp_path / "other-ca.pem").write_bytes(make_authority(common_name="Other", key=ec_key(number=51)).pem)
    root = make_authority(common_name="Root", key=ec_key(number=52), path_length=1)
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "below-root.pem").write_bytes(make_authority(key=ec_key(number=53), above=root).pem)
    (tmp_path / "root-signed.pem").write_bytes(make_authority(key=ec_key(number=54), above=root).pem)
    (tmp_path / "no-ca.pem").write_bytes(make_authority(ca=False).pem)
    (tmp_path / "garbage.pem").write_bytes(b"garbage")
    (tmp_path / "both.pem").write_bytes((tmp_path / "ca.pem").read_bytes() + (tmp_path / "other-ca.pem").read_bytes())
    return tmp_path


def written(folder: Path, *changes: Change) -> Path:
    """The document, changed, as a file."""
    whole = document()
    for change in changes:
        change(whole)
    path = folder / "configuration.yaml"
    path.write_text(yaml.dump(whole, Dumper=_Plain))
    return path


class _Plain(yaml.SafeDumper):
    """Without the anchors that the dumper makes of values that stand twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        return True


def test_a_document_is_a_configuration(folder: Path) -> None:
    """Files are read, the profile's rows are those of the release, and what is absent has its default."""
    settings = load(written(folder))
    made = settings.signers["demo", SIGNER_NAME]
    assert (made.cluster, made.cluster_domain, made.signer_name, made.approve) == (
        "demo",
        "cluster.local",
        SIGNER_NAME,
        True,
    )
    assert made.lifetime == made.profile.lifetime.maximum == timedelta(days=365)
    assert made.deferral_limit == timedelta(minutes=5)
    assert made.issuer.certificate == make_authority().certificate
    assert (made.issuer.key_version, made.issuer.protection_level) == (KEY_VERSION, "HSM")
    rows = [row.name for row in made.profile.components if not row.optional]
    assert rows == ["calico-node", "calico-typha", "calico-apiserver"]
    assert settings.clusters["demo"].certificate_authority == str(folder / "cluster-ca.pem")
    assert settings.clusters["demo"].invokers == ()
    assert (made.address_ranges, made.credential_id) == ((), True)
    assert (settings.kms.endpoint, settings.kms.unsafe_plaintext_endpoint) == (None, None)


def test_a_cluster_says_where_its_addresses_lie_and_what_its_tokens_say(folder: Path) -> None:
    """Ranges are networks of both families; the credential id is waived where the cluster is older than 1.32."""
    changes = cluster(address_ranges=["10.0.0.0/8", "fd00::/8"], credential_id="waived")
    made = load(written(folder, changes)).signers["demo", SIGNER_NAME]
    assert made.address_ranges == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert not made.credential_id


def test_a_signer_may_leave_namespaces_of_its_profile_out(folder: Path) -> None:
    """Only the named namespaces' service accounts are honoured; one that the release does not use is an error."""
    reference = {"name": "calico", "release": "3.30", "namespaces": ["calico-system"]}
    made = load(written(folder, signer(profile=reference))).signers["demo", SIGNER_NAME]
    assert made.profile.rows_of("calico-system", "calico-node")
    assert not made.profile.rows_of("calico-apiserver", "calico-apiserver")
    with pytest.raises(ConfigurationError, match=r"signers\[0\]: profile\.namespaces: Unsupported value: .tigera-dex."):
        load(written(folder, signer(profile=reference | {"namespaces": ["tigera-dex"]})))


def test_a_release_after_the_profiles_newest_is_a_warning(folder: Path) -> None:
    """The document stays valid, and the warning names the signer's field."""
    assert load(written(folder)).release_warnings == {}
    path = written(folder, signer(profile={"name": "calico", "release": "3.34"}))
    (warned,) = load(path).release_warnings.items()
    assert warned[0] == ("demo", SIGNER_NAME)
    assert warned[1].startswith('signers[0].profile.release: "3.34" is newer than "3.33"')


def test_everything_can_be_said(folder: Path) -> None:
    """Every key of the document reaches the value that it is about."""
    settings = load(
        written(
            folder,
            cluster(
                authentication={"google_id_token": {"audience": "a"}},
                cluster_domain="corp.example",
                invokers=["x@p.iam.gserviceaccount.com"],
                server="https://connectgateway.googleapis.com/v1/projects/1/locations/global/gkeMemberships/m",
                certificate_authority=None,
            ),
            signer(approve=False, lifetime="30d", deferral_limit="1m"),
            issuer(protection_level="SOFTWARE"),
            top(kms={"endpoint": "europe-west1-kms.p.googleapis.com"}),
        )
    )
    made = settings.signers["demo", SIGNER_NAME]
    assert (made.approve, made.lifetime, made.deferral_limit) == (False, timedelta(days=30), timedelta(minutes=1))
    assert (made.cluster_domain, made.issuer.protection_level) == ("corp.example", "SOFTWARE")
    assert settings.clusters["demo"].authentication.google_id_token == GoogleIdToken(audience="a")
    assert settings.clusters["demo"].certificate_authority is None
    assert settings.clusters["demo"].invokers == ("x@p.iam.gserviceaccount.com",)
    assert settings.kms.endpoint == "europe-west1-kms.p.googleapis.com"


def test_a_kubeconfig_names_server_and_ca(folder: Path) -> None:
    """For development; its path is relative to the document."""
    settings = load(
        written(
            folder,
            cluster(authentication={"kubeconfig": "k.yaml"}, server=None, certificate_authority=None),
            top(kms={"unsafe_plaintext_endpoint": "127.0.0.1:4711"}),
        )
    )
    assert settings.clusters["demo"].authentication.kubeconfig == str(folder / "k.yaml")
    assert settings.kms.unsafe_plaintext_endpoint == "127.0.0.1:4711"


@pytest.mark.parametrize(
    ("violation", "change"),
    [
        (r"^configuration\.yaml: colour: Forbidden: unknown key", top(colour="red")),
        (r"clusters\.demo\.colour: Forbidden: unknown key", cluster(colour="red")),
        (r"signers\[0\]\.colour: Forbidden: unknown key", signer(colour="red")),
        (r"signers\[0\]\.issuer\.colour: Forbidden: unknown key", issuer(colour="red")),
        (r"clusters: Required value", top(clusters=None)),
        (
            r"clusters: Too many: 17: must have at most 16 items: they share one process",
            lambda whole: whole["clusters"].update((f"c{n}", whole["clusters"]["demo"]) for n in range(16)),
        ),
        (r"signers: Required value", top(signers=None)),
        (r"clusters\.demo\.source: Invalid value: 5: must be a valid string", cluster(source=5)),
        (r'signers\[0\]\.approve: Invalid value: "yes": must be a valid boolean', signer(approve="yes")),
        (r"signers\[0\]\.lifetime: Invalid value: 30: must be a whole number with a unit .*", signer(lifetime=30)),
        (r'clusters\.demo\.invokers: Invalid value: "x@example.com": .*', cluster(invokers="x@example.com")),
        (
            r'protection_level: Unsupported value: "EXTERNAL": supported values: "SOFTWARE", "HSM", .*',
            issuer(protection_level="EXTERNAL"),
        ),
        (
            r"clusters\.demo\.authentication: Required value: must be one of google_access_token, google_id_token",
            cluster(authentication={}),
        ),
        (
            r'authentication: Invalid value: \["google_access_token", "google_id_token"\]: must be one',
            cluster(
                authentication={
                    "google_access_token": {"service_account": ACCESS},
                    "google_id_token": {"audience": "a"},
                }
            ),
        ),
        (
            r"clusters\.demo\.authentication\.google_access_token\.service_account: Required value",
            cluster(authentication={"google_access_token": {}}),
        ),
        (
            r"clusters\.demo\.authentication\.google_access_token\.scope: Forbidden: unknown key",
            access_token("https://10.0.0.1", scope="x"),
        ),
        *(
            (
                rf"google_access_token\.service_account: Invalid value: {re.escape(quote(account))}: must be NAME@PR",
                access_token("https://a.gke.goog", service_account=account),
            )
            for account in (
                "",
                "user@example.com",
                "csr-access@example-project.iam.gserviceaccount.com/keys",
                "../csr-access@example-project.iam.gserviceaccount.com",
                "csr-access@example-project.iam.gserviceaccount.com:signBlob",
                "csr-access@example-project.iam.gserviceaccount.com\n",
            )
        ),
        (
            r"(server|certificate_authority): Forbidden: the kubeconfig already sets it",
            cluster(authentication={"kubeconfig": "k"}),
        ),
        (
            r"(server|certificate_authority): Forbidden: the kubeconfig already sets it",
            cluster(authentication={"kubeconfig": "k"}, server=None),
        ),
        (r"clusters\.demo\.source: Required value", cluster(source="")),
        (r"clusters\.demo\.server: Required value: must be an https URL", cluster(server=None)),
        (r'server: Invalid value: "http://10\.0\.0\.1": must be an https URL', cluster(server="http://10.0.0.1")),
        (r'server: Invalid value: "10\.0\.0\.1"', cluster(server="10.0.0.1")),
        (r'server: Invalid value: "https://"', cluster(server="https://")),
        (r'server: Invalid value: "https://u@h"', cluster(server="https://u@h")),
        (r'server: Invalid value: "https://h/\?a=b"', cluster(server="https://h/?a=b")),
        (r'server: Invalid value: "https://h#f"', cluster(server="https://h#f")),
        (r'server: Invalid value: "https://\[::1"', cluster(server="https://[::1")),
        (r'server: Invalid value: "https://h:x"', cluster(server="https://h:x")),
        (r'server: Invalid value: "https://h:70000"', cluster(server="https://h:70000")),
        (r'server: Invalid value: "https://h:0"', cluster(server="https://h:0")),
        (
            r"certificate_authority: Required value: .* trusted for \*\.gke\.goog and .* only, not for .10\.0\.0\.1.",
            cluster(certificate_authority=None),
        ),
        (
            r"certificate_authority: Required value: .* not for .gke\.goog\.example\.com.",
            cluster(certificate_authority=None, server="https://gke.goog.example.com"),
        ),
        (
            r"certificate_authority: Required value: .* not for .evilgke\.goog.",
            cluster(certificate_authority=None, server="https://evilgke.goog"),
        ),
        (
            r"certificate_authority: Required value: .* not for .x\.connectgateway\.googleapis\.com.",
            cluster(certificate_authority=None, server="https://x.connectgateway.googleapis.com"),
        ),
        (
            r'clusters\.demo\.certificate_authority: Invalid value: "absent\.pem": must be a file .*: No such file',
            cluster(certificate_authority="absent.pem"),
        ),
        (r'cluster_domain: Invalid value: "": must be a DNS name in lower case', cluster(cluster_domain="")),
        (r'cluster_domain: Invalid value: "\*"', cluster(cluster_domain="*")),
        (r'cluster_domain: Invalid value: "Cluster\.Local"', cluster(cluster_domain="Cluster.Local")),
        (r'cluster_domain: Invalid value: "cluster\.local\."', cluster(cluster_domain="cluster.local.")),
        (r'cluster_domain: Invalid value: "\{pod\}"', cluster(cluster_domain="{pod}")),
        (
            r'clusters: Invalid value: "De mo": must be lower-case letters, digits and hyphens',
            lambda whole: whole["clusters"].update({"De mo": whole["clusters"].pop("demo")}),
        ),
        (
            r"clusters\.\*\.source: Duplicate value: .*give each cluster its own source",
            lambda whole: whole["clusters"].update({"second": whole["clusters"]["demo"]}),
        ),
        (r'signers\[0\]\.cluster: Unsupported value: "absent": supported values: "demo"', signer(cluster="absent")),
        (r'signer_name: Invalid value: "calico": must be DOMAIN/NAME', signer(signer_name="calico")),
        (r'signer_name: Invalid value: "example/calico"', signer(signer_name="example/calico")),
        (r'signer_name: Invalid value: "example\.com/"', signer(signer_name="example.com/")),
        (r'signer_name: Invalid value: "Example\.com/x"', signer(signer_name="Example.com/x")),
        (
            r'signer_name: Invalid value: "kubernetes\.io/kube-apiserver-client": must not be one of Kubernetes. own',
            signer(signer_name="kubernetes.io/kube-apiserver-client"),
        ),
        (r'"beta\.kubernetes\.io/x": must not be one of Kubernetes. own', signer(signer_name="beta.kubernetes.io/x")),
        (r'"x\.k8s\.io/x": must not be one of Kubernetes. own', signer(signer_name="x.k8s.io/x")),
        (
            r'signers\[0\]\.issuer\.key_version: Invalid value: "projects/p": must be projects/P/locations',
            issuer(key_version="projects/p"),
        ),
        (
            r"issuer\.key_version: Invalid value: .*cryptoKeyVersions/0.: must",
            issuer(key_version=KEY_VERSION[:-1] + "0"),
        ),
        (
            r"issuer\.key_version: Invalid value: .*cryptoKeyVersions/latest.: must",
            issuer(key_version=KEY_VERSION[:-1] + "latest"),
        ),
        (
            r"issuer\.key_version: Invalid value: .*cryptoKeys/k.: must",
            issuer(key_version=KEY_VERSION.partition("/cryptoKeyVersions")[0]),
        ),
        (
            r'signers\[0\]: issuer\.certificate: Invalid value: "absent\.pem": must be a file .*: No such file',
            issuer(certificate="absent.pem"),
        ),
        (r"issuer\.certificate: Invalid value: .*: Is a directory", issuer(certificate=".")),
        (r'issuer\.trust_bundle: Invalid value: "absent\.pem"', issuer(trust_bundle="absent.pem")),
        (
            r"signers\[0\]: issuer\.certificate: Invalid value: must be PEM certificates",
            issuer(certificate="garbage.pem"),
        ),
        (r"issuer\.certificate: .*must have basic constraints CA:TRUE", issuer(certificate="no-ca.pem")),
        (
            r'issuer\.trust_bundle: Invalid value: must hold "CN=Calico CA" or its issuer',
            issuer(trust_bundle="other-ca.pem"),
        ),
        (
            r'signers\[0\]: profile\.name: Not found: "absent": shipped profiles are calico',
            signer(profile={"name": "absent"}),
        ),
        (
            r'signers\[0\]: profile\.release: Required value: profile "calico" needs it',
            signer(profile={"name": "calico"}),
        ),
        (
            r'signers\[0\]: profile\.release: Invalid value: "3\.25": must be a release that profile "calico" supports',
            signer(profile={"name": "calico", "release": "3.25"}),
        ),
        (
            r"profile\.release: Invalid value: 3\.31: must be a valid string",
            signer(profile={"name": "calico", "release": 3.31}),
        ),
        (r"signers\[0\]: lifetime: Invalid value: 9m: must be from 10m to 365d, the profile", signer(lifetime="9m")),
        (
            r'signers\[1\]\.signer_name: Duplicate value: "csr-signer\.example\.com/calico": cluster "demo" has it',
            lambda whole: whole["signers"].append(whole["signers"][0]),
        ),
        (r"signers: Required value", top(signers=[])),
        (r"signers\[0\]\.deferral_limit: Invalid value: 120m: must be at most 60m", signer(deferral_limit="2h")),
        (
            r'kms\.endpoint: Invalid value: "kms\.example\.com": must be a host below',
            top(kms={"endpoint": "kms.example.com"}),
        ),
        (r'kms\.endpoint: Invalid value: ""', top(kms={"endpoint": ""})),
        (r'Invalid value: "127\.0\.0\.1:99999"', top(kms={"unsafe_plaintext_endpoint": "127.0.0.1:99999"})),
        (
            r"kms\.endpoint: Forbidden: must not be set beside unsafe_plaintext_endpoint",
            top(kms={"endpoint": "kms.example.googleapis.com", "unsafe_plaintext_endpoint": "127.0.0.1:1"}),
        ),
        (
            r'kms\.unsafe_plaintext_endpoint: Invalid value: "cloudkms\.googleapis\.com:443": must be a loopback HOST',
            top(kms={"unsafe_plaintext_endpoint": "cloudkms.googleapis.com:443"}),
        ),
        (
            r'unsafe_plaintext_endpoint: Invalid value: "127\.0\.0\.1"',
            top(kms={"unsafe_plaintext_endpoint": "127.0.0.1"}),
        ),
        (
            r'unsafe_plaintext_endpoint: Invalid value: "0\.0\.0\.0:1"',
            top(kms={"unsafe_plaintext_endpoint": "0.0.0.0:1"}),
        ),
        (
            r'unsafe_plaintext_endpoint: Invalid value: "localhost\.example\.com:1"',
            top(kms={"unsafe_plaintext_endpoint": "localhost.example.com:1"}),
        ),
        (r"clusters .demo. and .second. share a key version or CA", second_cluster(key_version=KEY_VERSION)),
        (
            r"share a key version or CA; give each its own, or set shared_trust_domain: true on both",
            second_cluster(certificate="ca.pem", trust_bundle="ca.pem"),
        ),
        (r"share a key version or CA", second_cluster(trust_bundle="both.pem")),
        (r"share a key version or CA", second_cluster(key_version=KEY_VERSION, shared=(True, False))),
        (r"share a key version or CA", second_cluster(key_version=KEY_VERSION, shared=(False, True))),
        (
            r'"csr-signer.example.com/other" \("calico-enterprise"\) share a key version or CA, and have different',
            second_signer(profile={"name": "calico-enterprise", "release": "1.42", "namespaces": ["calico-system"]}),
        ),
        (
            r"different profiles, releases or namespaces",
            second_signer(profile={"name": "calico", "release": "3.30", "namespaces": ["calico-system"]}),
        ),
        (r"share a key version or CA", below_the_other_clusters_root),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_is(violation: str, change: Change, folder: Path) -> None:
    """Each rule names its key, what was got and what is allowed."""
    with pytest.raises(ConfigurationError, match=violation):
        load(written(folder, change))


def test_a_duplicate_key_is_an_error(folder: Path) -> None:
    """Otherwise the last one would win silently."""
    path = written(folder)
    path.write_text(path.read_text() + "signers: []\n")
    with pytest.raises(ConfigurationError, match='duplicate key "signers"'):
        load(path)


def test_several_things_wrong_with_one_cluster_are_all_named(folder: Path) -> None:
    """Nobody should have to try again for each."""
    with pytest.raises(ConfigurationError, match=r"source: .*; .*authentication: .*; .*server: "):
        load(written(folder, cluster(source="", authentication={}, server="ftp://x")))


# Hosts that are neither Google's nor private addresses, some of them close to it.
STRANGERS = (
    "https://api.example.com",
    "https://gke.goog",
    "https://evilgke.goog",
    "https://a.gke.goog.example.com",
    "https://a.gke.goog.",
    "https://x.connectgateway.googleapis.com",
    "https://connectgateway.googleapis.com.example.com",
    "https://storage.googleapis.com",
    "https://localhost",
    "https://[fd00::1]",
    "https://8.8.8.8",
    "https://127.0.0.1:6443",
    "https://169.254.169.254",
    "https://172.15.255.255",
    "https://172.32.0.0",
    "https://100.63.255.255",
    "https://0.0.0.0",
    "https://010.0.0.1",
    "https://10.1",
)
PRIVATE = (
    "https://10.0.0.2",
    "https://172.16.0.2",
    "https://172.31.255.2",
    "https://192.168.0.2",
    "https://100.64.0.2",
)


@pytest.mark.parametrize("private_endpoint", [False, True])
@pytest.mark.parametrize("server", STRANGERS)
def test_an_access_token_goes_to_no_stranger(server: str, folder: Path, *, private_endpoint: bool) -> None:
    """Whoever serves another host than Google's would hold the token, whatever CA is pinned; no setting allows it."""
    violation = (
        rf'clusters\.demo\.server: Invalid value: "{re.escape(server)}": must be a host \*\.gke\.goog or'
        r" connectgateway\.googleapis\.com, .*; with authentication\.google_access_token\.private_endpoint: true"
    )
    with pytest.raises(ConfigurationError, match=violation):
        load(written(folder, access_token(server, private_endpoint=private_endpoint)))


@pytest.mark.parametrize("server", PRIVATE)
def test_a_private_address_gets_an_access_token_only_with_private_endpoint(server: str, folder: Path) -> None:
    """The function cannot verify the owner of a private address, so the operator confirms it and pins the CA."""
    with pytest.raises(ConfigurationError, match="server: Invalid value"):
        load(written(folder, access_token(server)))
    with pytest.raises(ConfigurationError, match="certificate_authority: Required value"):
        load(written(folder, access_token(server, None, private_endpoint=True)))
    (made,) = load(written(folder, access_token(server, private_endpoint=True))).clusters.values()
    assert made.authentication.google_access_token == GoogleAccessToken(service_account=ACCESS, private_endpoint=True)


@pytest.mark.parametrize("lifetime", ["366d", "825d", "9999d"])
def test_a_lifetime_beyond_the_profiles_is_no_silent_cap(lifetime: str, folder: Path) -> None:
    """Who wants longer ones than the profile's is told that this takes a profile, instead of getting shorter ones."""
    violation = (
        rf"signers\[0\]: lifetime: Invalid value: {lifetime}: must be from 10m to 365d, .* use a profile of your own"
    )
    with pytest.raises(ConfigurationError, match=violation):
        load(written(folder, signer(lifetime=lifetime)))


def test_longer_lifetimes_are_in_a_profile_beside_the_document(folder: Path) -> None:
    """As docs/profiles.md says: a copy of the shipped one with another maximum, up to the ceiling in the code."""
    shipped = (profile.SHIPPED / "calico.yaml").read_text(encoding="utf-8")
    assert shipped.count("maximum: 365d") == 1
    reference = {"name": "own.yaml", "release": "3.31"}
    (folder / "own.yaml").write_text(shipped.replace("maximum: 365d", "maximum: 825d"), encoding="utf-8")
    assert load(written(folder, signer(profile=reference))).signers["demo", SIGNER_NAME].lifetime == profile.CEILING
    (folder / "own.yaml").write_text(shipped.replace("maximum: 365d", "maximum: 826d"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"own\.yaml: lifetime: Invalid value: .* maximum <= 825d"):
        load(written(folder, signer(profile=reference)))


@pytest.mark.parametrize("release", ["3.26", "3.30"])
def test_a_namespace_that_anyone_could_create_is_not_honoured_unasked(release: str, folder: Path) -> None:
    """Until 3.30 the API server's namespace exists only where the API server does: the configuration must say."""
    reference = {"name": "calico", "release": release}
    violation = r"signers\[0\]: profile\.namespaces: Required value: must list .* of calico-apiserver, calico-system$"
    with pytest.raises(ConfigurationError, match=violation):
        load(written(folder, signer(profile=reference)))
    for namespaces in (["calico-system"], ["calico-apiserver", "calico-system"]):
        made = load(written(folder, signer(profile=reference | {"namespaces": namespaces})))
        rows = made.signers["demo", SIGNER_NAME].profile.rows_of("calico-apiserver", "calico-apiserver")
        assert bool(rows) == ("calico-apiserver" in namespaces)


@pytest.mark.parametrize(
    "server",
    [
        "https://gke-0a1b2c.europe-west1.gke.goog",
        "https://GKE-0A1B.EUROPE-WEST1.GKE.GOOG",
        "https://connectgateway.googleapis.com/v1/x",
    ],
)
def test_googles_own_front_ends_need_no_pinned_ca(server: str, folder: Path) -> None:
    """The system's roots are enough for them, and for nobody else; an access token may go there."""
    for change in (cluster(server=server, certificate_authority=None), access_token(server, None)):
        assert load(written(folder, change)).clusters["demo"].server == server


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "localhost:65535", "[::1]:4711"])
def test_a_plaintext_endpoint_is_on_this_host(endpoint: str, folder: Path) -> None:
    """A double of tests and sandbox."""
    settings = load(written(folder, top(kms={"unsafe_plaintext_endpoint": endpoint})))
    assert settings.kms.unsafe_plaintext_endpoint == endpoint


def test_clusters_may_share_a_trust_domain_where_both_say_so(folder: Path) -> None:
    """Whoever owns one of them could pose in the other, so both must want it; otherwise each has its own."""
    shared = second_cluster(key_version=KEY_VERSION, certificate="ca.pem", trust_bundle="ca.pem", shared=(True, True))
    assert set(load(written(folder, shared)).signers) == {("demo", SIGNER_NAME), ("second", SIGNER_NAME)}
    assert len(load(written(folder, second_cluster())).signers) == 2


def test_one_cluster_may_have_several_signers_of_one_profile_with_one_key(folder: Path) -> None:
    """They are one trust domain: each of them certifies the same names for the same requesters."""
    used = {"name": "calico", "release": "3.30", "namespaces": ["calico-system", "calico-apiserver"]}
    reverse = used | {"namespaces": used["namespaces"][::-1]}
    settings = load(written(folder, signer(profile=used), second_signer(profile=reverse)))
    assert len(settings.signers) == 2


OWN_PROFILE = """
name: own
usages: [digital signature, key agreement, key encipherment, server auth, client auth]
subject: {{2.5.4.6: US, 2.5.4.8: California, 2.5.4.7: San Francisco, 2.5.4.10: Tigera, 2.5.4.11: Engineering}}
lifetime: {{default: 1d, maximum: 2d}}
components:
  - name: web
    service_accounts: [web/server]
    request_names: [{{name: "web:{{pod}}"}}]
    common_name: {common_name}
    dns_names: [{{name: {common_name}}}]
    extended_key_usage: [serverAuth, clientAuth]
"""


@pytest.mark.parametrize("common_name", ["typha-client", "typha-server"])
def test_attack_a_certificate_of_another_profile_that_passes_for_typhas(folder: Path, common_name: str) -> None:
    """Typha and Felix check only chain and common name (calico typha/pkg/tlsutils/tlsutils.go).

    So two profiles get no CA that both trust: with one, a web server's certificate would pass.
    """
    (folder / "own.yaml").write_text(OWN_PROFILE.format(common_name=common_name))
    own = {"profile": {"name": "own.yaml"}, "issuer": document()["signers"][0]["issuer"]}
    permit = judge(
        request={"common_name": common_name, "dns_names": (common_name,)},
        csr={"name": f"web:{POD}", "namespace": "web", "service_account": "server"},
        pod={"namespace": "web", "service_account": "server"},
        signer={"profile": profile.load("own.yaml", release=None, folder=folder)},
    )
    assert isinstance(permit, Permit)
    certificate = issued(permit)
    assert passes_for(common_name, certificate, [authority().certificate])
    with pytest.raises(ConfigurationError, match=r"share a key version or CA, and have different profiles"):
        load(written(folder, second_signer(**own)))
    apart = issuer(key_version=OTHER_VERSION, certificate="other-ca.pem", trust_bundle="other-ca.pem")
    settings = load(written(folder, second_signer(**own), apart))
    calicos = settings.signers["demo", SIGNER_NAME].issuer.trust_bundle
    assert not passes_for(common_name, certificate, calicos)


def passes_for(common_name: str, certificate: x509.Certificate, trusted: Sequence[x509.Certificate]) -> bool:
    """Tells whether Typha would take the certificate for the name's: by chain, purpose and common name."""
    policy = verification.PolicyBuilder().store(verification.Store(list(trusted))).time(NOW)
    try:
        policy.build_client_verifier().verify(certificate, [])
    except verification.VerificationError:
        return False
    (found,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return found.value == common_name


def test_a_profile_may_stand_beside_the_document(folder: Path) -> None:
    """A file name is relative to the document's folder."""
    (folder / "own.yaml").write_text(OWN_PROFILE.format(common_name="web"))
    made = load(written(folder, signer(profile={"name": "own.yaml"}))).signers["demo", SIGNER_NAME]
    assert made.profile.name == "own"
    assert made.lifetime == timedelta(days=2)


def test_the_digest_is_of_what_a_certificate_follows_from(folder: Path) -> None:
    """Another CA, profile, lifetime, signer or cluster domain is another digest; names of files are nothing to it."""

    def digest(*changes: Change) -> str:
        (made,) = load(written(folder, *changes)).signers.values()
        return made.configuration_digest

    (folder / "same-ca.pem").write_bytes(b"comment\n" + (folder / "ca.pem").read_bytes())
    same = {
        digest(),
        digest(issuer(certificate="same-ca.pem", trust_bundle="same-ca.pem")),
        digest(cluster(server="https://10.0.0.2", invokers=["x@example.com"])),
        digest(top(kms={"endpoint": "x.googleapis.com"})),
    }
    other = [
        digest(issuer(certificate="other-ca.pem", trust_bundle="other-ca.pem")),
        digest(issuer(trust_bundle="both.pem")),
        digest(issuer(key_version=OTHER_VERSION)),
        digest(issuer(protection_level="SOFTWARE")),
        digest(signer(profile={"name": "calico", "release": "3.30", "namespaces": ["calico-system"]})),
        digest(signer(lifetime="30d")),
        digest(signer(approve=False)),
        digest(signer(signer_name="example.com/other")),
        digest(cluster(cluster_domain="corp.example")),
        digest(cluster(address_ranges=["10.0.0.0/8"])),
        digest(cluster(credential_id="waived")),
    ]
    assert len(same) == 1
    assert len({*same, *other}) == len(other) + 1
    assert all(len(value) == 64 for value in same)
