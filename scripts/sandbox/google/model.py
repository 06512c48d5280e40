"""The accounts of the double's Google Cloud, and their grants."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.google.jwt import PublicKey

ISSUER = "https://accounts.google.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
_POOLS = "iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project's id, number and region."""

    id: str = "example-project"
    number: str = "123456789012"
    region: str = "europe-west1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A Google service account.

    Attributes:
        email: Its email.
        unique_id: The number in `sub`.
        token_creators: The principals with roles/iam.serviceAccountOpenIdTokenCreator on it.
        impersonators: The principals, including emails, with roles/iam.workloadIdentityUser on it.
    """

    email: str
    unique_id: str
    token_creators: frozenset[str] = frozenset()
    impersonators: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A workload identity provider, which exchanges a cluster's service account tokens.

    Attributes:
        audience: The audience of a token exchange.
        subject_audience: The required `aud` of the service account token.
        principals: The prefix of its principals.
        subject_prefix: The replacement of `system:serviceaccount:` in a principal's subject.
        issuer: The only issuer of its tokens; None for all issuers.
        keys: The keys that sign its tokens; None to skip verification.
    """

    audience: str
    subject_audience: str
    principals: str
    subject_prefix: str = "system:serviceaccount:"
    issuer: str | None = None
    keys: Mapping[str, PublicKey] | None = None

    def principal(self, subject: str) -> str:
        """Returns the IAM principal of a token's subject `system:serviceaccount:NAMESPACE:NAME`."""
        if self.subject_prefix == "system:serviceaccount:":
            return f"{self.principals}/subject/{subject}"
        namespace, _, name = subject.removeprefix("system:serviceaccount:").partition(":")
        return f"{self.principals}/subject/ns/{namespace}/sa/{name}"


def gke_provider(
    project: Project,
    cluster: str = "demo",
    *,
    issuer: str | None = None,
    keys: Mapping[str, PublicKey] | None = None,
) -> Provider:
    """Returns the provider of a GKE cluster with a workload pool; all clusters of a project share their principals."""
    pool = f"{project.id}.svc.id.goog"
    path = f"projects/{project.id}/locations/{project.region}/clusters/{cluster}"
    return Provider(
        audience=f"identitynamespace:{pool}:https://container.googleapis.com/v1/{path}",
        subject_audience=pool,
        principals=f"principal://{_POOLS.format(number=project.number)}/{pool}",
        subject_prefix="ns/",
        issuer=issuer,
        keys=keys,
    )


def oidc_provider(
    project: Project,
    pool: str = "demo",
    provider: str = "cluster",
    *,
    issuer: str | None = None,
    keys: Mapping[str, PublicKey] | None = None,
) -> Provider:
    """Returns the provider of a cluster outside GKE, with google.subject = assertion.sub."""
    pools = _POOLS.format(number=project.number)
    name = f"//{pools}/{pool}/providers/{provider}"
    return Provider(
        audience=name,
        subject_audience=name,
        principals=f"principal://{pools}/{pool}",
        issuer=issuer,
        keys=keys,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All accounts, providers and grants.

    Attributes:
        project: The project.
        accounts: The service accounts by email.
        attached: The email of the metadata server's account.
        providers: The workload identity providers by audience.
        invokers: The emails with roles/run.invoker on the Cloud Run service.
        audiences: The service's custom audiences, in addition to its URL.
        issuer: The `iss` of ID tokens.
    """

    project: Project = field(default_factory=Project)
    accounts: Mapping[str, ServiceAccount] = field(default_factory=dict)
    attached: str = ""
    providers: Mapping[str, Provider] = field(default_factory=dict)
    invokers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    issuer: str = ISSUER


def example(*providers: Provider) -> Configuration:
    """Returns the project's own deployment: a signer, and for a cluster its exporter and the signer's access.

    Args:
        providers: The providers for the exporter's service account; by default, one for a cluster outside Google Cloud
            that verifies no signatures.
    """
    project = Project()
    providers = providers or (oidc_provider(project),)
    subject = "system:serviceaccount:kms-csr-signer:csr-exporter"
    signer = ServiceAccount(email=f"csr-signer@{project.id}.iam.gserviceaccount.com", unique_id="100000000000000000001")
    exporter = ServiceAccount(
        email=f"csr-exporter@{project.id}.iam.gserviceaccount.com",
        unique_id="100000000000000000002",
        token_creators=frozenset(provider.principal(subject) for provider in providers),
    )
    access = ServiceAccount(
        email=f"csr-access-demo@{project.id}.iam.gserviceaccount.com",
        unique_id="100000000000000000003",
        impersonators=frozenset([signer.email]),
    )
    return Configuration(
        project=project,
        accounts={account.email: account for account in (signer, exporter, access)},
        attached=signer.email,
        providers={provider.audience: provider for provider in providers},
        invokers=frozenset([exporter.email]),
    )
