"""`signerctl ca verify`: checks that certificates, KMS and the cluster match."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from csr_signer import field_error
from csr_signer.ca import issuer
from csr_signer.ca.issuer import Issuer
from csr_signer.configuration import loader
from csr_signer.errors import SignerError
from csr_signer.violation import quote
from signerctl import files, installation
from signerctl.ca import verification
from signerctl.ca.verification import CheckResult
from signerctl.installation import CertificateManagement
from signerctl.interface import clock
from signerctl.interface.output import Form, print_document, report_options
from signerctl.interface.program import Command, CommandError
from signerctl.interface.text import table
from signerctl.key import KmsOptions
from signerctl.options import DOCUMENT, INPUT, key_version, kms_options, signer_name

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """An issuer to check.

    Attributes:
        name: Its name in the output.
        signer_name: The signerName that it serves; None if it is unknown.
        ca: The issuer, as the function loads it.
        lifetime: The default lifetime of its certificates.
        kms: How to reach its key.
        release_warning: Why its profile may not fit the release in the cluster; None if it fits.
    """

    name: str
    signer_name: str | None
    ca: Issuer
    lifetime: timedelta
    kms: KmsOptions
    release_warning: str | None = None


@click.command(cls=Command)
@click.option("--configuration", "document", type=DOCUMENT, help="The function's configuration document.")
@click.option("--cluster", help="Check only the signers of this cluster.")
@click.option("--certificate", type=INPUT, help="Without --configuration: the issuing CA, then its chain, PEM.")
@click.option("--trust-bundle", type=INPUT, help="Without --configuration: the CAs that relying parties trust, PEM.")
@click.option("--key-version", callback=key_version, help="Without --configuration: the KMS key version.")
@click.option("--signer-name", callback=signer_name, help="Without --configuration: the function's signerName.")
@click.option(
    "--installation",
    "installation_file",
    type=INPUT,
    help="The output of `kubectl get installation default -o yaml`; - is standard input.",
)
@report_options
@kms_options
@click.pass_context
def verify(
    context: click.Context,
    *,
    document: Path | None,
    cluster: str | None,
    certificate: Path | None,
    trust_bundle: Path | None,
    key_version: str | None,
    signer_name: str | None,
    installation_file: Path | None,
    form: Form,
    kms: KmsOptions,
) -> None:
    r"""Check that certificates, KMS and the cluster match.

    You need it before you deploy a configuration, after every step of a rotation, and from time to time. It does the
    checks that the function does when it starts, and the checks that Calico's components do on every certificate. It
    lists the result of every check. If there is a violation, its level is error and the exit status is 1.

    \b
    Example:
      kubectl get installation default -o yaml |
        signerctl ca verify --configuration configuration.yaml --installation -

    \b
    Without a configuration document:
      signerctl ca verify --certificate calico-ca.pem --trust-bundle calico-trust.pem \
        --key-version projects/p/locations/l/keyRings/r/cryptoKeys/calico/cryptoKeyVersions/1

    Next: if a CA expires soon, plan the rotation; if caCert differs, `ca bundle` prints the right one.
    """
    now = clock.now()
    named = {"--certificate": certificate, "--trust-bundle": trust_bundle, "--key-version": key_version}
    report = _Results()
    if document is not None:
        if signer_name or any(named.values()):
            raise click.UsageError(
                "--configuration: Forbidden: together with --certificate, --trust-bundle, --key-version or"
                " --signer-name, which the document names itself"
            )
        subjects = report.collect("configuration", lambda: _configured(document, cluster, kms))
    elif certificate is None or trust_bundle is None or key_version is None:
        missing = [option for option, value in named.items() if value is None]
        raise click.UsageError(f"{', '.join(missing)}: Required value: give all three, or only --configuration")
    else:
        pems = files.read(certificate), files.read(trust_bundle)
        subjects = report.collect("files", lambda: [_of_files(*pems, key_version, signer_name, kms)])
    for subject in subjects:
        report.add(subject.name, _check_subject(subject, now))
    if installation_file is not None:
        text = files.read(installation_file)
        found = report.collect("installation", lambda: [installation.parse(text)])
        for management in found:
            report.add("installation", _check_installation(management, subjects, now))
    report.print(form)
    if report.errors:
        context.exit(1)


def _configured(document: Path, cluster: str | None, kms: KmsOptions) -> list[_Subject]:
    loaded = loader.load(document)
    if cluster is not None and cluster not in loaded.clusters:
        raise CommandError(
            field_error.not_found("--cluster", cluster, f"{document} has {quote(sorted(loaded.clusters))}")
        )
    return [
        _Subject(
            name=f"{signer.cluster} {signer.signer_name}",
            signer_name=signer.signer_name,
            ca=signer.issuer,
            lifetime=min(signer.lifetime, signer.profile.lifetime.default),
            kms=KmsOptions(
                endpoint=kms.endpoint or loaded.kms.endpoint,
                unsafe_plaintext_endpoint=kms.unsafe_plaintext_endpoint or loaded.kms.unsafe_plaintext_endpoint,
                protection_level=signer.issuer.protection_level,
                signature_hash=signer.issuer.signature_hash,
            ),
            release_warning=loaded.release_warnings.get(identity),
        )
        for identity, signer in loaded.signers.items()
        if cluster in (None, signer.cluster)
    ]


def _of_files(
    certificate: bytes, trust_bundle: bytes, key_version: str, signer_name: str | None, kms: KmsOptions
) -> _Subject:
    ca = issuer.load(
        key_version=key_version,
        certificate=certificate,
        trust_bundle=trust_bundle,
        protection_level=kms.protection_level,
        signature_hash=kms.signature_hash,
    )
    return _Subject(name="issuer", signer_name=signer_name, ca=ca, lifetime=issuer.DEFAULT_LIFETIME, kms=kms)


def _check_subject(subject: _Subject, now: datetime) -> Iterator[CheckResult]:
    if subject.release_warning is not None:
        yield CheckResult(level="warning", check="profile", message=subject.release_warning)
    yield verification.show_chain(subject.ca)
    yield _check_key(subject)
    yield from verification.check_dates(subject.ca, now, subject.lifetime)
    yield from verification.check_bundle("trust bundle", subject.ca.trust_bundle, subject.ca, now)


def _check_key(subject: _Subject) -> CheckResult:
    try:
        found = verification.check_key(subject.ca, subject.kms.public_key(subject.ca.key_version))
    except SignerError as error:
        return CheckResult(level="error", check="key", message=str(error))
    return CheckResult(level="ok", check="key", message=found)


def _check_installation(
    management: CertificateManagement, subjects: Sequence[_Subject], now: datetime
) -> Iterator[CheckResult]:
    """Compares the Installation with the signer of its signerName, or with the only signer."""
    matching = [subject for subject in subjects if subject.signer_name == management.signer_name]
    compared = subjects if len(subjects) == 1 else matching
    if len(compared) == 1:
        signer_name = compared[0].signer_name
        yield from verification.check_installation(management, compared[0].ca, now, signer_name=signer_name)
    elif subjects:
        names = ", ".join(subject.name for subject in compared or subjects)
        must = "choose one of its signers with --cluster" if compared else "must be the signerName of a signer"
        message = f"signerName: Invalid value: {quote(management.signer_name)}: {must}: {names}"
        yield CheckResult(level="error", check="signer", message=message)


class _Results:
    """Collects the results of checks, and prints them by subject."""

    def __init__(self) -> None:
        self._results: list[tuple[str, CheckResult]] = []

    @property
    def errors(self) -> int:
        """Returns the number of errors."""
        return sum(result.level == "error" for _, result in self._results)

    def add(self, about: str, results: Iterable[CheckResult]) -> None:
        """Adds the results for one subject."""
        self._results += [(about, result) for result in results]

    def collect(self, about: str, load: Callable[[], list[T]]) -> list[T]:
        """Returns the loaded objects; if loading fails, adds the error and returns an empty list."""
        try:
            return load()
        except (SignerError, CommandError) as error:
            message = error.message if isinstance(error, CommandError) else str(error)
            self.add(about, [CheckResult(level="error", check="read", message=message)])
            return []

    def print(self, form: Form) -> None:
        """Prints all results, and the numbers of errors and warnings."""
        if not form.is_for_people:
            items = [{"about": about, **dataclasses.asdict(result)} for about, result in self._results]
            print_document({"items": items, "errors": self.errors}, form=form)
            return
        for about in dict.fromkeys(about for about, _ in self._results):
            table(about, [(each.level, each.check, each.message) for name, each in self._results if name == about])
        warnings = sum(result.level == "warning" for _, result in self._results)
        click.echo(f"errors: {self.errors}, warnings: {warnings}")
