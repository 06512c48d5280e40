"""The types of Google's resources that infra/ creates: their names, what replaces them, and their import IDs.

For the arguments that infra/ sets, from the source of the google provider 7.x, google/services/*/resource_*.go:
`ForceNew`, the formats of `ParseImportId`, and `SetId`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A type of resource.

    Attributes:
        id: The name at Google, from the arguments and a `serial` number; empty if the resource is only in the state.
        force_new: Paths of the arguments whose change replaces the resource.
        imported: The IDs that `terraform import` accepts, as a regular expression; its groups become attributes.
        unread: Attributes that neither an import nor a refresh sets.
        parent: The resource whose deletion also deletes this one.
        content: Whether it is encrypted with the key that the parent had when it was written.
        adopts: Whether creating an existing resource succeeds.
        keeps: Whether the resource survives its deletion.
        encrypted: Path of the encryption key; and the services whose agents use the key.
        computed: By path, the values that Google determines and infra/ reads.
    """

    id: str
    force_new: tuple[str, ...]
    imported: str | None = None
    unread: tuple[str, ...] = ()
    parent: str | None = None
    content: bool = False
    adopts: bool = False
    keeps: bool = False
    encrypted: tuple[str, tuple[str, ...]] | None = None
    computed: Mapping[str, str] = field(default_factory=dict)


def _grant(on: str, *arguments: str, parent: bool = True) -> Kind:
    """Returns the row of an IAM member (`google/tpgiamresource/resource_iam_member.go`)."""
    return Kind(
        id=f"{on} {{role}} {{member}} {{condition}}",
        force_new=(*arguments, "role", "member", "condition"),
        parent=on if parent else None,
        adopts=True,
    )


_PLACED: Final = r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
_POOL: Final = (
    r"projects/(?P<project>[^/]+)/locations/global/workloadIdentityPools/(?P<workload_identity_pool_id>[^/]+)"
)
_SPACED: Final = r"(?P<project>[^ ]+) (?P<name>[^ ]+)"

_ACCOUNT: Final = "projects/{project}/serviceAccounts/{account_id}@{project}.iam.gserviceaccount.com"
_POOL_ID: Final = "projects/{project}/locations/global/workloadIdentityPools/{workload_identity_pool_id}"
_REPOSITORY: Final = "projects/{project}/locations/{location}/repositories"
_SERVICE: Final = "projects/{project}/locations/{location}/services/{name}"
_URI: Final = "https://{name}-123456789012.{location}.run.app"

