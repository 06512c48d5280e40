"""`signerctl expiring`: the certificates that expire soon."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from csr_signer import field_error
from signerctl import objects
from signerctl.api_server import cluster_options, connect
from signerctl.interface import clock
from signerctl.interface.durations import DURATION
from signerctl.interface.output import Form, output_options
from signerctl.interface.program import Command, CommandError
from signerctl.recorded import Certificate
from signerctl.recorded.certificate_table import print_certificates
from signerctl.recorded.source import Records, record_options

_LONGEST: Final = timedelta(days=400)
"""The lifetime of a certificate of the shipped profiles, and a month."""


@click.command(cls=Command)
@click.option(
    "--within",
    type=DURATION,
    default="30d",
    show_default=True,
    help="The longest time that a listed certificate has left, for example 30d or 12h.",
)
@record_options()
@cluster_options
@output_options
def expiring(*, within: timedelta, records: Records, kubeconfig: Path | None, context: str | None, form: Form) -> None:
    r"""List the pods whose latest certificate expires soon, the next one first.

    The latest certificate of each pod and component counts, so a pod that has got a later one is not listed. Expired
    certificates are listed too. Records do not say which pods still exist: with --kubeconfig or --context, the command
    asks the API server, and lists only pods that do. The records must reach back for the lifetime of a certificate:
    with --log-bucket, the command reads 400 days unless --since says otherwise.

    \b
    Examples:
      signerctl expiring --records function.log --within 30d
      signerctl expiring --records year.json --cluster prod --kubeconfig prod.kubeconfig
    """
    if records.bucket is not None and records.since is None:
        records = replace(records, since=_LONGEST)
    limit = clock.now() + within
    latest = list(_latest(records.certificates()))
    found = [each for each in latest if each.not_after <= limit]
    if kubeconfig is not None or context is not None:
        found = list(_of_live_pods(found, kubeconfig, context))
    none = f"no certificate expires before {limit:%Y-%m-%d}; the records have certificates of {len(latest)} pods"
    print_certificates(sorted(found, key=lambda each: each.not_after), form=form, none=none)


def _latest(newest_first: Iterable[Certificate]) -> Iterator[Certificate]:
    """Returns each pod's latest certificate of each component; a later pod of the same name has replaced the pod."""
    seen = set()
    for each in newest_first:
        owner = (each.cluster, each.signer_name, each.pod, each.component)
        if owner not in seen:
            seen.add(owner)
            yield each


def _of_live_pods(found: list[Certificate], kubeconfig: Path | None, context: str | None) -> Iterator[Certificate]:
    """Returns the certificates whose pods exist.

    Raises:
        CommandError: The records are of several clusters.
    """
    clusters = sorted({each.cluster for each in found})
    if len(clusters) > 1:
        must = f"must choose the kubeconfig's cluster, because the records are of {', '.join(clusters)}"
        raise CommandError(field_error.required("--cluster", must))
    api = connect(kubeconfig, context)
    namespaces = {each.pod.partition("/")[0] for each in found}
    live = {
        pod["metadata"]["uid"]
        for namespace in namespaces
        for pod in api.list(f"/api/v1/namespaces/{namespace}/pods", objects.POD)
    }
    return (each for each in found if each.pod_uid in live)
