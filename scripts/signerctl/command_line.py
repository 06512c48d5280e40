"""The commands of `signerctl`: see `signerctl --help`."""

import io
import sys

import click

from csr_signer import VERSION
from signerctl.commands.bundle import bundle
from signerctl.commands.create import create
from signerctl.commands.cross_sign import cross_sign
from signerctl.commands.denied import denied
from signerctl.commands.doctor import doctor
from signerctl.commands.expiring import expiring
from signerctl.commands.explain import explain
from signerctl.commands.guards import guards
from signerctl.commands.import_ import import_
from signerctl.commands.key_pairs import key_pairs
from signerctl.commands.list_ import list_
from signerctl.commands.manifests import manifests
from signerctl.commands.reconcile import reconcile
from signerctl.commands.renew import renew
from signerctl.commands.replay import replay
from signerctl.commands.request import request
from signerctl.commands.show import show
from signerctl.commands.verify import verify
from signerctl.interface.program import EXIT_CODES, Commands


@click.group("signerctl", cls=Commands, epilog=EXIT_CODES)
@click.version_option(VERSION, prog_name="signerctl")
def main() -> None:
    """Manage the issuing CA of kms-csr-signer, and set up and guard its clusters."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A certificate's name may hold characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")


@main.group()
def ca() -> None:
    r"""Create, rotate and inspect CA certificates for Cloud KMS keys.

    \b
    Your own root:         create, bundle, then verify
    Below a corporate CA:  request, import, bundle, then verify
    Rotation:              docs/rotation.md, step by step
    """


@main.group()
def cluster() -> None:
    """Set up a cluster from Terraform's outputs."""


for command in (create, request, import_, cross_sign, show, verify, bundle):
    ca.add_command(command)
cluster.add_command(manifests)
for command in (denied, doctor, expiring, explain, guards, key_pairs, list_, reconcile, renew, replay):
    main.add_command(command)
