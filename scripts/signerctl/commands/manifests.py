"""`signerctl cluster manifests`: writes the folder that `kubectl apply -k` applies to one cluster."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from csr_signer import field_error
from csr_signer.violation import quote
from signerctl.cluster import chosen_options, folder, grants, option_values, removal, rendering, terraform_output
from signerctl.cluster.chosen_options import NO_MONITORING, Options
from signerctl.cluster.rendering import NO_GUARDS
from signerctl.guards.guarded import Guarded
from signerctl.interface.program import Command, CommandError, InterruptedCommandError, OutputError
from signerctl.interface.text import one_line, warn
from signerctl.options import ACTIONS, INPUT, secret_name

_MOST_REPLICAS: Final = 9  # the exporter's own limit


@click.command(cls=Command)
@click.option(
    "--terraform-output",
    "path",
    required=True,
    type=INPUT,
    metavar="FILE",
    help="The output of `terraform output -json` of your root module; - is standard input.",
)
@click.option("--cluster", required=True, metavar="NAME", help="The cluster's key in Terraform's variable `clusters`.")
@click.option(
    "--image",
    required=True,
    callback=option_values.image,
    metavar="REPOSITORY@sha256:DIGEST",
    help="The exporter's image, with the digest that the registry printed when you pushed it.",
)
@click.option(
    "--out",
    required=True,
    is_eager=True,
    callback=option_values.out,
    metavar="FOLDER",
    help="The cluster's folder, for example in your git repository. The command makes it if it does not exist.",
)
@click.option(
    "--function-user",
    callback=option_values.function_user,
    metavar="USERNAME",
    help="The function's username at the API server: the folder lets this user approve and sign. Required for a new"
    " folder and when it changes. Take it from your main.tf, not from Terraform's outputs:"
    " csr-access-CLUSTER@PROJECT.iam.gserviceaccount.com; with access oidc gcp:NAME@PROJECT.iam.gserviceaccount.com.",
)
@click.option(
    "--guards",
    default="deny",
    show_default=True,
    type=click.Choice([*ACTIONS, NO_GUARDS]),
    help="What the API server does with a request that breaks a guard's rule: audit and warn let it pass. none: no"
    " guards, for Kubernetes before 1.30.",
)
@click.option(
    "--approver",
    "approvers",
    multiple=True,
    callback=option_values.approvers,
    help="Username of another principal that may approve and deny. May be given several times.",
)
@click.option(
    "--replicas",
    default=2,
    show_default=True,
    type=click.IntRange(1, _MOST_REPLICAS),
    help="Number of exporters, each on its own node. With 3, two remain if a node fails.",
)
@click.option(
    "--image-pull-secret",
    callback=secret_name,
    metavar="NAME",
    help="Secret in the exporter's namespace with which the nodes pull the image from a private registry.",
)
@click.option(
    "--renewal-image",
    callback=option_values.image,
    metavar="REPOSITORY@sha256:DIGEST",
    help="signerctl's image. With it, the folder has a CronJob that renews certificates: docs/renew.md.",
)
@click.option(
    "--key-pairs-image",
    callback=option_values.image,
    metavar="REPOSITORY@sha256:DIGEST",
    help="signerctl's image. With it, the folder has a CronJob that provides key pairs for Goldmane and Whisker:"
    " docs/key-pairs.md.",
)
@click.option(
    "--node-selector",
    "node_selectors",
    multiple=True,
    callback=option_values.node_selectors,
    metavar="KEY=VALUE",
    help="A label that nodes must have to run the CronJobs. May be given several times.",
)
@click.option(
    "--toleration",
    "tolerations",
    multiple=True,
    callback=option_values.tolerations,
    metavar="KEY[=VALUE][:EFFECT]",
    help="A taint of nodes that the CronJobs tolerate. May be given several times.",
)
@click.option(
    "--metrics",
    callback=option_values.endpoint,
    metavar="ADDRESS:PORT",
    help="Where each exporter serves its metrics to Prometheus, for example 0.0.0.0:9877. Without it, only loopback"
    " serves them.",
)
@click.option(
    "--metrics-tls",
    callback=secret_name,
    metavar="NAME",
    help="Secret in the exporter's namespace with tls.crt, tls.key and ca.crt. The metrics then use TLS, and a scraper"
    " needs a client certificate that the CA in ca.crt issued.",
)
@click.option(
    "--monitoring",
    default=NO_MONITORING,
    show_default=True,
    type=click.Choice(["prometheus-operator", NO_MONITORING]),
    help="prometheus-operator: add monitoring.yaml, with its PodMonitor and PrometheusRule. The cluster must have its"
    " CustomResourceDefinitions.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
def manifests(
    *,
    path: Path,
    cluster: str,
    image: str,
    out: Path,
    function_user: str | None,
    guards: str,
    approvers: tuple[str, ...],
    replicas: int,
    image_pull_secret: str | None,
    renewal_image: str | None,
    key_pairs_image: str | None,
    node_selectors: tuple[str, ...],
    tolerations: tuple[str, ...],
    metrics: str | None,
    metrics_tls: str | None,
    monitoring: str,
    dry_run: bool,
) -> None:
    r"""Write the manifests of one cluster, and show what changes.

    You need it when you add a cluster, and again after each change of Terraform's outputs, of the exporter's image or
    of signerctl. The folder is complete: `kubectl apply -k` needs no other file, and you edit nothing in it. The
    command replaces and deletes only files that it wrote, so you may keep files of your own beside them. The folder
    remembers --approver, --function-user, --guards, --image-pull-secret, --key-pairs-image, --metrics, --metrics-tls,
    --monitoring, --node-selector, --renewal-image, --replicas and --toleration: a run without one of them keeps its
    last value, and an empty value removes an approver, a Secret, the metrics, the renewal, the key pairs, the node
    selectors or the tolerations. For a new folder or another --function-user, the command says what the folder grants
    and to whom.

    \b
    Example:
      terraform output -json | signerctl cluster manifests --terraform-output - --cluster prod \
        --image registry.example.com/csr-exporter@sha256:... --out clusters/prod \
        --function-user csr-access-prod@PROJECT.iam.gserviceaccount.com
      kubectl apply -k clusters/prod

    Next: commit the folder, and apply it. infra/cluster/README.md says what the files are.
    """
    context = click.get_current_context()
    _check(context, out, cluster)
    if kept := " ".join(_kept(context)):
        click.echo(one_line(f"Kept from the last run: {kept}"), err=True)
    found = terraform_output.read(path, cluster)
    _require_function_user(function_user, found.function_user)
    found = replace(found, exporter=replace(found.exporter, secret=metrics_tls))
    guarded = terraform_output.load_guarded(found, approvers=approvers)
    for name in sorted(set(found.signer_names) - set(guarded.signer_names)):
        warn(f"{name}: this signer has no CA certificate yet: make it, apply again, and run this command again")
    for message in guarded.warnings:
        warn(message)
    rendered = rendering.render(
        found,
        guarded,
        Options(
            approvers=approvers,
            guards=guards,
            image=image,
            image_pull_secret=image_pull_secret,
            renewal_image=renewal_image,
            key_pairs_image=key_pairs_image,
            metrics=metrics,
            metrics_tls=metrics_tls,
            monitoring=monitoring,
            node_selectors=node_selectors,
            replicas=replicas,
            tolerations=tolerations,
        ),
    )
    changes = folder.compare(out, rendered)
    is_other_user = function_user != (context.default_map or {}).get("function_user")
    _show(out, changes, grants.lines(rendered, guarded) if is_other_user else ())
    if dry_run:
        return
    if changes:
        try:
            folder.write(out, changes, rendered)
        except KeyboardInterrupt:
            message = f"{out}: interrupted: the folder is incomplete: run the same command again to complete it"
            raise InterruptedCommandError(message) from None
    _tell_next(out, guarded)


def _check(context: click.Context, out: Path, cluster: str) -> None:
    """Refuses the folder of another cluster, and approvers without guards."""
    owner = (context.default_map or {}).get("cluster", cluster)
    if owner != cluster:
        raise CommandError(
            f"--out: Forbidden: {quote(str(out))} is the folder of cluster {quote(owner)}, not of {quote(cluster)}:"
            " give each cluster its own folder; if Terraform renamed the cluster, correct its name in the line"
            f' "# Options:" of {out / chosen_options.KUSTOMIZATION}'
        )
    given = context.get_parameter_source("approvers") is ParameterSource.COMMANDLINE
    if given and context.params["approvers"] and context.params["guards"] == NO_GUARDS:
        raise click.UsageError("--approver: Forbidden: only guards name approvers: give --guards deny, audit or warn")
    has_jobs = context.params["renewal_image"] or context.params["key_pairs_image"]
    for name, option in (("node_selectors", "--node-selector"), ("tolerations", "--toleration")):
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and context.params[name] and not has_jobs:
            raise click.UsageError(f"{option}: Forbidden: needs --renewal-image or --key-pairs-image too")
    for name in ("metrics_tls", "monitoring"):
        if context.params[name] not in (None, NO_MONITORING) and context.params["metrics"] is None:
            raise click.UsageError(f"--{name.replace('_', '-')}: Forbidden: needs --metrics ADDRESS:PORT too")


def _require_function_user(given: str | None, output: str) -> None:
    """Refuses a username of Terraform's outputs that the operator has not named, for this folder or for its last run.

    A writer of Terraform's state could name another account, which may then approve and sign.

    Raises:
        CommandError: The operator named no user, or another one.
    """
    if given == output:
        return
    must = (
        "must be the function's user, who may approve and sign: csr-access-CLUSTER@PROJECT.iam.gserviceaccount.com, or"
        " with access oidc gcp:NAME@PROJECT.iam.gserviceaccount.com, with the PROJECT and NAME of main.tf. Terraform's"
        f" outputs name {quote(output)}: if main.tf does not give this user, another program changed Terraform's state,"
        " and you must not apply the folder"
    )
    option = "--function-user"
    raise CommandError(
        field_error.required(option, must) if given is None else field_error.invalid(option, given, must)
    )


def _kept(context: click.Context) -> Iterator[str]:
    """Yields the options that the folder gave and that are not the command's defaults."""
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params[name]
        if context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP and value != parameter.default:
            for each in value if isinstance(value, tuple) else (value,):
                yield f"{parameter.opts[0]} {shlex.quote(str(each))}"


