"""`signerctl renew`: replaces pods whose certificates expire soon."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Final

import click

from csr_signer import field_error
from csr_signer.violation import quote
from signerctl.api_server import ApiServer, cluster_options, connect
from signerctl.guards.guarded import ACCOUNT
from signerctl.interface import clock, progress
from signerctl.interface.durations import DURATION, DurationType, expires_in
from signerctl.interface.output import Column, Form, output_options, print_list
from signerctl.interface.program import Command
from signerctl.interface.progress import Say
from signerctl.options import DOCUMENT, remaining_option, signer_name
from signerctl.recorded import Certificate
from signerctl.recorded.source import Records, record_options
from signerctl.renewal import requesters, validity
from signerctl.renewal.eviction import Renewal
from signerctl.renewal.pods import POD, Pod
from signerctl.renewal.requesters import Requesters
from signerctl.renewal.validity import Holder

_COLUMNS: Final = (
    Column(title="pod"),
    Column(title="owner"),
    Column(title="expires in"),
    Column(title="state"),
    Column(title="node", wide=True),
    Column(title="not after", wide=True),
    Column(title="source", wide=True),
    Column(title="replacement", wide=True),
)


def _requesters(
    context: click.Context, parameter: click.Parameter, values: Sequence[tuple[str, str, str]]
) -> tuple[Requesters, ...]:
    found = []
    for name, lifetime, accounts in values:
        signer_name(context, parameter, name)
        names = tuple(accounts.split(","))
        if wrong := next((each for each in names if not ACCOUNT.fullmatch(each)), None):
            raise click.BadParameter(f"{quote(wrong)}: must be NAMESPACE/SERVICE_ACCOUNT")
        found.append(Requesters(signer_name=name, lifetime=DURATION.convert(lifetime, None, None), accounts=names))
    return tuple(found)


@click.command(cls=Command)
@click.option(
    "--configuration",
    type=DOCUMENT,
    metavar="FILE",
    help="The function's configuration document: it says which pods hold certificates, and their lifetime.",
)
@click.option("--cluster", metavar="NAME", help="The cluster's key in the document. Default: the only one.")
@click.option(
    "--requesters",
    "signers",
    nargs=3,
    multiple=True,
    callback=_requesters,
    metavar="NAME LIFETIME ACCOUNTS",
    help="Instead of --configuration: a signerName, the certificates' lifetime, and the service accounts"
    " NAMESPACE/NAME,... whose pods hold them. May be given several times.",
)
@record_options(required=False, filters=False)
@remaining_option("Renew a pod if less than this part of its certificate's lifetime is left.")
@click.option(
    "--timeout",
    default="10m",
    show_default=True,
    type=DurationType(below=timedelta(hours=1)),  # Kubernetes deletes an issued CSR after an hour
    metavar="DURATION",
    help="How long one pod may take, including the wait for a PodDisruptionBudget. Less than 60m, because Kubernetes"
    " deletes issued CSRs after an hour.",
)
@click.option("--dry-run", is_flag=True, help="Show which pods are due, and evict none.")
@progress.log_option
@cluster_options
@output_options
def renew(
    *,
    configuration: Path | None,
    cluster: str | None,
    signers: tuple[Requesters, ...],
    records: Records,
    remaining: Fraction,
    timeout: timedelta,
    dry_run: bool,
    log_format: str,
    kubeconfig: Path | None,
    context: str | None,
    form: Form,
) -> None:
    r"""Replace pods whose certificates expire soon.

    Calico asks for a certificate when a pod starts, and never again. A certificate without a record is as old as its
    pod. This command evicts pods whose certificate has less than a third of its lifetime left: one at a time, the
    oldest certificate first. It waits until the replacement is Ready and has its certificate. It respects each
    PodDisruptionBudget, and a DaemonSet's maxUnavailable: if it cannot evict a pod yet, it continues with other pods
    and tries that one again later. If a replacement is not complete in time, it evicts no more pods and the exit status
    is 1. You can interrupt it; to continue, run the same command again.

    \b
    Example:
      signerctl renew --configuration configuration.yaml --cluster prod --dry-run
      signerctl renew --configuration configuration.yaml --cluster prod

    docs/renew.md says how to run it as a CronJob, and what to do when it stops.
    """

    def show(holders: Sequence[Holder], replacements: Mapping[str, Pod | None]) -> None:
        if log_format == progress.TEXT:
            _show(holders, replacements, form=form)

    with progress.logging_run(log_format, progress.STOPPED) as say:
        chosen = _chosen(configuration, cluster, signers)
        api = connect(kubeconfig, context)
        found = _holders(api, chosen, records, remaining, say, named=signers)
        if dry_run:
            show(found, {})
            return
        renewal = Renewal(api=api, signer_names=[each.signer_name for each in chosen], timeout=timeout, say=say)
        due = [each for each in found if each.due]
        replacements: dict[str, Pod | None] = {}
        try:
            for old, new in renewal.run([each.pod for each in due]):
                replacements[old.uid] = new
        finally:
            show(due, replacements)


def _holders(
    api: ApiServer,
    chosen: Sequence[Requesters],
    records: Records,
    remaining: Fraction,
    say: Say,
    *,
    named: Sequence[Requesters],
) -> Sequence[Holder]:
    """Returns the pods with certificates, sorted by expiry, the earliest first.

    Says which accounts of `named`, the values of --requesters, have no pods. Only a ServiceAccount could tell a wrong
    name from a component that does not run, and the CronJob has no right to read ServiceAccounts.
    """
    known = validity.recorded(_certificates(records, chosen))
    pods = list(_pods(api, chosen))
    found = validity.holders(pods, chosen, known, now=clock.now(), remaining=remaining)
    for account in sorted(requesters.accounts(named) - {each.account for each in pods}):
        why = "no pod has this service account: check the name, unless the component does not run in this cluster"
        say(progress.NO_POD, field_error.not_found("--requesters", account, why), {"account": account})
    accounts, due = requesters.accounts(chosen), sum(each.due for each in found)
    skipped = sum(each.account in accounts and each.owner is None for each in pods)
    left_out = f" ({skipped} others have no controller that would replace them)" if skipped else ""
    say("renewal_planned", f"{len(found)} pods hold certificates{left_out}, {due} are due", {"due": due})
    return found


def _chosen(configuration: Path | None, cluster: str | None, signers: tuple[Requesters, ...]) -> tuple[Requesters, ...]:
    if configuration is not None:
        if signers:
            raise click.UsageError("--requesters: Forbidden: together with --configuration")
        return requesters.from_configuration(configuration, cluster)
    if cluster is not None:
        raise click.UsageError("--cluster: Forbidden: without --configuration")
    if not signers:
        raise click.UsageError("--configuration: Required value: or give --requesters")
    return signers


def _certificates(records: Records, chosen: Iterable[Requesters]) -> Iterable[Certificate]:
    names = {each.signer_name for each in chosen}
    return (each for each in records.certificates() if each.signer_name in names)


def _pods(api: ApiServer, chosen: Iterable[Requesters]) -> Iterable[Pod]:
    for namespace in requesters.namespaces(chosen):
        yield from map(Pod.from_api, api.list(f"/api/v1/namespaces/{namespace}/pods", POD))


def _show(holders: Sequence[Holder], replacements: Mapping[str, Pod | None], *, form: Form) -> None:
    now = clock.now()
    items = [_item(each, replacements) for each in holders]
    rows = [_row(each, item, now) for each, item in zip(holders, items, strict=True)]
    print_list(_COLUMNS, rows, items, form=form)


def _item(holder: Holder, replacements: Mapping[str, Pod | None]) -> dict[str, str]:
    pod = holder.pod
    replacement = replacements.get(pod.uid)
    return {
        "pod": pod.path,
        "owner": f"{pod.owner.kind}/{pod.owner.name}" if pod.owner else "",
        "not_after": holder.validity.end.isoformat(timespec="seconds"),
        "state": "renewed" if pod.uid in replacements else "due" if holder.due else "not_due",
        "node": pod.node,
        "source": "record" if holder.validity.recorded else "pod_creation",
        "replacement": replacement.path if replacement else "",
    }


def _row(holder: Holder, item: Mapping[str, str], now: datetime) -> tuple[str, ...]:
    return (
        item["pod"],
        item["owner"],
        expires_in(holder.validity.end, now),
        item["state"].replace("_", " "),
        item["node"],
        item["not_after"],
        item["source"].replace("_", " "),
        item["replacement"],
    )
