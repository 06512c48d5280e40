"""Renders the files of one cluster's folder from the templates beside this module."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2

from signerctl import manifest
from signerctl.cluster.chosen_options import KUSTOMIZATION, Options
from signerctl.cluster.terraform_output import ClusterOutput
from signerctl.guarded import Guarded
from signerctl.options import ACTIONS

TEMPLATES: Final = Path(__file__).parent / "templates"
CONFIGURATION: Final = "configuration.json"
MARK: Final = "# Written by `signerctl cluster manifests`"
"""The start of each YAML file's first line: the command replaces and deletes only files that start with it."""
HEADER: Final = f"""\
{MARK} from Terraform's outputs. To change it, run the command again: it replaces the
# whole file, and shows what changes.
"""
NO_GUARDS: Final = "none"


def render(cluster: ClusterOutput, guarded: Guarded, options: Options) -> Mapping[str, str]:
    """Returns the files of the cluster's folder by name.

    Raises:
        CommandError: The guards need an approver.
    """
    names = ["namespace.yaml", "exporter.yaml", "function.yaml"]
    if cluster.network == "pod":
        names.append("network-policy.yaml")
    facts = {
        "approves": guarded.approves,
        "certifies_addresses": guarded.certifies_addresses,
        "function_user": cluster.function_user,
        "google_service_account": cluster.google_service_account,
        "host_network": cluster.network == "host",
        "image": options.image,
        "image_pull_secret": options.image_pull_secret,
        "namespace": cluster.exporter.namespace,
        "replicas": options.replicas,
        "requester_namespaces": guarded.namespaces,
        "service_account": cluster.exporter.service_account,
        "signs": guarded.signer_names,
        "token_audience": cluster.token_audience,
    }
    found = {name: _rendered(name, facts) for name in names}
    if options.guards != NO_GUARDS:
        policies = manifest.documents(guarded, actions=ACTIONS[options.guards])
        found["guards.yaml"] = manifest.render(policies, header=HEADER)
    found[CONFIGURATION] = _configuration(cluster.exporter_configuration, options.replicas)
    resources = [name for name in found if name != CONFIGURATION]
    comment = options.comment(cluster.name)
    found[KUSTOMIZATION] = _rendered(KUSTOMIZATION, {**facts, "resources": resources}, comment=comment)
    return found


def function_rights(guarded: Guarded) -> str:
    """Returns the manifest of the function's rights alone, which follow from the function's own document."""
    facts = {
        "approves": guarded.approves,
        "certifies_addresses": guarded.certifies_addresses,
        "function_user": guarded.function,
        "requester_namespaces": guarded.namespaces,
        "signs": guarded.signer_names,
    }
    return _rendered("function.yaml", facts)


def _rendered(name: str, facts: Mapping[str, Any], *, comment: str = "") -> str:
    return HEADER + comment + _ENVIRONMENT.get_template(f"{name}.j2").render(facts)


def _configuration(content: Mapping[str, Any], replicas: int) -> str:
    given = content.get("replicas")
    counted = {**(given if isinstance(given, dict) else {}), "count": replicas}
    return json.dumps({**content, "replicas": counted}, indent=2) + "\n"


# Every value becomes JSON, which is YAML too, so that no value can be read as another type or change the structure.
_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=False,  # noqa: S701 - it escapes HTML
    finalize=json.dumps,
    keep_trailing_newline=True,
    lstrip_blocks=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
)
