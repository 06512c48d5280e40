"""`signerctl expiring`: the certificates that expire soon."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from csr_signer import field_error
from signerctl.api_server import cluster_options, connect
from signerctl.certificate_table import print_certificates
from signerctl.durations import DURATION
from signerctl.output import Form, output_options
from signerctl.program import Command, CommandError
from signerctl.recorded import Certificate
from signerctl.recorded.source import Records, record_options


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
    with --log-bucket, give --since the lifetime, such as 365d, because the default is a day.

    \b
    Examples:
      signerctl expiring --records function.log --within 30d
      signerctl expiring --records year.json --cluster prod --kubeconfig prod.kubeconfig
    """
    limit = datetime.now(UTC) + within
    found = [each for each in _latest(records.certificates()) if each.not_after <= limit]
    if kubeconfig is not None or context is not None:
        found = list(_of_live_pods(found, kubeconfig, context))
    print_certificates(sorted(found, key=lambda each: each.not_after), form=form)


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
        pod["metadata"]["uid"] for namespace in namespaces for pod in api.list(f"/api/v1/namespaces/{namespace}/pods")
    }
    return (each for each in found if each.pod_uid in live)
