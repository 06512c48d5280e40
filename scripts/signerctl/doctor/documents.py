"""The two configuration documents: the function's, and the exporter's."""

import click

from csr_signer import field_error
from csr_signer.configuration import loader
from csr_signer.configuration.schema import Document
from csr_signer.document import read
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote
from signerctl import files, objects
from signerctl.doctor import exporter_document, result
from signerctl.doctor.examination import Examination
from signerctl.doctor.exporter_document import METADATA_SERVER, ExporterDocument
from signerctl.doctor.result import Result

_APPLY = (
    "give the deployed document, which `terraform output documents` has; if this is the deployed one, correct it, and"
    " apply again: terraform apply deploys it with the function"
)
_RENDER = "run `signerctl cluster manifests` with Terraform's present outputs, and apply the folder"
_COMPARE = (
    "one of the two is old, or of another cluster: first compare --configuration with `terraform output documents`;"
    f" only if it is the deployed one, {_RENDER}"
)


def configuration(examination: Examination) -> Result:
    """Checks that the function could load its document.

    Raises:
        click.UsageError: The document does not have the cluster, or it has several and none is chosen.
    """
    try:
        examination.document = read(Document, examination.options.configuration)
        examination.configuration = loader.load(examination.options.configuration)
    except ConfigurationError as error:
        return result.error(f"{examination.options.configuration}: {error}", _APPLY)
    clusters = sorted(examination.configuration.clusters)
    wanted = examination.options.cluster or (clusters[0] if len(clusters) == 1 else "")
    if not wanted:
        raise click.UsageError(field_error.required("--cluster", f"must be one of {', '.join(clusters)}"))
    if wanted not in clusters:
        raise click.UsageError(field_error.unsupported("--cluster", [wanted], clusters))
    examination.cluster = wanted
    if not examination.signers:
        return result.error(f"signers: Required value: cluster {quote(wanted)} has no signer", _APPLY)
    warnings = [text for (name, _), text in examination.configuration.release_warnings.items() if name == wanted]
    if warnings:
        return result.warning("; ".join(warnings), "upgrade the function, or write the release that runs")
    names = ", ".join(signer.signer_name for signer in examination.signers)
    return result.ok(f"{examination.options.configuration}: cluster {wanted}, {names}")


def exporter_configuration(examination: Examination) -> Result:
    """Checks that the exporter's document names the function's cluster, its signers, and an allowed caller."""
    path = examination.options.exporter_configuration
    if path is not None:
        where, text = str(path), files.read(path).decode("utf-8", "replace")
    else:
        located = _from_cluster(examination)
        if isinstance(located, Result):
            return located
        where, text = located
    examination.exporter = exporter_document.parse(text, where=where)
    if path is None and (foreign := list(examination.exporter.foreign_urls())):
        return result.error(
            f"{where}: {'; '.join(foreign)}",
            "find out who wrote it; if the URL is yours, give doctor the document with --exporter-configuration",
        )
    violations = _violations(examination, examination.exporter)
    if violations:
        found = f"{where} does not belong to --configuration: {'; '.join(violations)}"
        return result.error(found, _COMPARE)
    return result.ok(f"{where}: sends events to {examination.exporter.url}")


def _from_cluster(examination: Examination) -> tuple[str, str] | Result:
    """Returns the document in the ConfigMap that the exporter's pods mount, and its place."""
    namespace = examination.options.exporter.namespace
    if examination.stateful_set is None:
        return result.error(
            f"StatefulSet {namespace}/csr-exporter: Not found: the exporter is not in this cluster",
            "kubectl apply -k the cluster's folder; if the exporter runs elsewhere, give --exporter-configuration",
        )
    maps = [
        each["configMap"]["name"]
        for each in examination.volumes
        if each["name"] == "configuration" and "configMap" in each
    ]
    where = f"ConfigMap {namespace}/{maps[0] if maps else 'csr-exporter-configuration'}"
    # Whoever may write the StatefulSet chooses the name: it stays one segment of the path.
    path = objects.named(f"/api/v1/namespaces/{namespace}/configmaps", maps[0]) if maps else ""
    document = examination.api.get(path, {"data": {"configuration.json": None}}) if path else None
    if document is None or "configuration.json" not in (document.get("data") or {}):
        return result.error(f"{where}: Not found: configuration.json", _RENDER)
    return where, str(document["data"]["configuration.json"])


def _violations(examination: Examination, exporter: ExporterDocument) -> list[str]:
    cluster = examination.cluster_configuration
    violations = []
    if exporter.source != cluster.source:
        violations.append(f"source: Invalid value: {quote(exporter.source)}: must be {quote(cluster.source)}")
    unwatched = sorted({signer.signer_name for signer in examination.signers} - set(exporter.signer_names))
    violations += [f"signers: Required value: {quote(name)}, which --configuration has" for name in unwatched]
    account = "" if exporter.federation is None else exporter.federation.service_account
    if cluster.invokers and exporter.identity != METADATA_SERVER and account not in cluster.invokers:
        allowed = ", ".join(map(quote, cluster.invokers))
        violations.append(f"identity.service_account: Invalid value: {quote(account)}: must be one of {allowed}")
    return violations
