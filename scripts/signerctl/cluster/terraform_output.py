"""Parses the output of `terraform output -json` as the facts about one cluster.

A writer of Terraform's state is not trusted: each value must match the grammar of what our root module renders. The
grammar cannot tell the operator's project from another one. So the operator repeats the function's username, which gets
the rights.
"""

import json
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from csr_signer import field_error
from csr_signer.errors import ConfigurationError
from csr_signer.rfc1123 import IS_SUBDOMAIN
from csr_signer.violation import quote
from signerctl import files
from signerctl.cluster import exporter_configuration
from signerctl.cluster.exporter_configuration import ExporterConfiguration
from signerctl.guards import guarded
from signerctl.guards.guarded import Exporter, Guarded
from signerctl.interface.program import CommandError

NETWORKS: Final = ("host", "pod")
OUTPUTS: Final = ("documents", "exporter_configurations", "manifests")
_LARGEST: Final = 16 * 1024 * 1024  # about ten kilobytes for each cluster, and the profiles
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_DOCUMENT: Final = "configuration.yaml"
# The guards refuse other pods in the exporter's namespace, and `kubectl delete -k` deletes the namespace.
_NAMESPACE: Final = r"(?!default$|kube-|calico|tigera)[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
_ACCOUNT: Final = rf"(?!default$){IS_SUBDOMAIN.pattern}"
# Only the cluster's project may be domain-scoped, as in `_AUDIENCE`: infra/variables.tf refuses such a `project`.
_PROJECT: Final = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
_FUNCTION: Final = rf"(csr-access-{{cluster}}|gcp:[a-z][a-z0-9-]+)@{_PROJECT}\.iam\.gserviceaccount\.com"
_EXPORTER: Final = rf"csr-exporter-{{cluster}}@{_PROJECT}\.iam\.gserviceaccount\.com"
# On GKE, the project's identity pool; otherwise the cluster's own provider. By default, no API server accepts them.
_POOLS: Final = r"//iam\.googleapis\.com/projects/[0-9]+/locations/global/workloadIdentityPools"
_AUDIENCE: Final = rf"([a-z0-9.-]+:)?{_PROJECT}\.svc\.id\.goog|{_POOLS}/csr-exporter-{{cluster}}/providers/cluster"
_PRINT: Final = "print all outputs of the root module with `terraform output -json`"
_APPLY: Final = "use signerctl and infra/ of the same version, apply again, and print the outputs again"
_CHANGED: Final = f"{_APPLY}; if the value stays, another program changed Terraform's state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOutput:
    """What Terraform says about one cluster.

    Attributes:
        name: The cluster's key in the variable `clusters`.
        documents: The function's files by name: the configuration document, the profiles and the certificates.
        exporter: The exporter's namespace and service account.
        exporter_configuration: What the exporter's configuration document says.
        function_user: The function's username at the API server.
        network: Whether the exporter uses the host network or the pod network.
        signer_names: All signerNames of the cluster, also of signers without a CA certificate.
        token_audience: The audience of the exporter's projected token; None on the pod network, which needs no token.
    """

    name: str
    documents: Mapping[str, str]
    exporter: Exporter
    exporter_configuration: ExporterConfiguration
    function_user: str
    network: Literal["host", "pod"]
    signer_names: tuple[str, ...]
    token_audience: str | None


def read(path: Path, cluster: str) -> ClusterOutput:
    """Reads one cluster's facts.

    Args:
        path: The output of `terraform output -json`; `-` is standard input.
        cluster: The cluster's key.

    Raises:
        CommandError: The file is not Terraform's output, lacks the cluster, the cluster's signers have no CA
            certificate yet, or our root module never renders a value.
    """
    source = "standard input" if path == files.STANDARD_INPUT else str(path)
    outputs = _outputs(source, files.read(path, largest=_LARGEST))
    values = _mapping(f"{source}: manifests", outputs["manifests"])
    if cluster not in values:
        raise CommandError(field_error.not_found("--cluster", cluster, f"{source} has {quote(sorted(values))}"))
    where = f"{source}: manifests.{cluster}"
    value = _mapping(where, values[cluster])
    configurations = _mapping(f"{source}: exporter_configurations", outputs["exporter_configurations"])
    if cluster not in configurations:
        raise CommandError(
            field_error.invalid(
                "--cluster",
                cluster,
                "must have a signer with a CA certificate: make the certificate (`terraform output -json next_steps`"
                " has the command), apply again with it, and print the outputs again",
            )
        )
    network = value.get("exporter_network")
    if network not in NETWORKS:
        raise CommandError(field_error.unsupported(f"{where}.exporter_network", [str(network)], NETWORKS))

    def text(key: str, pattern: str) -> str:
        return _text(f"{where}.{key}", value.get(key), pattern.replace("{cluster}", re.escape(cluster)))

    audience = None if network == "pod" else text("token_audience", _AUDIENCE)
    try:
        configuration = exporter_configuration.parse(
            f"{source}: exporter_configurations.{cluster}",
            configurations[cluster],
            token_audience=audience,
            service_account=text("google_service_account", _EXPORTER),
        )
    except CommandError as error:
        raise CommandError(f"{error.message}: {_CHANGED}") from error
    return ClusterOutput(
        name=cluster,
        documents=_documents(f"{source}: documents", outputs["documents"]),
        exporter=Exporter(
            namespace=text("namespace", _NAMESPACE), service_account=text("exporter_service_account", _ACCOUNT)
        ),
        exporter_configuration=configuration,
        function_user=text("function_user", _FUNCTION),
        network="pod" if network == "pod" else "host",
        signer_names=_texts(f"{where}.signs", value.get("signs")),
        token_audience=audience,
    )


