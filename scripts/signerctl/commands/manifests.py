"""`signerctl cluster manifests`: writes the folder that `kubectl apply -k` applies to one cluster."""

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from csr_signer.violation import quote
from signerctl.cluster import chosen_options, folder, removal, rendering, terraform_output
from signerctl.cluster.chosen_options import NO_MONITORING, Options
from signerctl.cluster.monitoring import endpoint
from signerctl.cluster.rendering import NO_GUARDS
from signerctl.guards.guarded import Guarded
from signerctl.interface.program import Command, CommandError
from signerctl.interface.text import one_line, warn
from signerctl.options import ACTIONS, INPUT, secret_name, username

# A repository as in the OCI distribution specification, with the registry's host and port; no tag.
_REPOSITORY: Final = re.compile(r"(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", re.ASCII)
_TAG: Final = re.compile(r"(.*):([^:/]*)", re.DOTALL)
_ALGORITHM: Final = "sha256:"
_DIGITS: Final = 64
_MOST_REPLICAS: Final = 9  # the exporter's own limit


def _image(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or (not value and not parameter.required):
        return None
    if wrong := "; ".join(_wrong_parts(value)):
        must = f"must be REPOSITORY@sha256:DIGEST: {wrong}; docker push prints the digest"
        raise click.BadParameter(f"{quote(value)}: {must}")
    return value


def _wrong_parts(image: str) -> Iterator[str]:
    """Yields what is wrong with each part of an image's name."""
    repository, at, digest = image.partition("@")
    if tagged := _TAG.fullmatch(repository):
        repository = tagged[1]
        yield f"remove the tag {quote(tagged[2])}, which can point to other code after its review"
    if not _REPOSITORY.fullmatch(repository):
        yield f"the repository {quote(repository)} must be HOST[:PORT]/NAME, with NAME in lower case"
    if not at:
        yield "the digest is missing"
    elif not digest.startswith(_ALGORITHM):
        yield f"the digest must start with {_ALGORITHM}"
    elif len(digits := digest.removeprefix(_ALGORITHM)) != _DIGITS:
        yield f"the digest must have {_DIGITS} characters after {_ALGORITHM}, and has {len(digits)}"
    elif not re.fullmatch("[0-9a-f]*", digits):
        yield "the digest must have only the characters 0 to 9 and a to f"


def _approvers(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return () if value == ("",) else tuple(username(context, parameter, value))


def _out(context: click.Context, _parameter: click.Parameter, value: str) -> Path:
    """Makes the options of the folder's last run the defaults of the other options."""
    if not value:
        raise click.BadParameter('"": must be a folder; . is the current one')
    path = Path(value)
    context.default_map = dict(chosen_options.read(path))
    return path


def _endpoint(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        if value:
            endpoint(value)
    except ValueError as error:
        raise click.BadParameter(f"{quote(value)}: {error}") from error
    return value or None


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
    callback=_image,
    metavar="REPOSITORY@sha256:DIGEST",
    help="The exporter's image, with the digest that the registry printed when you pushed it.",
)
@click.option(
    "--out",
    required=True,
    is_eager=True,
    callback=_out,
    metavar="FOLDER",
    help="The cluster's folder, for example in your git repository. The command makes it if it does not exist.",
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
    callback=_approvers,
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
    callback=_image,
    metavar="REPOSITORY@sha256:DIGEST",
    help="signerctl's image. With it, the folder has a CronJob that renews certificates: docs/renew.md.",
)
@click.option(
    "--key-pairs-image",
    callback=_image,
    metavar="REPOSITORY@sha256:DIGEST",
    help="signerctl's image. With it, the folder has a CronJob that provides key pairs for Goldmane and Whisker:"
    " docs/key-pairs.md.",
)
@click.option(
    "--metrics",
    callback=_endpoint,
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
    guards: str,
    approvers: tuple[str, ...],
    replicas: int,
    image_pull_secret: str | None,
    renewal_image: str | None,
    key_pairs_image: str | None,
    metrics: str | None,
    metrics_tls: str | None,
    monitoring: str,
    dry_run: bool,
) -> None:
    r"""Write the manifests of one cluster, and show what changes.

    You need it when you add a cluster, and again after each change of Terraform's outputs, of the exporter's image or
    of signerctl. The folder is complete: `kubectl apply -k` needs no other file, and you edit nothing in it. The
    command replaces and deletes only files that it wrote, so you may keep files of your own beside them. The folder
    remembers --approver, --guards, --image-pull-secret, --key-pairs-image, --metrics, --metrics-tls, --monitoring,
    --renewal-image and --replicas: a run without one of them keeps its last value, and an empty value removes an
    approver, a Secret, the metrics, the renewal or the key pairs.

    \b
    Example:
      terraform output -json | signerctl cluster manifests --terraform-output - --cluster prod \
        --image registry.example.com/csr-exporter@sha256:... --out clusters/prod
      kubectl apply -k clusters/prod

    Next: commit the folder, and apply it. infra/cluster/README.md says what the files are.
    """
    context = click.get_current_context()
    _check(context, out, cluster)
    if kept := " ".join(_kept(context)):
        click.echo(one_line(f"Kept from the last run: {kept}"), err=True)
    found = terraform_output.read(path, cluster)
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
            replicas=replicas,
        ),
    )
    changes = folder.compare(out, rendered)
    _show(out, changes)
    if dry_run:
        return
    if changes:
        try:
            folder.write(out, changes, rendered)
        except KeyboardInterrupt:
            raise CommandError(f"{out}: interrupted: the folder is unfinished: the same command completes it") from None
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
    for name in ("metrics_tls", "monitoring"):
        if context.params[name] not in (None, NO_MONITORING) and context.params["metrics"] is None:
            raise click.UsageError(f"--{name.replace('_', '-')}: Forbidden: needs --metrics ADDRESS:PORT too")


def _kept(context: click.Context) -> Iterator[str]:
    """Yields the options that the folder gave and that are not the command's defaults."""
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params[name]
        if context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP and value != parameter.default:
            for each in value if isinstance(value, tuple) else (value,):
                yield f"{parameter.opts[0]} {shlex.quote(str(each))}"


def _show(out: Path, changes: tuple[folder.Change, ...]) -> None:
    """Prints the changes, and what the operator must delete in the cluster.

    Raises:
        CommandError: Standard output is full or closed.
    """
    if not changes:
        text = f"{out}: nothing changes\n"
    elif all(change.before is None for change in changes):
        text = "".join(f"{change.path}: new file\n" for change in changes)
    else:
        text = "".join(change.diff() for change in changes)
    if sys.stdout is None:  # closed before Python started; click would print nothing
        raise CommandError("standard output: cannot write: it is closed: no file was changed")
    try:
        click.echo(text, nl=False)
    except OSError as error:
        # At its end, Python writes what is left in the buffer, and would print another error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError(f"standard output: cannot write: {error.strerror}: no file was changed") from error
    _list("kubectl apply deletes nothing. After it, delete what the folder no longer has:", removal.commands(changes))


def _tell_next(out: Path, guarded: Guarded) -> None:
    missing = (each for each in guarded.namespaces if each != guarded.exporter.namespace)
    _list(
        "Next, if `kubectl config current-context` prints this cluster:",
        [
            *(f"kubectl create namespace {each}   # only if it does not exist" for each in missing),
            f"kubectl apply -k {shlex.quote(str(out))}",
        ],
    )


def _list(title: str, commands: Iterable[str]) -> None:
    lines = [f"  {each}" for each in commands]
    if lines:
        click.echo("\n".join([title, *lines]), err=True)
