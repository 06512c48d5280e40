"""Parses the output of `terraform output -json` as the facts about one cluster."""

import json
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from csr_signer import field_error
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote
from signerctl import files
from signerctl.guards import guarded
from signerctl.guards.guarded import Exporter, Guarded
from signerctl.interface.program import CommandError

NETWORKS: Final = ("host", "pod")
OUTPUTS: Final = ("documents", "exporter_configurations", "manifests")
_LARGEST: Final = 16 * 1024 * 1024  # about ten kilobytes for each cluster, and the profiles
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_DOCUMENT: Final = "configuration.yaml"
_TOKEN_FILE: Final = "/var/run/secrets/csr-exporter/token"  # noqa: S105 - a path
# The guards refuse other pods in the exporter's namespace, and `kubectl delete -k` deletes the namespace.
_OWN_NAMESPACE: Final = re.compile(r"(?!default$|kube-)[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PRINT: Final = "print all outputs of the root module with `terraform output -json`"
_APPLY: Final = "use signerctl and infra/ of the same version, apply again, and print the outputs again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOutput:
    """What Terraform says about one cluster.

    Attributes:
        name: The cluster's key in the variable `clusters`.
        documents: The function's files by name: the configuration document, the profiles and the certificates.
        exporter: The exporter's namespace and service account.
        exporter_configuration: The exporter's configuration document.
        function_user: The function's username at the API server.
        google_service_account: The email address of the exporter's Google service account.
        network: Whether the exporter uses the host network or the pod network.
        signer_names: All signerNames of the cluster, also of signers without a CA certificate.
        token_audience: The audience of the exporter's projected token; None on the pod network, which needs no token.
    """

    name: str
    documents: Mapping[str, str]
    exporter: Exporter
    exporter_configuration: Mapping[str, Any]
    function_user: str
    google_service_account: str
    network: Literal["host", "pod"]
    signer_names: tuple[str, ...]
    token_audience: str | None


def read(path: Path, cluster: str) -> ClusterOutput:
    """Reads one cluster's facts.

    Args:
        path: The output of `terraform output -json`; `-` is standard input.
        cluster: The cluster's key.

    Raises:
        CommandError: The file is not Terraform's output, lacks the cluster, or the cluster's signers have no CA
            certificate yet.
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
    network = _text(where, value, "exporter_network")
    if network not in NETWORKS:
        raise CommandError(field_error.unsupported(f"{where}.exporter_network", [network], NETWORKS))
    return ClusterOutput(
        name=cluster,
        documents=_documents(f"{source}: documents", outputs["documents"]),
        exporter=Exporter(
            namespace=_text(where, value, "namespace"),
            service_account=_text(where, value, "exporter_service_account"),
        ),
        exporter_configuration=_exporter_configuration(
            f"{source}: exporter_configurations.{cluster}", configurations[cluster]
        ),
        function_user=_text(where, value, "function_user"),
        google_service_account=_text(where, value, "google_service_account"),
        network="pod" if network == "pod" else "host",
        signer_names=_texts(f"{where}.signs", value.get("signs")),
        token_audience=None if network == "pod" else _text(where, value, "token_audience"),
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
        raise CommandError(f"{violation}: {_APPLY}; if the value stays, another program changed Terraform's state")
    return found


def _violations(cluster: ClusterOutput, found: Guarded) -> Iterator[str]:
    """Yields values that our root module never prints: they would give rights to others, or send tokens elsewhere."""
    manifest = f"output manifests.{cluster.name}"
    if cluster.function_user.startswith("system:"):
        yield field_error.forbidden(f"{manifest}.function_user", "names that begin with system:")
    namespace = cluster.exporter.namespace
    if not _OWN_NAMESPACE.fullmatch(namespace) or namespace in found.namespaces:
        yield field_error.invalid(f"{manifest}.namespace", namespace, "must be a namespace for the exporter alone")
    document = f"output exporter_configurations.{cluster.name}"
    content = cluster.exporter_configuration
    signers, function, identity = (content.get(key) for key in ("signers", "function", "identity"))
    if not isinstance(signers, list) or not all(isinstance(each, dict) for each in signers):
        yield f"{document}: signers: Invalid value: must be a list of objects"
    elif sorted(str(each.get("signer_name")) for each in signers) != list(found.signer_names):
        yield f"{document}: signers: Invalid value: must be the signers of the function's configuration document"
    if not isinstance(function, dict) or function.get("url") != f"{function.get('audience')}/":
        yield f"{document}: function.url: Invalid value: must be function.audience and a slash"
    if not isinstance(identity, dict) or identity.get("token_file", _TOKEN_FILE) != _TOKEN_FILE:
        yield f'{document}: identity.token_file: Unsupported value: supported values: "{_TOKEN_FILE}"'


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


def _exporter_configuration(where: str, value: object) -> Mapping[str, Any]:
    try:
        content = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CommandError(field_error.malformed(where, f"must be the exporter's configuration as JSON: {_APPLY}"))
    return content


def _mapping(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CommandError(field_error.malformed(where, f"must be a mapping: {_APPLY}"))
    return value


def _text(where: str, values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value:
        raise CommandError(_wrong(f"{where}.{key}", value, f"must be a non-empty string: {_APPLY}"))
    return value


def _texts(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise CommandError(_wrong(where, value, f"must be a list of strings: {_APPLY}"))
    return tuple(value)


def _wrong(where: str, value: object, must: str) -> str:
    return field_error.required(where, must) if value is None else f"{where}: Invalid value: {must}"
