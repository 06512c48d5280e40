"""Renders the files of one cluster's folder from the templates beside this module."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import jinja2

from csr_signer.violation import quote
from signerctl.cluster import monitoring, placement
from signerctl.cluster.chosen_options import KUSTOMIZATION, NO_MONITORING, TEMPLATES, Options
from signerctl.cluster.exporter_configuration import HEALTH_PORT
from signerctl.cluster.terraform_output import ClusterOutput
from signerctl.guards import admission, manifest
from signerctl.guards.guarded import Guarded
from signerctl.interface.program import CommandError
from signerctl.key_pairs import catalog, policy
from signerctl.key_pairs.catalog import KeyPair
from signerctl.options import ACTIONS
from signerctl.renewal import requesters

CONFIGURATION: Final = "configuration.json"
MARK: Final = "# Written by `signerctl cluster manifests`"
"""The start of each YAML file's first line: the command replaces and deletes only files that start with it."""
HEADER: Final = f"""\
{MARK} from Terraform's outputs. To change it, run the command again: it replaces the
# whole file, and shows what changes.
"""
NO_GUARDS: Final = "none"
_SHORT_LIFETIME: Final = timedelta(days=21)
_LONGEST_NAMESPACE: Final = 63
_MONITORING: Final = "monitoring.yaml"
_KEY_PAIRS: Final = "key-pairs.yaml"


def render(cluster: ClusterOutput, guarded: Guarded, options: Options) -> Mapping[str, str]:
    """Returns the files of the cluster's folder by name.

    Raises:
        CommandError: The guards need an approver, or the renewal's namespace would have too long a name.
    """
    names = ["namespace.yaml", "exporter.yaml", "function.yaml"]
    if cluster.network == "pod":
        names.append("network-policy.yaml")
    if options.renewal_image is not None:
        names.append("renewal.yaml")
    if options.key_pairs_image is not None:
        names.append(_KEY_PAIRS)
    endpoint = None if options.metrics is None else monitoring.endpoint(options.metrics)
    facts = {
        "approves": guarded.approves,
        "certifies_addresses": guarded.certifies_addresses,
        "function_user": cluster.function_user,
        "google_service_account": cluster.exporter_configuration.service_account,
        "health_port": HEALTH_PORT,
        "host_network": cluster.network == "host",
        "image": options.image,
        "image_pull_secret": options.image_pull_secret,
        "metrics_files": monitoring.FILES,
        "metrics_port": None if endpoint is None else endpoint.port,
        "metrics_tls": options.metrics_tls,
        "namespace": cluster.exporter.namespace,
        "node_selector": dict(map(placement.label, options.node_selectors)),
        "renewal_arguments": _arguments(
            "renew", (("--requesters", *each.arguments) for each in requesters.of(guarded))
        ),
        "renewal_image": options.renewal_image,
        "renewal_namespace": _namespace(cluster, "renewal", options.renewal_image),
        "renewal_schedule": _schedule(guarded),
        "replicas": options.replicas,
        "requester_namespaces": guarded.namespaces,
        "service_account": cluster.exporter.service_account,
        "signs": guarded.signer_names,
        "token_audience": cluster.token_audience,
        "tolerations": list(map(placement.toleration, options.tolerations)),
        **_key_pairs(cluster, guarded, options),
    }
    found = {name: _rendered(name, facts) for name in names}
    if options.guards != NO_GUARDS:
        policies = manifest.documents(guarded, actions=ACTIONS[options.guards])
        found["guards.yaml"] = manifest.render(policies, header=HEADER)
    if options.key_pairs_image is not None:
        found[_KEY_PAIRS] += _key_pairs_policies(cluster, guarded, options)
    if options.monitoring != NO_MONITORING:
        found[_MONITORING] = _rendered(_MONITORING, facts) + monitoring.rules()
    section = {} if endpoint is None else {"metrics": monitoring.section(endpoint, tls=bool(options.metrics_tls))}
    configuration = {**cluster.exporter_configuration.document(replicas=options.replicas), **section}
    found[CONFIGURATION] = json.dumps(configuration, indent=2) + "\n"
    resources = [name for name in found if name != CONFIGURATION]
    comment = options.comment(cluster=cluster.name, function_user=cluster.function_user)
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


