"""`signerctl ca verify`: whether files, KMS and the cluster fit together."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from csr_signer.ca import issuer
from csr_signer.ca.issuer import Issuer
from csr_signer.configuration import loader
from csr_signer.errors import SignerError
from signerctl import files, findings, installation
from signerctl.findings import Finding
from signerctl.installation import CertificateManagement
from signerctl.key import KmsOptions
from signerctl.options import DOCUMENT, INPUT, key_version, kms_options, signer_name
from signerctl.program import Command, CommandError
from signerctl.text import table

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """An issuer to look at.

    Attributes:
        name: for people.
        signer_name: that it serves; None where that is not known.
        ca: as the function loads it.
        lifetime: of certificates by default.
        kms: how its key is reached.
    """

    name: str
    signer_name: str | None
    ca: Issuer
    lifetime: timedelta
    kms: KmsOptions


@click.command(cls=Command)
@click.option("--configuration", "document", type=DOCUMENT, help="The function's configuration document.")
@click.option("--cluster", help="Check only the signers of this cluster.")
@click.option("--certificate", type=INPUT, help="Without --configuration: the issuing CA, then its chain, PEM.")
@click.option("--trust-bundle", type=INPUT, help="Without --configuration: what relying parties trust, PEM.")
@click.option("--key-version", callback=key_version, help="Without --configuration: the KMS key version.")
@click.option("--signer-name", callback=signer_name, help="Without --configuration: the signerName that is served.")
@click.option(
    "--installation",
    "installation_file",
    type=INPUT,
    help="What `kubectl get installation default -o yaml` printed; - is standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
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
    as_json: bool,
    kms: KmsOptions,
) -> None:
    r"""Check that files, KMS and cluster match.

    You need it before you deploy a configuration, after every step of a rotation, and from time to time. It checks
    what the function checks when it starts, and what Calico's components check of every certificate. It lists every
    finding. If one of them is an error, the exit status is 1.

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
    now = datetime.now(UTC)
    named = {"--certificate": certificate, "--trust-bundle": trust_bundle, "--key-version": key_version}
    report = _Report()
    if document is not None:
        if signer_name or any(named.values()):
            raise click.UsageError("--configuration names certificates, key version and signerName itself")
        subjects = report.collect("configuration", lambda: _configured(document, cluster, kms))
    elif certificate is None or trust_bundle is None or key_version is None:
        missing = [option for option, value in named.items() if value is None]
        raise click.UsageError(f"Required value: {', '.join(missing)}: give all three, or only --configuration")
    else:
        pems = files.read(certificate), files.read(trust_bundle)
        subjects = report.collect("files", lambda: [_of_files(*pems, key_version, signer_name, kms)])
    for subject in subjects:
        report.add(subject.name, _of_subject(subject, now))
    if installation_file is not None:
        text = files.read(installation_file)
        found = report.collect("installation", lambda: [installation.parse(text)])
        for management in found:
            report.add("installation", _of_installation(management, subjects, now))
    report.print(as_json=as_json)
    if report.errors:
        context.exit(1)


def _configured(document: Path, cluster: str | None, kms: KmsOptions) -> list[_Subject]:
    loaded = loader.load(document)
    if cluster is not None and cluster not in loaded.clusters:
        raise CommandError(f"cluster: Not found: {cluster!r}: supported values: {', '.join(sorted(loaded.clusters))}")
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
        )
        for signer in loaded.signers.values()
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


def _of_subject(subject: _Subject, now: datetime) -> Iterator[Finding]:
    yield findings.of_chain(subject.ca)
    yield findings.of_key(subject.ca, subject.kms)
    yield from findings.of_dates(subject.ca, now, subject.lifetime)
    yield from findings.of_bundle("trust bundle", subject.ca.trust_bundle, subject.ca, now)


def _of_installation(
    management: CertificateManagement, subjects: Sequence[_Subject], now: datetime
) -> Iterator[Finding]:
    """Compares with the one signer that the cluster asks, or with the only one that there is."""
    matching = [subject for subject in subjects if subject.signer_name == management.signer_name]
    compared = subjects if len(subjects) == 1 else matching
    if len(compared) == 1:
        yield from findings.of_installation(management, compared[0].ca, now, signer_name=compared[0].signer_name)
    elif subjects:
        names = ", ".join(subject.name for subject in compared or subjects)
        what = "several signers serve it, choose one with --cluster" if compared else "no signer serves it"
        message = f"signerName {management.signer_name!r}: {what}: {names}"
        yield Finding(level="error", check="signer", message=message)


class _Report:
    """Findings as they come, each with what it is about."""

    def __init__(self) -> None:
        self._found: list[tuple[str, Finding]] = []

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.level == "error" for _, finding in self._found)

    def add(self, about: str, found: Iterable[Finding]) -> None:
        """Adds findings about one thing."""
        self._found += [(about, finding) for finding in found]

    def collect(self, about: str, load: Callable[[], list[T]]) -> list[T]:
        """What could be loaded; what could not is a finding."""
        try:
            return load()
        except (SignerError, CommandError) as error:
            message = error.message if isinstance(error, CommandError) else str(error)
            self.add(about, [Finding(level="error", check="read", message=message)])
            return []

    def print(self, *, as_json: bool) -> None:
        """Prints all of them, and how many need somebody to act."""
        if as_json:
            rows = [{"about": about, **dataclasses.asdict(finding)} for about, finding in self._found]
            click.echo(json.dumps({"findings": rows, "errors": self.errors}, indent=2))
            return
        for about in dict.fromkeys(about for about, _ in self._found):
            table(about, [(each.level, each.check, each.message) for name, each in self._found if name == about])
        warnings = sum(finding.level == "warning" for _, finding in self._found)
        click.echo(f"errors: {self.errors}, warnings: {warnings}")
