"""`signerctl explain`: why a pod or a CSR waits, or was refused."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import click

from csr_signer.audit import EVENTS
from signerctl.api_server import Json, cluster_options
from signerctl.doctor import documents
from signerctl.doctor.examination import Examination, Options
from signerctl.doctor.options import walk_options
from signerctl.explanation import lookup, story, unfiled
from signerctl.explanation.lookup import Found
from signerctl.explanation.story import Cause, Explanation
from signerctl.explanation.trial import STEPS
from signerctl.interface import durations
from signerctl.interface.output import Form, print_document, report_options
from signerctl.interface.program import Command, CommandError
from signerctl.interface.progress import while_waiting
from signerctl.interface.text import one_line, print_hanging
from signerctl.recorded.source import Records, record_options


@click.command(cls=Command)
@click.argument("name", metavar="POD|CSR", help="The name of a pod or of a CSR.")
@click.option("-n", "--namespace", help="The pod's namespace. Default: the namespaces of the profiles.")
@record_options(required=False, filters=False)
@walk_options
@cluster_options
@report_options
def explain(
    *,
    name: str,
    namespace: str | None,
    records: Records,
    options: Options,
    form: Form,
) -> None:
    r"""Say why a pod or a CSR waits, or was refused, and who acts next.

    You need it if a pod does not start because it has no certificate. It reads the pod, its CSRs and their Events, and
    runs the function's decision on this machine, with the configuration document and your credentials. If nothing in
    the request stops it, it looks for the cause as `signerctl doctor` does. It changes nothing.

    \b
    Example:
      signerctl explain calico-node-x7k2p --configuration documents/configuration.yaml
      signerctl explain csr/node-certs:calico-node-x7k2p --configuration documents/configuration.yaml

    Next: do what it says. docs/refusals.md explains each code of a refusal.
    """
    examination = Examination(options=options)
    loaded = documents.configuration(examination)
    if loaded.blocks:
        raise CommandError(f"{loaded.found}: {loaded.remedy}")
    accounts = {
        account
        for signer in examination.signers
        for row in signer.profile.components
        for account in row.service_accounts
    }
    with while_waiting("the API server"):
        found = lookup.find(
            examination.api,
            name,
            namespace=namespace,
            namespaces={account.split("/")[0] for account in accounts},
            signer_names={signer.signer_name for signer in examination.signers},
        )
    with while_waiting("the API server and Cloud KMS"):
        explained = list(_explanations(examination, found, records))
    if any(each.verdict.unacted for each in explained):
        way = story.way_of(examination)
        explained = [story.concluded(each, way) if each.verdict.unacted else each for each in explained]
    accounts_of_peers = {each.account for each in explained if each.verdict.depends_on_peers}
    peers = {account: story.peers_of(examination, account) for account in accounts_of_peers}
    explained = [
        story.accepted(each, peers[each.account]) if each.verdict.depends_on_peers else each for each in explained
    ]
    if not form.is_for_people:
        print_document({"items": [each.document for each in explained]}, form=form)
        return
    for number, each in enumerate(explained):
        if number:
            click.echo()
        _print(each, examination.now)


def _explanations(examination: Examination, found: Found, records: Records) -> Iterator[Explanation]:
    if found.pod is not None and not found.csrs:
        yield unfiled.explain(found.pod, examination)
        return
    # A log may be larger than this machine's memory; only these CSRs' records are kept.
    of_csrs: dict[str, list[Json]] = {csr["metadata"]["uid"]: [] for csr in found.csrs}
    for record in records.of(*EVENTS):
        of_csrs.get(record["csr_uid"], []).append(record)
    for csr in found.csrs:
        yield story.of_csr(csr, examination, of_csrs[csr["metadata"]["uid"]])


_TITLES: Final = {"signer_name": "signer", "service_account": "account"}


def _print(explained: Explanation, now: datetime) -> None:
    judged = explained.verdict
    rows = [(_TITLES.get(title, title), value) for title, value in explained.facts.items() if value]
    rows += [("age", durations.age(now - explained.created)), ("state", judged.state)]
    if explained.step:
        rows.append(("step", f"{explained.step} of {len(STEPS)}: {STEPS[explained.step - 1]}"))
    rows += [("why", judged.why), ("turn", judged.turn)]
    rows += [("to do", judged.remedy)] if judged.remedy else []
    for each in explained.events:
        message = "as above" if each.message and each.message in judged.why else each.message
        rows.append(("event", f"{each.time} {each.kind} {each.name}: {each.reason}: {message}"))
    rows += [("record", _record(each)) for each in explained.records]
    rows += [("unknown" if each.result.level == "unknown" else "doctor", _cause(each)) for each in explained.causes]
    click.echo(one_line(f"{explained.kind} {explained.name}"))
    width = max(len(title) for title, _ in rows)
    for title, value in rows:
        print_hanging([("", 0), (title, width)], value)


def _cause(cause: Cause) -> str:
    remedy = f"; to do: {cause.result.remedy}" if cause.result.remedy else ""
    return f"{cause.check.name}: {cause.result.found}{remedy}"


def _record(record: Json) -> str:
    rest: dict[str, Any] = {key: value for key, value in record.items() if key not in {"time", "event", "message"}}
    facts = "".join(f" {key}={value}" for key, value in rest.items() if key != "violations")
    return f"{record['time']} {record['event']}: {record['message']}{facts}"
