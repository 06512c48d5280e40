"""`signerctl guards`: prints the cluster's admission policies, made from the function's configuration document."""

from dataclasses import replace
from pathlib import Path

import click

from signerctl.guards import guarded, manifest
from signerctl.guards.guarded import Exporter
from signerctl.interface.program import Command
from signerctl.interface.text import warn
from signerctl.options import ACTIONS, DOCUMENT, approver_option, exporter_option, secret_name, username


@click.command(cls=Command)
@click.option(
    "--configuration",
    required=True,
    type=DOCUMENT,
    help="The function's configuration document. This command does not read the certificates that it names.",
)
@click.option("--cluster", required=True, help="The cluster's key in the document.")
@click.option(
    "--function-user",
    required=True,
    callback=username,
    help="The function's username at the API server; on GKE, the email of the service account that the function"
    " impersonates.",
)
@approver_option
@exporter_option
@click.option(
    "--metrics-tls",
    callback=secret_name,
    metavar="NAME",
    help="The Secret that the exporter's pods mount for TLS on their metrics, as for `cluster manifests`.",
)
@click.option(
    "--action",
    default="deny",
    show_default=True,
    type=click.Choice(list(ACTIONS)),
    help="What the API server does with a request that breaks a rule: audit and warn let it pass.",
)
def guards(
    *,
    configuration: Path,
    cluster: str,
    function_user: str,
    approvers: tuple[str, ...],
    exporter: Exporter,
    metrics_tls: str | None,
    action: str,
) -> None:
    r"""Print admission policies that guard CSRs in the cluster.

    You need them because RBAC cannot say which pod owns a CSR. Without them, another pod can take a CSR's name or
    delete the CSR, and an approver can rewrite a decision. Generate the policies again when profile, release or
    signerNames change. The cluster needs Kubernetes 1.30 or later. `cluster manifests` writes the same policies into
    the cluster's folder; this command is for deployments without Terraform.

    \b
    Example:
      signerctl guards --configuration function.yaml --cluster prod \
        --function-user csr-access-prod@p.iam.gserviceaccount.com > guards.yaml

    Next: kubectl apply -f guards.yaml. docs/guards.md says what the policies prevent, and what they cannot.
    """
    found = guarded.load(
        configuration,
        cluster=cluster,
        function=function_user,
        approvers=approvers,
        exporter=replace(exporter, secret=metrics_tls),
    )
    for message in found.warnings:
        warn(message)
    click.echo(manifest.render(manifest.documents(found, actions=ACTIONS[action])), nl=False)
