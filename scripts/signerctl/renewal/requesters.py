"""The signers of one cluster, and the service accounts whose pods hold their certificates."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from csr_signer.document import as_written
from csr_signer.policy.profile import Profile
from signerctl.guards import guarded
from signerctl.guards.guarded import Exporter, Guarded
from signerctl.key_pairs import catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Requesters:
    """The requesters of one signerName.

    Attributes:
        signer_name: The signerName.
        lifetime: The lifetime of a certificate whose requester asks for none.
        accounts: The service accounts, NAMESPACE/NAME.
    """

    signer_name: str
    lifetime: timedelta
    accounts: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, str, str]:
        """Returns the values of the option --requesters."""
        return self.signer_name, as_written(self.lifetime), ",".join(self.accounts)


def namespaces(requesters: Iterable[Requesters]) -> tuple[str, ...]:
    """Returns the namespaces of all accounts, sorted."""
    return tuple(sorted({account.partition("/")[0] for each in requesters for account in each.accounts}))


def accounts(requesters: Iterable[Requesters]) -> frozenset[str]:
    """Returns all service accounts."""
    return frozenset(account for each in requesters for account in each.accounts)


def of(found: Guarded) -> tuple[Requesters, ...]:
    """Returns the requesters of the cluster's signers whose pods ask themselves.

    A new pod of the others gets no new certificate: `signerctl key-pairs` renews their Secrets.
    """
    return tuple(
        Requesters(
            signer_name=name,
            lifetime=found.lifetimes[name],
            accounts=tuple(sorted(_accounts(found.selection.profiles[name]))),
        )
        for name in found.signer_names
    )


def _accounts(rows: Profile) -> Iterable[str]:
    return {account for row in rows.components if catalog.secret_of(row) is None for account in row.service_accounts}


def from_configuration(path: Path, cluster: str | None) -> tuple[Requesters, ...]:
    """Reads the requesters of one cluster from the function's configuration document and its profiles.

    Args:
        path: The document.
        cluster: The cluster's key in the document; None for the only one.

    Raises:
        CommandError: The document has no such cluster, or no signer for it.
        ConfigurationError: The document or a profile is invalid.
    """
    return of(guarded.load(path, cluster=cluster, function="", approvers=(), exporter=Exporter()))
