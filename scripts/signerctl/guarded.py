"""What the guards of a cluster protect: taken from the function's configuration document and its profiles."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from csr_signer.configuration.schema import Document, SignerConfiguration
from csr_signer.configuration.validation import RESERVED_DOMAINS, SIGNER_NAME
from csr_signer.document import read
from csr_signer.policy import profile
from csr_signer.policy.profile import Profile
from csr_signer.rfc1123 import IS_LABEL, IS_SUBDOMAIN
from csr_signer.violation import quote
from signerctl.program import CommandError

POD: Final = "{pod}"
ACCOUNT: Final = re.compile(rf"({IS_LABEL.pattern})/({IS_SUBDOMAIN.pattern})")
_POD_NAME: Final = "[a-z0-9.-]+"  # names have no other characters that mean something in an expression than the dot
_USERNAME: Final = "system:serviceaccount:{}:{}"
# A CSR of such a name can only be Calico's or of a similar make; kubelets and people use names without it.
_TELLING: Final = ":"

Names = Mapping[str, tuple[str, ...]]
"""By a service account's username the names that its CSRs may have, with `{pod}` for the pod's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """Where the exporter's pods run, and as whom."""

    namespace: str = "kms-csr-signer"
    service_account: str = "csr-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """One cluster as its guards see it.

    Attributes:
        names: by signerName, who may ask and under which names.
        function: the username that the API server sees the function as.
        approvers: by signerName, the usernames that may approve and deny.
        exporter: its pods.
    """

    names: Mapping[str, Names]
    function: str
    approvers: Mapping[str, tuple[str, ...]]
    exporter: Exporter

    @property
    def signer_names(self) -> tuple[str, ...]:
        """All signerNames, sorted."""
        return tuple(sorted(self.names))

    @property
    def accounts(self) -> tuple[str, ...]:
        """Usernames of all requesters, sorted."""
        return tuple(sorted({account for names in self.names.values() for account in names}))

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces of all requesters, sorted."""
        return tuple(sorted({account.split(":")[2] for account in self.accounts}))

    def names_of(self, account: str) -> tuple[str, ...]:
        """The names that an account may use with any of the signerNames."""
        found = {name for names in self.names.values() for name in names.get(account, ())}
        return tuple(sorted(found))

    @property
    def reserved(self) -> str | None:
        """A regular expression for names that nobody else may take, whatever the signerName; None: there are none."""
        forms = {name for account in self.accounts for name in self.names_of(account) if _TELLING in name}
        patterns = sorted(form.replace(".", "[.]").replace(POD, _POD_NAME) for form in forms)
        return f"^(?:{'|'.join(patterns)})$" if patterns else None


def load(path: Path, *, cluster: str, function: str, approvers: Collection[str], exporter: Exporter) -> Guarded:
    """What is to be guarded in one cluster of a configuration document; certificates that it names are not read.

    Args:
        path: of the document.
        cluster: its key.
        function: the username that the API server sees the function as.
        approvers: usernames of others who approve and deny.
        exporter: its pods.

    Raises:
        CommandError: the document does not fit what was asked for.
        ConfigurationError: document or profile breaks a rule.
    """
    document = read(Document, path)
    if cluster not in document.clusters:
        raise CommandError(
            f"{path}: clusters: Not found: {quote(cluster)}: supported values: {sorted(document.clusters)}"
        )
    signers = [signer for signer in document.signers if signer.cluster == cluster]
    if not signers:
        raise CommandError(
            f"{path}: signers: Required value: a signer for cluster {quote(cluster)}, or there is nothing to guard"
        )
    for signer in signers:
        _refuse(path, signer, approvers)
    return Guarded(
        names={signer.signer_name: _names(signer, path.parent) for signer in signers},
        function=function,
        approvers={
            signer.signer_name: tuple(sorted({*approvers, *([function] if signer.approve else [])}))
            for signer in signers
        },
        exporter=exporter,
    )


def _refuse(path: Path, signer: SignerConfiguration, approvers: Collection[str]) -> None:
    domain = signer.signer_name.partition("/")[0]
    reserved = any(domain == each or domain.endswith(f".{each}") for each in RESERVED_DOMAINS)
    if not SIGNER_NAME.fullmatch(signer.signer_name) or reserved:
        raise CommandError(
            f"{path}: signer_name: Invalid value: {quote(signer.signer_name)}: must be DOMAIN/NAME with a dot in"
            " DOMAIN, outside Kubernetes' own domains"
        )
    if not signer.approve and not approvers:
        raise CommandError(
            f"{path}: {quote(signer.signer_name)}: Required value: --approver: approve is false, so name who approves"
        )


def _names(signer: SignerConfiguration, folder: Path) -> Names:
    reference = signer.profile
    rows = profile.load(reference.name, release=reference.release, namespaces=reference.namespaces, folder=folder)
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
