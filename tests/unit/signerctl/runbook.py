"""Runs the commands of docs/ca.md and docs/rotation.md exactly as the pages show them.

`signerctl` is the real command, in this process. `gcloud` is a double that creates and disables key versions in KMS's
double. `kubectl` is a double that stores an Installation and restarts Calico's pods. The function is the real code in
this process, with the configuration from the pages' YAML, or from the attributes of Terraform's signer (HCL).
"""

import base64
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from google.cloud.kms_v1 import CryptoKeyVersion

from csr_signer.configuration import loader
from sandbox.kms.client import wait_until_enabled
from tests.paths import DOCS
from tests.unit.signerctl.function import leaf_of
from tests.unit.signerctl.stage import Stage, signerctl, verified

DOCUMENTS: Final = (DOCS / "ca.md", DOCS / "rotation.md")
WORKLOADS: Final = ("daemonset/calico-node", "deployment/calico-typha")
LOCATION: Final = "projects/example-keys/locations/europe-west1"
"""Where the pages' keys are."""
_ASSIGNMENT: Final = re.compile(r"([A-Z]+)=(\S+)")
_ATTRIBUTE: Final = re.compile(r'^(\w+) += (?:file\("\$\{path\.module\}/([^"]+)"\)|"([^"]+)")$', re.MULTILINE)
_KEYS: Final = {"ca_certificate": "certificate", "key_version": "key_version", "trust_bundle": "trust_bundle"}
"""The attributes of Terraform's signer, and their keys in the configuration document."""


def sections() -> dict[str, list[tuple[str, str]]]:
    """Returns the pages' code blocks by heading, each with its language."""
    found: dict[str, list[tuple[str, str]]] = {}
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCUMENTS)
    for part in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        found[title] = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def commands(text: str) -> list[str]:
    """Returns the lines of a shell block; joins continued lines."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def words(line: str) -> list[str]:
    """Splits a line as a shell does, with | and > as separate words."""
    return list(shlex.shlex(line, posix=True, punctuation_chars="|>"))


class SplitError(Exception):
    """A pod refuses another pod's certificate."""


@dataclass(slots=True, kw_only=True)
class Pod:
    """A pod with the certificate and the trusted CAs of its last start.

    Attributes:
        certificate: Leaf and intermediates, PEM.
        trusts: caCert at the time of the start, PEM.
    """

    certificate: bytes
    trusts: bytes


