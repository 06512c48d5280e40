"""docs/install.md, command by command: from the example of Terraform to the certificate of a Calico pod.

The commands are the page's own. Only names are replaced: the example, the cluster, the image, and the address of KMS's
double. The cluster is a real kube-apiserver. `terraform` is the real Terraform with the providers' doubles.
Function and exporter run as processes, with what Terraform and the manifests give them. The test adds only the
addresses of the doubles, and the files that kubelet mounts in a pod.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from cryptography import x509

from development import apart
from development.lock import ROOT, TERRAFORM
from development.terraform import environment
from development.terraform.doubles.google import NUMBER
from sandbox.api import CSRS, NAMESPACES, Api, ApiError
from sandbox.calico.components import components
from sandbox.calico.fleet import NODE_NETWORKS, POD_NETWORKS, Fleet, managements, plan
from sandbox.calico.keys import KeyPool, known
from sandbox.calico.observer import Observer
from sandbox.calico.world import World
from sandbox.exporter_runtime import ExporterRuntime
from sandbox.function_runtime import FunctionRuntime, free_port
from sandbox.google import Configuration, GoogleServer, ServiceAccount, oidc_provider
from sandbox.google.jwt import keys_of
from sandbox.google.model import Project
from sandbox.kms import KmsServer, connect, create_signing_key
from tests.end_to_end.conftest import PATIENCE, eventually
from tests.infra.cluster.conftest import POD
from tests.infra.cluster.csrs import csr_document
from tests.infra.cluster.requesters import until_refused
from tests.infra.install import terraform
from tests.infra.terraform.issuer import Issuer
from tests.paths import DOCS
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.control_plane.real import RealControlPlane

pytestmark = pytest.mark.real

PAGE: Final = DOCS / "install.md"
EXAMPLE: Final = "self-managed"
CLUSTER: Final = "site"
SIGNER_NAME: Final = "csr-signer.example.com/calico"
_NOT_FOUND: Final = 404
DIGEST: Final = f"sha256:{'1' * 64}"
MANY: Final = 6
URL: Final = f"https://csr-signer-{NUMBER}.europe-west1.run.app"
"""The URL that Google gives the function."""
INSTALLATIONS: Final = "/apis/operator.tigera.io/v1/installations"
CRD: Final = {
    "metadata": {"name": "installations.operator.tigera.io"},
    "spec": {
        "group": "operator.tigera.io",
        "names": {"kind": "Installation", "plural": "installations", "singular": "installation"},
        "scope": "Cluster",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def blocks() -> list[str]:
    """Returns the shell blocks of steps 1 to 5: copy, apply, CA, image, cluster, Calico."""
    text = PAGE.read_text(encoding="utf-8")
    steps = text[text.index("## 1. Key, identities, audit") : text.index("## Check")]
    return re.findall(r"^```sh\n(.*?)^```$", steps, re.MULTILINE | re.DOTALL)


@dataclass(slots=True, kw_only=True)
class Operator:
    """Someone who follows docs/install.md.

    Attributes:
        folder: Contains the repository (`tree`), the copy of the example (`csr-signer`), and programs (`bin`).
        plane: The cluster.
        kms: HOST:PORT of the KMS double.
    """

    folder: Path
    plane: RealControlPlane
    kms: str

    @property
    def root(self) -> Path:
        """Returns the folder of the root module."""
        return self.folder / "csr-signer"

    def prepare(self) -> None:
        """Makes the programs, and puts the cluster's names and files into the example's `main.tf`."""
        programs = {
            "terraform": f"exec {ROOT}/scripts/python -m tests.infra.install.terraform",
            "kubectl": f"exec {self.plane.kubectl} --kubeconfig={self.plane.kubeconfig}",
            # tests/packaging installs the wheel; this runs the same commands from the source.
            "pipx": '[ "$*" = "install ." ] #',
            "signerctl": f"exec {ROOT}/scripts/python -m signerctl",
        }
        (self.folder / "bin").mkdir()
        for name, command in programs.items():
            self._program(self.folder / "bin" / name, command)

        example = self.folder / "tree" / "infra" / "examples" / EXAMPLE
        (example / "site-api-server.pem").write_bytes(self.plane.certificate_authority.read_bytes())
        (example / "site-jwks.json").write_text(self.kubectl("get", "--raw", "/openid/v1/jwks"))
        settings = json.loads(self.kubectl("get", "--raw", "/.well-known/openid-configuration"))
        networks = json.dumps([str(network) for network in (*NODE_NETWORKS, *POD_NETWORKS)])
        main = example / "main.tf"
        text = main.read_text(encoding="utf-8")
        for before, after in (
            ("https://kubernetes.default.svc.cluster.local", settings["issuer"]),
            ("https://kubernetes.site.example.com:6443", self.plane.server),
            ('["10.0.0.0/8", "192.168.0.0/16"]', networks),
        ):
            assert before in text
            text = text.replace(before, after)
        main.write_text(text, encoding="utf-8")

    @staticmethod
    def _program(path: Path, command: str) -> None:
        path.write_text(f'#!/bin/sh\n{command} "$@"\n', encoding="utf-8")
        path.chmod(0o755)

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl as the administrator."""
        program = [str(self.folder / "bin" / "kubectl"), *arguments]
        return subprocess.run(program, capture_output=True, check=True, text=True, timeout=60).stdout

    def run(self, block: str, folder: Path) -> str:
        """Runs one of the page's blocks in a folder, with the shell's variable of the first block."""
        text = block
        for pattern, name in (
            (r"gke-dns-endpoint", EXAMPLE),
            (r"csr-access-prod@PROJECT", "gcp:csr-signer@example-signer"),
            (r"\bprod\b", CLUSTER),
            (r"REGISTRY/csr-exporter@sha256:\.\.\.", f"registry.example.com/csr-exporter@{DIGEST}"),
            (r"--audit-log ca-audit\.log", rf"\g<0> --unsafe-plaintext-kms-endpoint {self.kms}"),
        ):
            text = re.sub(pattern, name, text)
        assert blocks()[0].startswith("REPO=$PWD\npipx install .\n")
        repository = f"REPO={shlex.quote(str(self.folder / 'tree'))}"
        given = text if block == blocks()[0] else f"{repository}\n{text}"
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            terraform.WORKSPACE: str(self.folder),
        }
        done = subprocess.run(
            ["bash", "-euc", given],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the operator has after the page's steps.

    Attributes:
        operator: The operator.
        api: The cluster, as the administrator.
        world: Makes Calico's pods.
        printed: What each of the page's blocks printed.
    """

    operator: Operator
    api: Api
    world: World
    printed: list[str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The page's steps, and the processes that Google and the cluster would start."""
    folder = tmp_path_factory.mktemp("install")
    try:
        apart.python(TERRAFORM)
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and Terraform is needed: {error}")
        pytest.skip(f"NOT TESTED: Terraform could not be installed: {error}")
    trust = folder / "authentication.yaml"
    trust.write_text('{"apiVersion": "apiserver.config.k8s.io/v1beta1", "kind": "AuthenticationConfiguration"}')
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment.workspace(folder))
        plane = stack.enter_context(
            real_control_plane(folder / "plane", extra_arguments=[f"--authentication-config={trust}"])
        )
        api = stack.enter_context(Api.from_kubeconfig(plane.kubeconfig))
        kms = stack.enter_context(KmsServer(instant=True))
        operator = Operator(folder=folder, plane=plane, kms=kms.endpoint)
        operator.prepare()
        _have_calico(api)

        copy, apply, certify, image, cluster, calico = blocks()
        operator.run(copy, folder / "tree")
        printed = [operator.run(apply, operator.root)]
        _make_key(kms.endpoint, printed[0])
        printed.append(operator.run(certify, operator.root))
        assert all(line.startswith(("docker ", "  --build-arg ")) for line in image.splitlines())
        function = FunctionRuntime(folder / "deployed" / "function" / "configuration.yaml", folder / "function.log")
        function.root = folder / "deployed"
        google = stack.enter_context(_google(operator, function.url))
        issuer = stack.enter_context(Issuer(folder, google.tokens))
        _trust(trust, terraform.outputs(operator.root), issuer)
        printed.append(operator.run(cluster, operator.root))
        world = stack.enter_context(World(api))
        world.create(components("3.31"))
        printed.append(operator.run(calico, operator.root))

        _deploy(function, operator, google)
        stack.callback(function.stop)
        function.start()
        for exporter in _exporters(operator, api, google):
            stack.callback(exporter.stop)
            exporter.start()
        yield Installed(operator=operator, api=api, world=world, printed=printed)


