"""`signerctl expiring`: the certificates that expire soon."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from csr_signer import field_error
from signerctl import log_bucket, objects
from signerctl.api_server import cluster_options, connect
from signerctl.interface import clock
from signerctl.interface.durations import DURATION
from signerctl.interface.output import Form, output_options
from signerctl.interface.program import Command, CommandError
from signerctl.key_pairs import catalog
from signerctl.recorded import Certificate
from signerctl.recorded.certificate_table import print_certificates
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
    with --log-bucket, the command reads 400 days unless --since says otherwise.

    The certificates of `signerctl key-pairs` are in Secrets, and a restarted pod uses the same one. So with
    --kubeconfig, a component's newest certificate is listed as long as its service account has any pod. POD is the pod
    that it was requested for, which may be gone. `signerctl key-pairs --dry-run` reads the Secrets themselves.

    \b
    Examples:
      signerctl expiring --records function.log --within 30d
      signerctl expiring --records year.json --cluster prod --kubeconfig prod.kubeconfig
    """
    if records.bucket is not None and records.since is None:
        records = replace(records, since=log_bucket.MAX_PERIOD)
    limit = clock.now() + within
    latest = list(_latest(records.certificates()))
    if kubeconfig is not None or context is not None:
        latest = list(_of_live_pods(latest, kubeconfig, context))
    found = [each for each in latest if each.not_after <= limit]
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


def _of_live_pods(latest: list[Certificate], kubeconfig: Path | None, context: str | None) -> Iterator[Certificate]:
    """Returns the certificates of pods that exist, and each key pair's newest one if a pod may mount it.

    A record does not say whether an init container or `signerctl key-pairs` requested a key pair's certificate, so an
    older certificate counts too as long as its own pod exists.

    Raises:
        CommandError: The records are of several clusters.
    """
    clusters = sorted({each.cluster for each in latest})
    if len(clusters) > 1:
        must = f"must choose the kubeconfig's cluster, because the records are of {', '.join(clusters[:20])}"
        raise CommandError(field_error.required("--cluster", must))
    api = connect(kubeconfig, context)
    namespaces = {each.pod.partition("/")[0] for each in latest}
    uids, requesters = set(), set()
    for namespace in namespaces:
        for pod in api.list(f"/api/v1/namespaces/{namespace}/pods", objects.POD):
            uids.add(pod["metadata"]["uid"])
            requesters.add(f"{objects.SERVICE_ACCOUNT}{namespace}:{pod['spec'].get('serviceAccountName', 'default')}")
    seen = set()
    for each in latest:
        of_component = (each.signer_name, each.component, each.requester)
        is_newest = of_component not in seen
        seen.add(of_component)
        is_in_secret = is_newest and catalog.is_key_pair(each.csr_name) and each.requester in requesters
        if each.pod_uid in uids or is_in_secret:
            yield each
