"""`signerctl cluster manifests`: writes the folder that `kubectl apply -k` applies to one cluster."""

import re
from pathlib import Path
from typing import Final

import click

from csr_signer.rfc1123 import IS_SUBDOMAIN
from csr_signer.violation import quote
from signerctl.cluster import folder, rendering, terraform_output
from signerctl.options import ACTIONS, INPUT, approver_option
from signerctl.program import Command
from signerctl.text import warn

# A repository as in the OCI distribution specification, with the registry's host and port; no tag.
_IMAGE: Final = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*@sha256:[0-9a-f]{64}", re.ASCII
)
_NO_GUARDS: Final = "none"
_MOST_REPLICAS: Final = 9  # the exporter's own limit


def _image(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not _IMAGE.fullmatch(value):
        must = "must be REPOSITORY@sha256:DIGEST, without a tag, which can point to other code after its review"
        raise click.BadParameter(f"{quote(value)}: {must}; docker push prints the digest")
    return value


def _secret(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not IS_SUBDOMAIN.fullmatch(value):
        raise click.BadParameter(f"{quote(value)}: must be the name of a Secret in the exporter's namespace")
    return value


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
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The cluster's folder, for example in your git repository. The command makes it if it does not exist.",
)
@click.option(
    "--guards",
    default="deny",
    show_default=True,
    type=click.Choice([*ACTIONS, _NO_GUARDS]),
    help="What the API server does with a request that breaks a guard's rule: audit and warn let it pass. none: no"
    " guards, for Kubernetes before 1.30.",
)
@approver_option
@click.option(
    "--replicas",
    default=2,
    show_default=True,
    type=click.IntRange(1, _MOST_REPLICAS),
    help="Number of exporters, each on its own node. With 3, two remain if a node fails.",
)
@click.option(
    "--image-pull-secret",
    callback=_secret,
    metavar="NAME",
    help="Secret in the exporter's namespace with which the nodes pull the image from a private registry.",
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
    dry_run: bool,
) -> None:
    r"""Write the manifests of one cluster, and show what changes.

    You need it when you add a cluster, and again after each change of Terraform's outputs, of the exporter's image or
    of signerctl. The folder is complete: `kubectl apply -k` needs no other file, and you edit nothing in it. The
    command replaces and deletes only files that it wrote, so you may keep files of your own beside them.

    \b
    Example:
      terraform output -json | signerctl cluster manifests --terraform-output - --cluster prod \
        --image registry.example.com/csr-exporter@sha256:... --out clusters/prod
      kubectl apply -k clusters/prod

    Next: commit the folder, and apply it. infra/cluster/README.md says what the files are.
    """
    found = terraform_output.read(path, cluster)
    guarded = terraform_output.load_guarded(found, approvers=approvers)
    for name in sorted(set(found.signer_names) - set(guarded.signer_names)):
        warn(f"{name}: this signer has no CA certificate yet: make it, apply again, and run this command again")
    rendered = rendering.render(
        found,
        guarded,
        rendering.Options(
            image=image,
            image_pull_secret=image_pull_secret,
            replicas=replicas,
            actions=ACTIONS.get(guards, ()),
        ),
    )
    changes = folder.compare(out, rendered)
    if changes and not dry_run:
        folder.write(out, changes, rendered)
    for change in changes:
        click.echo(change.diff(), nl=False)
    if not changes:
        click.echo(f"{out}: nothing changes")
    if not dry_run:
        namespaces = ", ".join(guarded.namespaces)
        click.echo(f"Next: kubectl apply -k {out} (these namespaces must exist: {namespaces})", err=True)