def load_guarded(cluster: ClusterOutput, *, approvers: Collection[str]) -> Guarded:
    """Returns the facts that the function's rights and the guards need, from the function's own documents.

    Raises:
        CommandError: The configuration document has no signer for the cluster, it or a profile is invalid, or an output
            has a value that Terraform never gives it.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in cluster.documents.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        try:
            found = guarded.load(
                Path(folder, _DOCUMENT),
                cluster=cluster.name,
                function=cluster.function_user,
                approvers=approvers,
                exporter=cluster.exporter,
            )
        except (CommandError, ConfigurationError) as error:
            raise CommandError(f"output documents: {str(error).replace(f'{folder}/', '')}") from error
    for violation in _violations(cluster, found):
        raise CommandError(f"{violation}: {_CHANGED}")
    return found


def _violations(cluster: ClusterOutput, found: Guarded) -> Iterator[str]:
    """Yields values that disagree with the function's own document."""
    if cluster.exporter.namespace in found.namespaces:
        must = "must be a namespace for the exporter alone"
        yield field_error.invalid(f"output manifests.{cluster.name}.namespace", cluster.exporter.namespace, must)
    document, given = f"output exporter_configurations.{cluster.name}", cluster.exporter_configuration
    if given.source != found.selection.source:
        yield field_error.invalid(f"{document}: source", given.source, f"must be {quote(found.selection.source)}")
    signers = [(signer.signer_name, signer.approve) for signer in found.selection.signers]
    if sorted(given.signers) != sorted(signers):
        yield field_error.malformed(f"{document}: signers", "must be those of the function's configuration document")


def _outputs(source: str, text: bytes) -> Mapping[str, Any]:
    if text.split() in ([], [b"{}"]):
        ask = "no outputs: is this the folder of main.tf, and did you apply?"
        raise CommandError(field_error.required(source, f"{ask} In that folder, {_PRINT}"))
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()  # refuses text that is not Unicode, which JSON can escape
    except (ValueError, RecursionError) as error:
        raise CommandError(field_error.malformed(source, f"must be JSON: {_PRINT}: {error}")) from error
    if not isinstance(content, dict) or not all(
        isinstance(output, dict) and "value" in output for output in content.values()
    ):
        raise CommandError(field_error.malformed(source, f"must be Terraform's outputs: {_PRINT}"))
    for name in OUTPUTS:
        if name not in content:
            must = f"must be an output of your root module, as in infra/examples: add it, apply, and {_PRINT}"
            raise CommandError(field_error.required(f"{source}: {name}", must))
        if content[name].get("sensitive"):
            why = "a sensitive output, because its values go into a folder for git: remove `sensitive`, and apply again"
            raise CommandError(field_error.forbidden(f"{source}: {name}", why))
    return {name: content[name]["value"] for name in OUTPUTS}


def _documents(where: str, value: object) -> Mapping[str, str]:
    documents = _mapping(where, value)
    for name, text in documents.items():
        if not _FILE_NAME.fullmatch(name) or not isinstance(text, str):
            raise CommandError(
                field_error.invalid(
                    where, name, f"must be a file name of at most 80 characters, with its text: {_APPLY}"
                )
            )
    if _DOCUMENT not in documents:
        raise CommandError(field_error.required(f"{where}.{_DOCUMENT}", _APPLY))
    return documents


def _mapping(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CommandError(field_error.malformed(where, f"must be a mapping: {_APPLY}"))
    return value


def _text(where: str, value: object, pattern: str) -> str:
    must = f"must match {pattern}: {_CHANGED}"
    if not isinstance(value, str):
        raise CommandError(_wrong(where, value, must))
    if not re.fullmatch(pattern, value):
        raise CommandError(field_error.invalid(where, value, must))
    return value


def _texts(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise CommandError(_wrong(where, value, f"must be a list of strings: {_APPLY}"))
    return tuple(value)


def _wrong(where: str, value: object, must: str) -> str:
    return field_error.required(where, must) if value is None else f"{where}: Invalid value: {must}"
