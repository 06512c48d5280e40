"""Reads from the function's configuration document and its profiles what a cluster's guards protect."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from csr_signer import field_error
from csr_signer.configuration.schema import Document, SignerConfiguration
from csr_signer.configuration.validation import RESERVED_DOMAINS, SIGNER_NAME
from csr_signer.document import read
from csr_signer.errors import ConfigurationError
from csr_signer.policy import profile
from csr_signer.policy.profile import Profile
from csr_signer.rfc1123 import IS_DNS_NAME, IS_LABEL, IS_SUBDOMAIN
from csr_signer.violation import quote
from signerctl.interface.program import CommandError

POD: Final = "{pod}"
ACCOUNT: Final = re.compile(rf"({IS_LABEL.pattern})/({IS_SUBDOMAIN.pattern})")
_POD_NAME: Final = "[a-z0-9.-]+"
_USERNAME: Final = "system:serviceaccount:{}:{}"
# Calico and similar clients put a colon in their CSRs' names. Kubelets and people do not.
_RESERVED_MARK: Final = ":"

Names = Mapping[str, tuple[str, ...]]
"""The names that a service account's CSRs may have, by its username; `{pod}` stands for the pod's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """The namespace and service account of the exporter's pods, and the only Secret that they may mount."""

    namespace: str = "kms-csr-signer"
    service_account: str = "csr-exporter"
    secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The signers of one cluster.

    Attributes:
        signers: As the document has them.
        profiles: By signerName, the rows of the cluster's release and namespaces.
        cluster_domain: The cluster's DNS domain.
        source: The source of the cluster's events.
    """

    signers: tuple[SignerConfiguration, ...]
    profiles: Mapping[str, Profile]
    cluster_domain: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The facts about one cluster that its guards enforce.

    Attributes:
        names: By signerName, the requesters and the CSR names of each.
        function: The function's username at the API server.
        approvers: By signerName, the usernames that may approve and deny.
        exporter: The exporter's service account.
        lifetimes: By signerName, the lifetime of a certificate whose requester asks for none.
        certifies_addresses: Whether a profile certifies the addresses of pods, for which the function reads nodes.
        selection: The signers and profiles behind these facts.
        warnings: Why a profile may not fit the release in the cluster.
    """

    names: Mapping[str, Names]
    function: str
    approvers: Mapping[str, tuple[str, ...]]
    exporter: Exporter
    lifetimes: Mapping[str, timedelta]
    certifies_addresses: bool
    selection: Selection
    warnings: tuple[str, ...]

    @property
    def signer_names(self) -> tuple[str, ...]:
        """Returns all signerNames, sorted."""
        return tuple(sorted(self.names))

    @property
    def accounts(self) -> tuple[str, ...]:
        """Returns the usernames of all requesters, sorted."""
        return tuple(sorted({account for names in self.names.values() for account in names}))

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Returns the namespaces of all requesters, sorted."""
        return tuple(sorted({account.split(":")[2] for account in self.accounts}))

    @property
    def approves(self) -> tuple[str, ...]:
        """Returns the signerNames for which the function itself approves and denies, sorted."""
        return tuple(sorted(name for name, users in self.approvers.items() if self.function in users))

    def names_of(self, account: str) -> tuple[str, ...]:
        """Returns the CSR names that an account may use with any of the signerNames, sorted."""
        found = {name for names in self.names.values() for name in names.get(account, ())}
        return tuple(sorted(found))

    @property
    def allowed(self) -> str:
        """Returns a regular expression for the CSR names that our requesters may use."""
        return _matching(self._forms)

    @property
    def reserved(self) -> str | None:
        """Returns a regular expression for the CSR names that only our requesters may use; None if there are none."""
        forms = {form for form in self._forms if _RESERVED_MARK in form}
        return _matching(forms) if forms else None

    @property
    def _forms(self) -> set[str]:
        return {name for account in self.accounts for name in self.names_of(account)}


def _matching(forms: Collection[str]) -> str:
    # The dot is the only character of these names that has a meaning in a regular expression.
    patterns = sorted(form.replace(".", "[.]").replace(POD, _POD_NAME) for form in forms)
    return f"^(?:{'|'.join(patterns)})$"


def load(path: Path, *, cluster: str | None, function: str, approvers: Collection[str], exporter: Exporter) -> Guarded:
    """Reads one cluster from a configuration document, without the certificates that the document names.

    Args:
        path: The document.
        cluster: The cluster's key in the document; None for the only one.
        function: The function's username at the API server.
        approvers: Usernames of other approvers.
        exporter: The exporter's service account.

    Raises:
        CommandError: The document has no such cluster, no signer for it, or a signerName of Kubernetes.
        ConfigurationError: The document or a profile is invalid.
    """
    chosen = select(path, cluster)
    signers, profiles = chosen.signers, chosen.profiles
    warnings = {
        signer.signer_name: profiles[signer.signer_name].release_warning(signer.profile.release) for signer in signers
    }
    return Guarded(
        names={name: _names(rows) for name, rows in profiles.items()},
        function=function,
        approvers={
            signer.signer_name: tuple(sorted({*approvers, *([function] if signer.approve else [])}))
            for signer in signers
        },
        exporter=exporter,
        lifetimes={
            signer.signer_name: min(profiles[signer.signer_name].lifetime.default, signer.lifetime or timedelta.max)
            for signer in signers
        },
        certifies_addresses=any(row.addresses == "pod" for rows in profiles.values() for row in rows.components),
        selection=chosen,
        warnings=tuple(f"{name}: {warning}" for name, warning in warnings.items() if warning is not None),
    )


def select(path: Path, cluster: str | None) -> Selection:
    """Reads the signers of one cluster from a configuration document, without the certificates that it names.

    Args:
        path: The document.
        cluster: The cluster's key in the document; None for the only one.

    Raises:
        CommandError: The document has no such cluster, no signer for it, or a signerName of Kubernetes.
        ConfigurationError: The document or a profile is invalid.
    """
    document = read(Document, path)
    cluster = _cluster(path, document, cluster)
    signers = tuple(signer for signer in document.signers if signer.cluster == cluster)
    if not signers:
        raise CommandError(f"{path}: signers: Required value: must have a signer for cluster {quote(cluster)}")
    for signer in signers:
        _check_signer_name(path, signer)
    profiles = {
        signer.signer_name: _profile(signer, path, number)
        for number, signer in enumerate(document.signers)
        if signer.cluster == cluster
    }
    chosen = document.clusters[cluster]
    if not IS_DNS_NAME.fullmatch(chosen.cluster_domain):
        must = "must be a DNS name in lower case"
        raise CommandError(field_error.invalid(f"{path}: cluster_domain", chosen.cluster_domain, must))
    return Selection(signers=signers, profiles=profiles, cluster_domain=chosen.cluster_domain, source=chosen.source)


def _cluster(path: Path, document: Document, wanted: str | None) -> str:
    has = f"{path} has {quote(sorted(document.clusters))}"
    if wanted is None:
        if len(document.clusters) > 1:
            raise CommandError(field_error.required("--cluster", has))
        return next(iter(document.clusters))
    if wanted not in document.clusters:
        raise CommandError(field_error.not_found("--cluster", wanted, has))
    return wanted


def require_approvers(guarded: Guarded) -> None:
    """Checks that each signer has an approver; the guards refuse approvals by other users.

    Raises:
        CommandError: A signer has none.
    """
    for name, users in guarded.approvers.items():
        if not users:
            raise CommandError(
                f"--approver: Required value: must name an approver, because approve is false for {quote(name)}"
            )


def _check_signer_name(path: Path, signer: SignerConfiguration) -> None:
    domain = signer.signer_name.partition("/")[0]
    reserved = any(domain == each or domain.endswith(f".{each}") for each in RESERVED_DOMAINS)
    if not SIGNER_NAME.fullmatch(signer.signer_name) or reserved:
        must = "must be DOMAIN/NAME with a dot in DOMAIN, outside Kubernetes' own domains"
        raise CommandError(field_error.invalid(f"{path}: signer_name", signer.signer_name, must))


def _profile(signer: SignerConfiguration, path: Path, number: int) -> Profile:
    """Loads a signer's profile; an error in the signer's own field names the document and the signer's number in it."""
    reference = signer.profile
    try:
        return profile.load(
            reference.name, release=reference.release, namespaces=reference.namespaces, folder=path.parent
        )
    except ConfigurationError as error:
        if str(error).startswith("profile."):
            raise ConfigurationError(f"{path}: signers[{number}].{error}") from error
        raise


def _names(rows: Profile) -> Names:
    return {
        _USERNAME.format(*account.split("/")): _names_of(rows, account)
        for account in sorted({account for row in rows.components for account in row.service_accounts})
    }


def _names_of(rows: Profile, account: str) -> tuple[str, ...]:
    namespace, service_account = account.split("/")
    found = {
        rule.name.replace("{namespace}", namespace)
        for row in rows.rows_of(namespace, service_account)
        for rule in row.request_names
    }
    return tuple(sorted(found))