def _have_calico(api: Api) -> None:
    """Creates the operator's resource, whose certificates the last step turns on."""
    api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    kind = {"apiVersion": "operator.tigera.io/v1", "kind": "Installation"}

    def served() -> bool:
        try:
            api.post(INSTALLATIONS, {**kind, "metadata": {"name": "default"}, "spec": {}})
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        return True

    eventually(served)


def _make_key(kms: str, next_steps: str) -> None:
    """Creates the key that Terraform would create at Google, under the name in Terraform's next step."""
    found = re.search(
        r"--key-version (projects/[^/]+/locations/[^/]+)/keyRings/([^/]+)/cryptoKeys/([^/]+)/", next_steps
    )
    assert found
    with connect(kms) as client:
        create_signing_key(client, "EC_SIGN_P384_SHA384", location=found[1], key_ring=found[2], key=found[3])


def _google(operator: Operator, target: str) -> GoogleServer:
    """Returns Google's services with exactly the accounts and grants that Terraform made."""
    state = operator.root
    (output,) = terraform.outputs(state)["manifests"].values()
    grants = terraform.resources(state, "google_service_account_iam_member")
    invokers = terraform.resources(state, "google_cloud_run_v2_service_iam_member")
    (provider,) = terraform.resources(state, "google_iam_workload_identity_pool_provider")
    (oidc,) = provider["oidc"]
    project = Project(id="example-signer")
    accepted = oidc_provider(
        project,
        provider["workload_identity_pool_id"],
        provider["workload_identity_pool_provider_id"],
        issuer=oidc["issuer_uri"],
        keys=keys_of(json.loads(oidc["jwks_json"])),
    )
    assert accepted.audience == output["token_audience"]
    exporter = ServiceAccount(
        email=output["google_service_account"],
        unique_id="100000000000000000002",
        token_creators=frozenset(
            grant["member"] for grant in grants if grant["role"] == "roles/iam.serviceAccountOpenIdTokenCreator"
        ),
    )
    (deployed,) = terraform.resources(state, "google_cloudfunctions2_function")
    email = deployed["service_config"][0]["service_account_email"]
    accounts = {each["name"]: each["unique_id"] for each in terraform.resources(state, "google_service_account")}
    function = ServiceAccount(email=email, unique_id=accounts[f"projects/example-signer/serviceAccounts/{email}"])
    configuration = Configuration(
        project=project,
        accounts={account.email: account for account in (exporter, function)},
        attached=function.email,
        providers={accepted.audience: accepted},
        invokers=frozenset(grant["member"].removeprefix("serviceAccount:") for grant in invokers),
        audiences=frozenset({URL}),
    )
    return GoogleServer(configuration, run_target=target)