def _namespace(cluster: ClusterOutput, purpose: str, image: str | None) -> str:
    """Returns the namespace of a CronJob: the guards allow only the exporter's pods in the exporter's own."""
    namespace = f"{cluster.exporter.namespace}-{purpose}"
    if image is not None and len(namespace) > _LONGEST_NAMESPACE:
        most = f"Kubernetes allows {_LONGEST_NAMESPACE} characters: choose a shorter exporter_namespace"
        raise CommandError(f"--{purpose}-image: Forbidden: its namespace would be {quote(namespace)}, and {most}")
    return namespace


def _key_pairs(cluster: ClusterOutput, guarded: Guarded, options: Options) -> Mapping[str, Any]:
    """Returns the facts of key-pairs.yaml; none without it."""
    if options.key_pairs_image is None:
        return {}
    if options.guards == NO_GUARDS:
        must = "without its policies it could get the token of every account in the Secrets' namespaces"
        raise CommandError(f"--key-pairs-image: Forbidden: together with --guards {NO_GUARDS}: {must}")
    chosen = guarded.selection
    signers = [signer for signer in chosen.signers if signer.profile.name == catalog.PROFILE]
    if len(signers) != 1:
        must = f"the cluster must have one signer with the profile {catalog.PROFILE}: it has {len(signers)}"
        raise CommandError(f"--key-pairs-image: Forbidden: {must}")
    pairs = _pairs(guarded)
    options_of_command = (
        ("--signer", signers[0].signer_name),
        ("--release", str(signers[0].profile.release)),
        ("--cluster-domain", chosen.cluster_domain),
    )
    return {
        "key_pair_accounts": _grouped((pair.namespace, pair.service_account) for pair in pairs),
        "key_pair_secrets": _grouped((pair.secret_namespace, pair.secret) for pair in pairs),
        "key_pairs_arguments": _arguments("key-pairs", options_of_command),
        "key_pairs_image": options.key_pairs_image,
        "key_pairs_namespace": _namespace(cluster, "key-pairs", options.key_pairs_image),
    }


def _arguments(command: str, options: Iterable[Sequence[str]]) -> list[str]:
    """Returns signerctl's arguments in a CronJob."""
    return [command, "--log-format=json", *(value for option in options for value in option)]


def _key_pairs_policies(cluster: ClusterOutput, guarded: Guarded, options: Options) -> str:
    """Returns the policies that bound the CronJob's rights; they are in force whatever the action of the guards."""
    namespace = _namespace(cluster, "key-pairs", options.key_pairs_image)
    documents = policy.policies(_pairs(guarded), username=f"system:serviceaccount:{namespace}:csr-key-pairs")
    bound = [each for document in documents for each in (document, admission.binding(document, actions=("Deny",)))]
    return "---\n" + manifest.dump(bound)


def _pairs(guarded: Guarded) -> tuple[KeyPair, ...]:
    return catalog.of(guarded.selection.profiles, cluster_domain=guarded.selection.cluster_domain)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Returns the second values by the first ones, both sorted."""
    found: dict[str, set[str]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: sorted(values) for key, values in sorted(found.items())}


def _schedule(guarded: Guarded) -> str:
    """Returns a cron schedule: daily, or hourly if the third of a lifetime in which pods are due is short."""
    return "17 * * * *" if min(guarded.lifetimes.values()) < _SHORT_LIFETIME else "17 6 * * *"


def _rendered(name: str, facts: Mapping[str, Any], *, comment: str = "") -> str:
    return HEADER + comment + _ENVIRONMENT.get_template(f"{name}.j2").render(facts)


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