def _show(out: Path, changes: tuple[folder.Change, ...], granted: Iterable[str]) -> None:
    """Prints the changes, what the folder grants, and what the operator must delete in the cluster.

    Args:
        out: The folder.
        changes: The changes of its files; of a new folder, only their names are printed.
        granted: What the folder grants, if the operator must review it.

    Raises:
        CommandError: Standard output is full, or its reader has ended.
    """
    if not changes:
        text = f"{out}: nothing changes\n"
    elif all(change.before is None for change in changes):
        text = "".join(f"{change.path}: new file\n" for change in changes)
    else:
        text = "".join(change.diff() for change in changes)
    text += "".join(f"{line}\n" for line in granted)
    try:
        click.echo(text, nl=False)
    except OutputError as error:
        raise CommandError(f"{error.message}: no file was changed") from error
    _list("kubectl apply deletes nothing. After it, delete what the folder no longer has:", removal.commands(changes))


def _tell_next(out: Path, guarded: Guarded) -> None:
    _list(
        "Next, if `kubectl config current-context` prints this cluster:",
        [
            *(f"kubectl create namespace {each}   # only if it does not exist" for each in guarded.namespaces),
            f"kubectl apply -k {shlex.quote(str(out))}",
        ],
    )


def _list(title: str, commands: Iterable[str]) -> None:
    lines = [f"  {each}" for each in commands]
    if lines:
        click.echo("\n".join([title, *lines]), err=True)