def _trust(path: Path, outputs: Mapping[str, Any], issuer: Issuer) -> None:
    """Gives the API server Terraform's document, with the double's address; it reads the changed file by itself."""
    document = yaml.safe_load(outputs["authentication_configurations"][CLUSTER])
    document["jwt"][0]["issuer"] |= issuer.settings()
    path.with_suffix(".new").write_text(yaml.safe_dump(document), encoding="utf-8")
    path.with_suffix(".new").replace(path)


def _deploy(function: FunctionRuntime, operator: Operator, google: GoogleServer) -> None:
    """Unpacks what Terraform packs, and sets the environment that Terraform sets."""
    folder = function.root / "function"
    shutil.copytree(ROOT / "function", folder)
    for name, content in terraform.outputs(operator.root)["documents"].items():
        (folder / name).write_text(content, encoding="utf-8")
    with (folder / "configuration.yaml").open("a", encoding="utf-8") as document:
        document.write(yaml.safe_dump({"kms": {"unsafe_plaintext_endpoint": operator.kms}}))
    (deployed,) = terraform.resources(operator.root, "google_cloudfunctions2_function")
    function.environment = {
        **deployed["service_config"][0]["environment_variables"],
        "GCE_METADATA_HOST": google.metadata,
    }


def _exporters(operator: Operator, api: Api, google: GoogleServer) -> list[ExporterRuntime]:
    """Returns the StatefulSet's replicas, with the applied configuration and the account's tokens."""
    namespace = f"{NAMESPACES}/kms-csr-signer"
    spec = api.get("/apis/apps/v1/namespaces/kms-csr-signer/statefulsets/csr-exporter")["spec"]
    pod = spec["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (projected,) = volumes["google-token"]["projected"]["sources"]
    name = volumes["configuration"]["configMap"]["name"]
    document = json.loads(api.get(f"{namespace}/configmaps/{name}")["data"]["configuration.json"])
    audiences = {"google": [projected["serviceAccountToken"]["audience"]], "api-server": []}
    until_refused("kms-csr-signer-exporter-pods", lambda: api.post(f"{namespace}/pods", POD, dryRun="All"))
    found = []
    for ordinal in range(spec["replicas"]):
        # The guards admit the pod. Its priority needs the status of a quota, which a controller writes.
        without = {key: value for key, value in pod.items() if key != "priorityClassName"}
        template = {"metadata": {"name": f"csr-exporter-{ordinal}", **spec["template"]["metadata"]}, "spec": without}
        uid = api.post(f"{namespace}/pods", template)["metadata"]["uid"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": f"csr-exporter-{ordinal}", "uid": uid}
        for kind, wanted in audiences.items():
            request = {"audiences": wanted, "expirationSeconds": 3600, "boundObjectRef": bound}
            token = api.post(f"{namespace}/serviceaccounts/{pod['serviceAccountName']}/token", {"spec": request})
            path = operator.folder / f"{kind}-{ordinal}.token"
            path.write_text(token["status"]["token"], encoding="utf-8")
        document["function"]["url"] = f"{google.run}/"
        document["identity"] |= {
            "token_file": str(operator.folder / f"google-{ordinal}.token"),
            "unsafe_sts_url": google.sts,
            "unsafe_iam_credentials_url": google.iam_credentials,
        }
        # In a pod, the exporter reads this from the environment and from files.
        document["api_server"] = {
            "server": operator.plane.server,
            "certificate_authority": str(operator.plane.certificate_authority),
            "token_file": str(operator.folder / f"api-server-{ordinal}.token"),
        }
        # Both replicas run on this machine, so they need two ports.
        document["health"]["port"] = free_port()
        path = operator.folder / f"exporter-{ordinal}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        found.append(ExporterRuntime(path, operator.folder / f"exporter-{ordinal}.log", ordinal=ordinal))
    return found


def test_terraform_names_the_commands(installed: Installed) -> None:
    """Terraform's next steps are the page's commands: the CA certificate first, then the cluster's folder."""
    assert "signerctl ca create --key-version " in installed.printed[0]
    assert "Apply complete!" in installed.printed[1]
    steps = terraform.outputs(installed.operator.root)["next_steps"]
    assert any(f"signerctl cluster manifests --terraform-output - --cluster {CLUSTER} " in step for step in steps)


def test_the_pods_of_calico_get_certificates(installed: Installed) -> None:
    """Pods ask as the Installation says, and each gets a certificate of the CA that the Installation trusts."""
    spec = installed.api.get(f"{INSTALLATIONS}/default")["spec"]["certificateManagement"]
    authority = x509.load_pem_x509_certificate(base64.b64decode(spec["caCert"]))
    members = plan(
        MANY,
        components=components("3.31"),
        managements=managements(spec["signerName"], algorithms=[(spec["keyAlgorithm"], spec["signatureAlgorithm"])]),
    )
    with KeyPool(make=known) as keys, Observer(installed.api, SIGNER_NAME) as observer:
        fleet = Fleet(installed.world, members, keys=keys)
        fleet.enter()
        fleet.prepare()
        submissions = fleet.submit()
        assert observer.wait([each.uid for each in submissions], PATIENCE), _logs(installed)
        for submission in submissions:
            seen = observer.observation(submission.uid)
            assert seen is not None
            assert seen.issued, seen
            x509.load_pem_x509_certificate(seen.certificate).verify_directly_issued_by(authority)


def _logs(installed: Installed) -> str:
    """Returns the ends of the programs' logs, for the message of a failed test."""
    folder = installed.operator.folder
    return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(folder.glob("*.log")))


def test_the_guards_are_in_force(installed: Installed) -> None:
    """The applied policies refuse a CSR of someone who is no pod, also the administrator's."""
    csr = csr_document("are-there-guards", SIGNER_NAME)
    until_refused("kms-csr-signer-create", lambda: installed.api.post(CSRS, csr, dryRun="All"))
    with pytest.raises(ApiError, match=r"kms-csr-signer-create.*must be bound to exactly one pod"):
        installed.api.post(CSRS, csr, dryRun="All")


def test_the_same_command_refreshes_the_folder(installed: Installed) -> None:
    """The command for the cluster runs again, and says that nothing changes."""
    command = blocks()[4].split("kubectl create")[0]
    assert "nothing changes" in installed.operator.run(command, installed.operator.root)