@dataclass(slots=True, kw_only=True)
class Operator:
    """An operator who follows the document.

    Attributes:
        stage: KMS's double.
        folder: The working directory, with all files.
        installation: The cluster's Installation.
        pods: Calico's pods by workload.
    """

    stage: Stage
    folder: Path
    installation: dict[str, Any] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    _variables: dict[str, str] = field(default_factory=dict)
    _attributes: dict[str, str] = field(default_factory=dict)

    def follow(self, title: str, *, only: int | None = None, change: dict[str, str] | None = None) -> list[str]:
        """Runs the code blocks of a section, and returns the output of each command.

        Args:
            title: The heading.
            only: The number of the only block to run; None: all blocks.
            change: Text to replace in the blocks.
        """
        said = []
        for number, (language, text) in enumerate(sections()[title]):
            if only not in (None, number):
                continue
            for old, new in (change or {}).items():
                text = text.replace(old, new)  # noqa: PLW2901 - the same block, changed
            if language == "yaml":
                self.configure(yaml.safe_load(text))
            elif language == "hcl":
                self._attributes = {_KEYS[name]: path or value for name, path, value in _ATTRIBUTE.findall(text)}
            else:
                said += [self.run(line) for line in commands(text)]
        return said

    def run(self, line: str) -> str:
        """Runs one line of a shell block: an assignment, or a pipeline with an optional output file."""
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment:
            self._variables[assignment[1]] = assignment[2]
            return ""
        target, text = None, ""
        for command in self._pipeline(line):
            if ">" in command:
                target = self.folder / command.pop()
                command.remove(">")
            text = getattr(self, f"_{command[0]}")(command[1:], text)
        if target is None:
            return text
        target.write_text(text, encoding="utf-8")
        return ""

    def _pipeline(self, line: str) -> Iterator[list[str]]:
        filled = re.sub(r"\$([A-Z]+)", lambda found: self._variables[found[1]], line)
        command: list[str] = []
        for word in [*words(filled), "|"]:
            if word == "|":
                yield command
                command = []
            else:
                command.append(word)

    def _signerctl(self, arguments: list[str], stdin: str) -> str:
        endpoint = [] if arguments[1] == "bundle" else ["--unsafe-plaintext-kms-endpoint", self.stage.server.endpoint]
        result = signerctl(*arguments[:2], *endpoint, *arguments[2:], stdin=stdin)
        assert result.exit_code == 0, result.output
        assert "warning:" not in result.stderr, result.stderr
        return result.stdout

    def _gcloud(self, arguments: list[str], _stdin: str) -> str:
        verb, *given = arguments[3:]
        number = "" if given[0].startswith("--") else given.pop(0)
        options = dict(zip(given[::2], given[1::2], strict=True))
        location = f"projects/{options['--project']}/locations/{options['--location']}"
        key = f"{location}/keyRings/{options['--keyring']}/cryptoKeys/{options['--key']}"
        if arguments[:3] == ["kms", "keys", "versions"] and verb == "create":
            made = self.stage.client.create_crypto_key_version(parent=key, crypto_key_version=CryptoKeyVersion())
            return wait_until_enabled(self.stage.client, made.name).name
        assert verb == "disable", arguments
        version = CryptoKeyVersion(name=f"{key}/cryptoKeyVersions/{number}", state="DISABLED")
        self.stage.client.update_crypto_key_version(crypto_key_version=version, update_mask={"paths": ["state"]})
        return ""

    def _kubectl(self, arguments: list[str], _stdin: str) -> str:
        match arguments:
            case ["get", "installation", "default", "-o", "yaml"]:
                return yaml.safe_dump(self.installation)
            case ["patch", "installation", "default", "--type", "merge", "--patch-file", name]:
                patch = yaml.safe_load((self.folder / name).read_text(encoding="utf-8"))
                self.installation.setdefault("spec", {}).update(patch["spec"])
            case ["-n", "calico-system", "rollout", "status", workload, "--timeout", _]:
                self.restart(workload)
            case _:
                raise AssertionError(arguments)
        return ""

    def _terraform(self, arguments: list[str], _stdin: str) -> str:
        """`apply` deploys the attributes, and `output -json documents` prints the documents."""
        if arguments == ["apply"]:
            self.configure({**self._attributes, "protection_level": "HSM"})
            return ""
        assert arguments == ["output", "-json", "documents"], arguments
        return json.dumps({name: (self.folder / name).read_text(encoding="utf-8") for name in self.documents()})

    def documents(self) -> tuple[str, ...]:
        """Returns the names of the configuration document and its files."""
        return "configuration.yaml", self._attributes["certificate"], self._attributes["trust_bundle"]

    def _jq(self, _arguments: list[str], stdin: str) -> str:
        return stdin

    def _sh(self, _arguments: list[str], stdin: str) -> str:
        """Writes the documents into their folder, as the shell does with what jq prints."""
        (self.folder / "documents").mkdir(exist_ok=True)
        for name, content in json.loads(stdin).items():
            (self.folder / "documents" / name).write_text(content, encoding="utf-8")
        return ""

    def configure(self, issuer: dict[str, str]) -> None:
        """Deploys the function with this issuer."""
        document = {
            "clusters": {
                "prod": {
                    "source": "//container.googleapis.com/projects/p/locations/l/clusters/prod",
                    "server": "https://example.gke.goog",
                    "authentication": {"google_id_token": {"audience": "https://prod.example.com"}},
                }
            },
            "signers": [
                {
                    "cluster": "prod",
                    "signer_name": self._variables["SIGNER"],
                    "profile": {"name": "calico", "release": "3.31"},
                    "issuer": issuer,
                }
            ],
            "kms": {"unsafe_plaintext_endpoint": self.stage.server.endpoint},
        }
        path = self.folder / "configuration.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        loader.load(path)

    def issue(self) -> bytes:
        """Issues a certificate with the deployed configuration: leaf and intermediates, PEM."""
        (signer,) = loader.load(self.folder / "configuration.yaml").signers.values()
        return leaf_of(self.stage, signer.issuer)

    def published(self) -> bytes:
        """Returns the cluster's current caCert, PEM."""
        return base64.b64decode(self.installation["spec"]["certificateManagement"]["caCert"])

    def restart(self, workload: str) -> None:
        """Restarts a pod: it gets a new certificate, and trusts the current caCert.

        Raises:
            SplitError: A pod then refuses another pod's certificate.
        """
        self.pods[workload] = Pod(certificate=self.issue(), trusts=self.published())
        if failures := self.failed_handshakes():
            raise SplitError("; ".join(failures))

    def failed_handshakes(self) -> list[str]:
        """Verifies every pod's certificate for every pod with openssl, and returns the errors."""
        return [
            f"{one} refuses {other}: {said}"
            for one, trusting in self.pods.items()
            for other, shown in self.pods.items()
            for said in self.refusals(shown.certificate, trusting.trusts)
        ]

    def refusals(self, certificate: bytes, trusted: bytes) -> list[str]:
        """Returns openssl's errors about a certificate and its intermediates."""
        leaf, roots = self.folder / "shown.pem", self.folder / "trusted.pem"
        leaf.write_bytes(certificate)
        roots.write_bytes(trusted)
        return verified(leaf, roots, leaf)
