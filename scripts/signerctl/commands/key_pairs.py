"""`signerctl key-pairs`: provides Secrets for components that do not request their own certificates."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

import click
from cryptography import x509

from csr_signer import field_error
from csr_signer.errors import ConfigurationError
from csr_signer.policy import profile
from signerctl import files, installation
from signerctl.api_server import ApiServer, cluster_options, connect
from signerctl.guards import guarded
from signerctl.interface import clock, progress
from signerctl.interface.durations import DURATION, expires_in
from signerctl.interface.output import Column, Form, output_options, print_list
from signerctl.interface.program import Command, CommandError
from signerctl.key_pairs import catalog, need
from signerctl.key_pairs.catalog import KeyPair
from signerctl.key_pairs.need import Need
from signerctl.key_pairs.provision import Issued, Provider
from signerctl.options import DOCUMENT, INPUT, remaining_option, signer_name

_COLUMNS: Final = (
    Column(title="component"),
    Column(title="secret"),
    Column(title="state"),
    Column(title="expires in"),
    Column(title="why"),
    Column(title="pod", wide=True),
    Column(title="not after", wide=True),
)
_UNPROVIDED: Final = ("absent", "unused", "foreign")
_INSTALLATION: Final = "/apis/operator.tigera.io/v1/installations/default"


@click.command("key-pairs", cls=Command)
@click.argument("components", nargs=-1, metavar="[COMPONENT]...")
@click.option(
    "--configuration",
    type=DOCUMENT,
    metavar="FILE",
    help="The function's configuration document: it has the signer and the profile's release.",
)
@click.option("--cluster", metavar="NAME", help="The cluster's key in the document. Default: the only one.")
@click.option(
    "--signer",
    callback=signer_name,
    metavar="SIGNERNAME",
    help="The signerName. Use it with --release instead of --configuration. The profile is calico.",
)
@click.option("--release", metavar="RELEASE", help="With --signer: Calico's release, such as 3.31.")
@click.option(
    "--cluster-domain", default="cluster.local", show_default=True, help="The cluster's DNS domain. Only with --signer."
)
@click.option(
    "--trust-bundle",
    type=INPUT,
    metavar="FILE",
    help="The CAs that the components trust. Default: caCert of the cluster's Installation.",
)
@click.option(
    "--replace",
    multiple=True,
    metavar="NAMESPACE/NAME",
    help="Replace this Secret although signerctl did not create it. May be given several times.",
)
@remaining_option("Renew a certificate if less than this part of its lifetime is left.")
@click.option(
    "--timeout",
    default="90s",
    show_default=True,
    type=DURATION,
    metavar="DURATION",
    help="How long to wait for each certificate.",
)
@click.option("--dry-run", is_flag=True, help="Show the state of each key pair, and change nothing.")
@progress.log_option
@cluster_options
@output_options
def key_pairs(
    *,
    components: tuple[str, ...],
    configuration: Path | None,
    cluster: str | None,
    signer: str | None,
    release: str | None,
    cluster_domain: str,
    trust_bundle: Path | None,
    replace: tuple[str, ...],
    remaining: Fraction,
    timeout: timedelta,
    dry_run: bool,
    log_format: str,
    kubeconfig: Path | None,
    context: str | None,
    form: Form,
) -> None:
    r"""Provide key pairs for Goldmane, Whisker and other components that do not request them.

    The tigera operator gives these components an empty volume in place of a key pair, until a Secret exists. This
    command makes a key, files a CSR with a token of the component's live pod, checks the certificate, and writes the
    Secret, which then has the private key. It renews its own Secrets when less than a third of the lifetime is left. It
    changes a Secret that it did not create only with --replace. Without COMPONENT, it handles all components of the
    profile.

    \b
    Example:
      signerctl key-pairs --configuration configuration.yaml --cluster prod --dry-run
      signerctl key-pairs --configuration configuration.yaml --cluster prod

    docs/key-pairs.md says what it needs, and how to run it as a CronJob.
    """
    with progress.logging_run(log_format, progress.FAILED) as say:
        known = _catalog(configuration, cluster, signer, release, cluster_domain)
        _refuse_unknown("COMPONENT", components, {each.component for each in known})
        _refuse_unknown("--replace", replace, {each.path for each in known})
        wanted = [each for each in known if not components or each.component in components]
        api = connect(kubeconfig, context)
        provider = Provider(api=api, anchors=_anchors(api, trust_bundle), timeout=timeout)
        look = partial(_need, api, anchors=provider.anchors, remaining=remaining)
        needs = [look(pair, replace=replace) for pair in wanted]
        due = [each.key_pair for each in needs if each.is_due]
        failed = [] if dry_run else _provide(provider, due, partial(look, replace=replace), say)
        if log_format == progress.TEXT:
            _show(needs if dry_run else [look(pair) for pair in wanted], form=form)
        missing = [each for each in needs if components and each.state in _UNPROVIDED]
        for each in missing:
            say(progress.FAILED, f"{each.key_pair.component}: {each.why}", {"component": each.key_pair.component})
        if failed or missing:
            click.get_current_context().exit(1)


def _catalog(
    configuration: Path | None, cluster: str | None, signer: str | None, release: str | None, cluster_domain: str
) -> tuple[KeyPair, ...]:
    if configuration is not None:
        if signer is not None or release is not None:
            raise click.UsageError("--signer: Forbidden: together with --configuration")
        chosen = guarded.select(configuration, cluster)
        return catalog.of(chosen.profiles, cluster_domain=chosen.cluster_domain)
    if signer is None and release is None:
        raise click.UsageError("--configuration: Required value: or give --signer and --release")
    if signer is None:
        raise click.UsageError("--signer: Required value: together with --release")
    if release is None:
        raise click.UsageError("--release: Required value: together with --signer: Calico's release, such as 3.31")
    try:
        rows = profile.load(catalog.PROFILE, release=release, namespaces=["calico-system"], folder=Path())
    except ConfigurationError as error:
        raise click.UsageError(f"--release: {error}") from error
    return catalog.of({signer: rows}, cluster_domain=cluster_domain)


def _refuse_unknown(name: str, values: Iterable[str], known: Iterable[str]) -> None:
    unknown, supported = sorted(set(values) - set(known)), sorted(known)
    if unknown and not supported:
        raise click.UsageError(field_error.forbidden(name, "the release has no component that needs a key pair"))
    if unknown:
        raise click.UsageError(field_error.unsupported(name, unknown, supported))


def _anchors(api: ApiServer, trust_bundle: Path | None) -> tuple[x509.Certificate, ...]:
    """Returns the CAs that the components trust.

    Raises:
        CommandError: They are unknown, or the components are not Calico's. Calico Enterprise's Guardian may impersonate
            users, so a token of its account would be worth more than a key pair.
    """
    found = api.get(_INSTALLATION)
    if found is not None:
        installation.require_calico(found)
    if trust_bundle is not None:
        return files.read_certificates(trust_bundle)
    if found is None:
        must = "the cluster has no Installation of the tigera operator: give the CAs that the components trust"
        raise CommandError(field_error.required("--trust-bundle", must))
    return installation.certificates(found)


def _need(
    api: ApiServer,
    pair: KeyPair,
    *,
    anchors: Sequence[x509.Certificate],
    remaining: Fraction,
    replace: Iterable[str] = (),
) -> Need:
    account = f"spec.serviceAccountName={pair.service_account}"
    pods = api.list(f"/api/v1/namespaces/{pair.namespace}/pods", need.POD, fieldSelector=account)
    secret = api.get(f"/api/v1/namespaces/{pair.secret_namespace}/secrets/{pair.secret}", need.SECRET)
    found = need.assess(pair, pods, secret, anchors=anchors, remaining=remaining, now=clock.now())
    return need.taken_over(found) if pair.path in replace else found


def _provide(
    provider: Provider, due: Iterable[KeyPair], look: Callable[[KeyPair], Need], say: progress.Say
) -> list[KeyPair]:
    """Provides the key pairs that are due, one pod after another, and returns those that failed."""
    by_pod: dict[tuple[str, str], list[KeyPair]] = defaultdict(list)
    for pair in due:
        by_pod[pair.namespace, pair.service_account].append(pair)
    failed: list[KeyPair] = []
    for pairs in by_pod.values():
        _provide_pod(provider, pairs, look, say, failed)
    return failed


def _provide_pod(
    provider: Provider,
    pairs: Iterable[KeyPair],
    look: Callable[[KeyPair], Need],
    say: progress.Say,
    failed: list[KeyPair],
) -> None:
    """Provides the key pairs of one pod. If one fails, the others continue.

    It writes no Secret before each CSR has ended: the operator replaces the pod as soon as it has the first Secret, and
    the pod's tokens become invalid. It reads the pod and the Secret again before each CSR, because earlier
    waits may have taken minutes.
    """
    issued: list[Issued] = []
    for pair in pairs:
        with _recording_failure(pair, say, failed):
            found = look(pair)
            if found.state != "valid":
                issued.append(provider.issue(found))
    for each in issued:
        pair = each.need.key_pair
        with _recording_failure(pair, say, failed):
            provider.write(each)
            end = each.leaf.not_valid_after_utc
            say("key_pair_provided", f"Secret {pair.path}: valid until {end:%Y-%m-%d}", _facts(pair))


@contextmanager
def _recording_failure(pair: KeyPair, say: progress.Say, failed: list[KeyPair]) -> Iterator[None]:
    """Records why a key pair failed, so that the others continue."""
    try:
        yield
    except CommandError as error:
        failed.append(pair)
        say(progress.FAILED, error.message, _facts(pair))


def _facts(pair: KeyPair) -> dict[str, object]:
    return {"component": pair.component, "secret": pair.path}


def _show(needs: Sequence[Need], *, form: Form) -> None:
    now = clock.now()
    items = [_item(each) for each in needs]
    rows = [
        (
            item["component"],
            item["secret"],
            item["state"],
            "" if each.not_after is None else expires_in(each.not_after, now),
            item["why"],
            item["pod"],
            item["not_after"],
        )
        for each, item in zip(needs, items, strict=True)
    ]
    print_list(_COLUMNS, rows, items, form=form, none="the profile has no such component")


def _item(each: Need) -> dict[str, str]:
    pair = each.key_pair
    return {
        "component": pair.component,
        "secret": pair.path,
        "state": each.state,
        "why": each.why,
        "pod": "" if each.pod is None else f"{pair.namespace}/{each.pod['metadata']['name']}",
        "not_after": "" if each.not_after is None else each.not_after.isoformat(timespec="seconds"),
    }
