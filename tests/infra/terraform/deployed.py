"""A deployment that was applied against a double of Google, for what an administrator changes later."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from development.lock import ROOT
from development.terraform.doubles import google

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from development.terraform.environment import Workspace

Variables: TypeAlias = dict[str, Any]

TESTS: Final = ROOT / "infra" / "tests"
KEY: Final = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest"
IMAGE: Final = f"images.example.com/csr-signer@sha256:{64 * '0'}"
CLUSTERS: Final[Variables] = {
    "prod": {
        "access": "gke-dns",
        "gke": {"location": "europe-west1", "name": "prod", "project": "example-clusters"},
        "server": "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog",
    },
    "site": {
        "access": "oidc",
        "audience": "https://csr-signer.example.com/7d1f0a52-0f8e-4a4e-9c47-7c4a7a8b3c55",
        "certificate_authority": (TESTS / "another-ca.pem").read_text(encoding="utf-8"),
        "oidc": {
            "issuer": "https://kubernetes.default.svc.cluster.local",
            "jwks": '{"keys":[{"kid":"1","kty":"RSA"}]}',
        },
        "server": "https://kubernetes.site.example.com:6443",
    },
}
SIGNERS: Final[Variables] = {
    "prod-calico": {
        "ca_certificate": (TESTS / "ca.pem").read_text(encoding="utf-8"),
        "cluster": "prod",
        "profile": {"name": "calico", "release": "3.31"},
        "signer_name": "example.com/calico",
    },
    "site-calico": {
        "ca_certificate": (TESTS / "another-ca.pem").read_text(encoding="utf-8"),
        "cluster": "site",
        "profile": {"name": "calico", "release": "3.31"},
        "signer_name": "site.example.com/calico",
    },
}
AUDIT: Final[Variables] = {"project": "example-audit"}
BASE: Final[Variables] = {
    "audit": AUDIT,
    "ca_administrator": "user:ca-administrator@example.com",
    "callers": "internet",
    "clusters": CLUSTERS,
    "key_project": "example-keys",
    "location": "europe-west1",
    "project": "example-signer",
    "signers": SIGNERS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run of Terraform said.

    Attributes:
        planned: The actions of the plan by address, such as `update` or `replace`.
        deferred: The data sources that only the apply reads.
        events: What the apply did, in order: `start` or `complete`, the action and the address.
        errors: The errors, with the line of the file that they show.
    """

    planned: Mapping[str, str]
    deferred: Sequence[str]
    events: Sequence[tuple[str, str, str]]
    errors: Sequence[str]

    def span(self, action: str, prefix: str) -> tuple[int, int]:
        """Returns the places of the first start and the last completion among the resources with this prefix."""
        found = [
            (index, event)
            for index, (event, did, address) in enumerate(self.events)
            if did == action and address.startswith(prefix)
        ]
        assert found, (action, prefix)
        return found[0][0], max(index for index, event in found if event == "complete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A root module's state, and what exists at Google.

    Attributes:
        workspace: Terraform, and the double of Google.
        name: Of the file with the state; deployments with different names are in the same projects.
    """

    workspace: Workspace
    name: str = "first"

    @property
    def projects(self) -> dict[str, Any]:
        """Returns what exists in Google's projects: `google.FILE`."""
        content: dict[str, Any] = json.loads(self._google.read_text(encoding="utf-8"))
        return content

    def plan(self, variables: Variables, *options: str) -> Run:
        """Plans with other values of some variables."""
        return self._run("plan", variables, *options)

    def assert_unchanged(self, variables: Variables) -> None:
        """The next plan changes nothing."""
        run = self.plan(variables)
        assert (run.planned, run.errors) == ({}, [])

    def apply(self, variables: Variables, *options: str, max_writes: int = 1000) -> Run:
        """Applies with other values of some variables; Google refuses all writes after the first `max_writes`."""
        projects = self.projects
        projects["max_writes"] = projects["writes"] + max_writes
        self._google.write_text(json.dumps(projects), encoding="utf-8")
        return self._run("apply", variables, "-auto-approve", *options)

    def delete(self, name: str) -> None:
        """Deletes a resource at Google, without Terraform."""
        projects = self.projects
        del projects["objects"][name]
        self._google.write_text(json.dumps(projects), encoding="utf-8")

    def lose_state(self) -> None:
        """Deletes the state."""
        self._state.unlink(missing_ok=True)

    def empty(self) -> None:
        """Returns to the time before the first apply."""
        self.lose_state()
        self._google.write_text(json.dumps(google.EMPTY), encoding="utf-8")

    def begin(self, variables: Variables) -> None:
        """Returns to the time after a first apply with these variables; applies only once."""
        name = str(zlib.crc32(json.dumps([self.name, variables]).encode()))
        saved = self.workspace.folder / name
        if not saved.exists():
            self.empty()
            assert self.apply(variables).errors == []
            saved.mkdir()
            for path in (self._state, self._google):
                shutil.copyfile(path, saved / path.name)
        for path in (self._state, self._google):
            shutil.copyfile(saved / path.name, path)

    def forget(self, *addresses: str) -> None:
        """Lets the state forget resources."""
        answer = self.workspace.run("infra", "state", "rm", f"-state={self._state}", *addresses)
        assert answer.status == 0, answer.errors

    def resources(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Returns the address, the type and the values of each resource of the state."""
        for each in json.loads(self._state.read_text(encoding="utf-8"))["resources"]:
            address = ".".join([*filter(None, [each.get("module")]), each["type"], each["name"]])
            for instance in each["instances"] if each["mode"] == "managed" else ():
                index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
                yield f"{address}{index}", each["type"], instance["attributes"]

    @property
    def _google(self) -> Path:
        return self.workspace.folder / google.FILE

    @property
    def _state(self) -> Path:
        return self.workspace.folder / f"{self.name}.tfstate"

    def _run(self, command: str, variables: Variables, *options: str) -> Run:
        values = self.workspace.folder / "values.tfvars.json"
        values.write_text(json.dumps({**BASE, **variables}), encoding="utf-8")
        given = ("-json", "-input=false", f"-state={self._state}", f"-var-file={values}")
        answer = self.workspace.run("infra", command, *given, *options)
        run = _parsed([json.loads(line) for line in answer.output.splitlines() if line.startswith("{")])
        assert (answer.status == 0) == (run.errors == []), answer.output[-2000:] + answer.errors
        return run


def _parsed(lines: Sequence[Mapping[str, Any]]) -> Run:
    planned = {
        line["change"]["resource"]["addr"]: line["change"]["action"]
        for line in lines
        if line["type"] == "planned_change"
    }
    diagnostics = [line["diagnostic"] for line in lines if line["type"] == "diagnostic"]
    return Run(
        planned={address: action for address, action in planned.items() if action != "read"},
        deferred=[address for address, action in planned.items() if action == "read"],
        events=[
            (line["type"].removeprefix("apply_"), line["hook"]["action"], line["hook"]["resource"]["addr"])
            for line in lines
            if line["type"] in {"apply_start", "apply_complete"}
        ],
        errors=[
            f"{each['summary']}: {each['detail']} {each.get('snippet', {}).get('code', '')}"
            for each in diagnostics
            if each["severity"] == "error"
        ],
    )