KINDS: Final[Mapping[str, Kind]] = {
    "google_artifact_registry_repository": Kind(
        id=f"{_REPOSITORY}/{{repository_id}}",
        force_new=("repository_id", "location", "project", "format", "kms_key_name"),
        imported=rf"{_PLACED}/repositories/(?P<repository_id>[^/]+)",
        encrypted=("kms_key_name", ("artifactregistry",)),
    ),
    "google_artifact_registry_repository_iam_member": _grant(
        f"{_REPOSITORY}/{{repository}}", "repository", "location", "project"
    ),
    "google_bigquery_dataset_iam_member": _grant(
        "projects/{project}/datasets/{dataset_id}", "dataset_id", "project", parent=False
    ),
    "google_cloud_run_v2_service": Kind(
        id=_SERVICE,
        force_new=("location", "name", "project"),
        imported=rf"{_PLACED}/services/(?P<name>[^/]+)",
        encrypted=("template.0.encryption_key", ("run",)),
        computed={"uri": _URI},
    ),
    "google_cloud_run_v2_service_iam_member": _grant(_SERVICE, "name", "location", "project"),
    "google_cloudfunctions2_function": Kind(
        id=_SERVICE,  # of its Cloud Run service, which has the same name
        force_new=("name", "location", "project"),
        imported=rf"{_PLACED}/functions/(?P<name>[^/]+)",
        encrypted=("kms_key_name", ("artifactregistry", "cloudfunctions", "run", "storage")),
        computed={"service_config.0.uri": _URI, "state": "ACTIVE"},
    ),
    "google_iam_workload_identity_pool": Kind(
        id=_POOL_ID, force_new=("workload_identity_pool_id", "project"), imported=_POOL
    ),
    "google_iam_workload_identity_pool_provider": Kind(
        id=f"{_POOL_ID}/providers/{{workload_identity_pool_provider_id}}",
        force_new=("workload_identity_pool_id", "workload_identity_pool_provider_id", "project"),
        imported=rf"{_POOL}/providers/(?P<workload_identity_pool_provider_id>[^/]+)",
        parent=_POOL_ID,
    ),
    "google_kms_crypto_key": Kind(
        id="{key_ring}/cryptoKeys/{name}",
        force_new=("key_ring", "name", "purpose", "destroy_scheduled_duration", "version_template.0.protection_level"),
        imported=r"(?P<key_ring>projects/[^/]+/locations/[^/]+/keyRings/[^/]+)/cryptoKeys/(?P<name>[^/]+)",
        keeps=True,
    ),
    "google_kms_crypto_key_iam_member": _grant("{crypto_key_id}", "crypto_key_id", parent=False),
    "google_kms_key_ring": Kind(
        id="projects/{project}/locations/{location}/keyRings/{name}",
        force_new=("location", "name", "project"),
        imported=rf"{_PLACED}/keyRings/(?P<name>[^/]+)",
        keeps=True,
    ),
    "google_logging_linked_dataset": Kind(
        id="{bucket}/links/{link_id}",
        force_new=("bucket", "link_id", "description"),
        imported=r"(?P<bucket>projects/[^/]+/locations/[^/]+/buckets/[^/]+)/links/(?P<link_id>[^/]+)",
        parent="{bucket}",
    ),
    "google_logging_metric": Kind(
        id="projects/{project}/metrics/{name}",
        force_new=("project", "metric_descriptor.0.labels"),
        imported=_SPACED,
    ),
    # It has an importer, which sets `project` to projects/ID, and so replaces the bucket.
    "google_logging_project_bucket_config": Kind(
        id="projects/{project}/locations/{location}/buckets/{bucket_id}",
        force_new=("project", "location", "bucket_id"),
        adopts=True,
        encrypted=("cmek_settings.0.kms_key_name", ("logging",)),
    ),
    "google_logging_project_sink": Kind(
        id="projects/{project}/sinks/{name}",
        force_new=("name", "project"),
        imported=r"projects/(?P<project>[^/]+)/sinks/(?P<name>[^/]+)",
        adopts=True,
        computed={"writer_identity": "serviceAccount:service-{project}@gcp-sa-logging.iam.gserviceaccount.com"},
    ),
    "google_monitoring_alert_policy": Kind(
        id="projects/{project}/alertPolicies/{display_name}", force_new=("project",), adopts=True
    ),
    "google_monitoring_custom_service": Kind(
        id="projects/{project}/services/{service_id}", force_new=("service_id", "project"), imported=_SPACED
    ),
    "google_monitoring_dashboard": Kind(
        id="projects/{project}/dashboards/{dashboard_json}", force_new=("project",), adopts=True
    ),
    "google_monitoring_monitored_project": Kind(
        id="locations/global/metricsScopes/{metrics_scope}/projects/{name}",
        force_new=("metrics_scope", "name"),
        imported=r"locations/global/metricsScopes/(?P<metrics_scope>[^/]+)/projects/(?P<name>[^/]+)",
    ),
    "google_monitoring_slo": Kind(
        id="projects/{project}/services/{service}/serviceLevelObjectives/{slo_id}",
        force_new=("service", "slo_id", "project"),
        imported=_SPACED,
        unread=("service",),
        parent="projects/{project}/services/{service}",
        computed={"name": "projects/{project}/services/{service}/serviceLevelObjectives/{slo_id}"},
    ),
    "google_project_iam_audit_config": Kind(id="{project} {service}", force_new=("project",), adopts=True),
    "google_project_iam_member": _grant("{project}", "project", parent=False),
    "google_project_service": Kind(id="{project}/{service}", force_new=("service", "project"), adopts=True, keeps=True),
    "google_project_service_identity": Kind(
        id="projects/{project}/services/{service}",
        force_new=("service", "project"),
        adopts=True,
        keeps=True,
        computed={"member": "serviceAccount:service-{project}@gcp-sa-{service}.iam.gserviceaccount.com"},
    ),
    "google_secret_manager_secret": Kind(
        id="projects/{project}/secrets/{secret_id}",
        force_new=("secret_id", "project", "replication.0.user_managed.0.replicas.0.location"),
        imported=r"projects/(?P<project>[^/]+)/secrets/(?P<secret_id>[^/]+)",
        encrypted=(
            "replication.0.user_managed.0.replicas.0.customer_managed_encryption.0.kms_key_name",
            ("secretmanager",),
        ),
    ),
    "google_secret_manager_secret_iam_member": _grant("projects/{project}/secrets/{secret_id}", "secret_id", "project"),
    "google_secret_manager_secret_version": Kind(
        id="{secret}/versions/{serial}",
        force_new=("secret", "secret_data"),
        parent="{secret}",
        content=True,
        adopts=True,
        computed={"version": "{serial}"},
    ),
    "google_service_account": Kind(
        id=_ACCOUNT,
        force_new=("account_id", "project"),
        imported=r"projects/(?P<project>[^/]+)/serviceAccounts/(?P<account_id>[^/@]+)@[^/]+",
        computed={"name": _ACCOUNT, "unique_id": "104567890123456789012"},
    ),
    "google_service_account_iam_member": _grant("{service_account_id}", "service_account_id"),
    "google_storage_bucket": Kind(
        id="{name}",
        force_new=("name", "location", "project"),
        imported=r"(?P<project>[^/]+)/(?P<name>[^/]+)",
        encrypted=("encryption.0.default_kms_key_name", ("storage",)),
    ),
    "google_storage_bucket_object": Kind(
        id="{bucket}/{name}", force_new=("bucket", "name", "source"), parent="{bucket}", content=True, adopts=True
    ),
    "time_sleep": Kind(id="", force_new=("triggers",)),
}
