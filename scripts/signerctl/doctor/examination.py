"""What the checks of one walk share: the operator's options, and the facts that earlier checks found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from csr_signer.ca.issuer import KmsPublicKey
from csr_signer.configuration.loader import Configuration
from csr_signer.configuration.schema import ClusterConfiguration, Document
from csr_signer.errors import SignerError
from csr_signer.objects.json_fields import Mask
from csr_signer.policy.signer import Signer
from csr_signer.violation import quote
from signerctl.api_server import ApiServer, Json, connect
from signerctl.doctor.exporter_document import ExporterDocument
from signerctl.guards import guarded
from signerctl.guards.guarded import Exporter, Guarded
from signerctl.interface import clock
from signerctl.interface.program import CommandError
from signerctl.key import KmsOptions
from signerctl.objects import User

API_SERVER: Final = "api-server"
"""The check without which no other may ask the API server."""
RIGHTS: Final = "rights"
"""The check that finds the function's user."""
API_SECONDS: Final = 5.0
"""Until an answer of the API server begins. With the wait for the function, a silent one is told within 15 seconds."""
METRICS_TLS: Final = "metrics-tls"
"""The volume of exporter.yaml with the metrics' certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The operator's options.

    Attributes:
        configuration: The function's configuration document.
        cluster: The cluster's key in it; None: the only one.
        kubeconfig, context: For the API server; None: kubectl's own.
        exporter: The exporter's service account.
        exporter_configuration: The exporter's configuration document; None: the one in the cluster.
        exporter_url: Where the exporter serves /readyz; None: its pods' readiness in the cluster.
        function_user: The function's username at the API server; None: as the configuration says.
        approvers: Usernames of other approvers, which the guards name.
        guards: The guards' action, or `none`.
    """

    configuration: Path
    cluster: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    exporter: Exporter = field(default_factory=Exporter)
    exporter_configuration: Path | None = None
    exporter_url: str | None = None
    function_user: str | None = None
    approvers: tuple[str, ...] = ()
    guards: str = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionAnswer:
    """The function's answer to doctor's event.

    Attributes:
        status: The HTTP status; 0 without an answer.
        outcome, reason: The fields of the function's answer; empty if another server answered.
        cause: Why there is no answer; empty if there is one.
        is_late: Whether the server took the request, and did not answer in time.
    """

    status: int
    outcome: str = ""
    reason: str = ""
    cause: str = ""
    is_late: bool = False


_STATEFUL_SET: Final[Mask] = {
    "spec": {
        "replicas": None,
        "template": {
            "spec": {
                "volumes": [
                    {
                        "name": None,
                        "configMap": {"name": None},
                        "secret": {"secretName": None},
                        "projected": {"sources": [{"serviceAccountToken": {"audience": None}}]},
                    }
                ]
            }
        },
    },
    "status": {"readyReplicas": None},
}


class PrerequisiteError(CommandError):
    """A check needs another one, which failed."""


@dataclass(kw_only=True)
class Examination:
    """One walk. A check may read a fact only if it needs the check that found it.

    Attributes:
        options: The operator's options.
        now: UTC.
        blocked: The checks whose facts are missing.
        document: The function's document, as written.
        configuration: The same, loaded and checked.
        cluster: The cluster's key in it.
        exporter: The exporter's document.
        subject_token, access_token, id_token: Of the exporter; the ID token is empty if the walk could not get one.
        dates: The times that servers gave, with the local time of their answers, by the server's name.
    """

    options: Options
    now: datetime = field(default_factory=clock.now)
    blocked: set[str] = field(init=False, default_factory=set)
    document: Document = field(init=False)
    configuration: Configuration = field(init=False)
    cluster: str = field(init=False)
    exporter: ExporterDocument = field(init=False)
    subject_token: str = field(init=False, repr=False)
    access_token: str = field(init=False, repr=False)
    id_token: str = field(init=False, repr=False, default="")
    function_answer: FunctionAnswer | None = field(init=False, default=None)
    dates: dict[str, tuple[datetime, datetime]] = field(init=False, default_factory=dict)
    _public_keys: dict[str, KmsPublicKey | SignerError] = field(init=False, repr=False, default_factory=dict)

    @property
    def api(self) -> ApiServer:
        """The API server, with the operator's credentials.

        Raises:
            PrerequisiteError: It did not answer before.
            CommandError: The kubeconfig is wrong.
        """
        self._require(API_SERVER)
        return self._api

    def _require(self, check: str) -> None:
        if check in self.blocked:
            raise PrerequisiteError(f"needs {check}")

    @cached_property
    def _api(self) -> ApiServer:
        return connect(self.options.kubeconfig, self.options.context, timeout=API_SECONDS)

    @cached_property
    def stateful_set(self) -> Json | None:
        """The exporter's workload; None if it is not in the cluster.

        Raises:
            CommandError: There was no answer, or another fault.
        """
        namespace = self.options.exporter.namespace
        return self.api.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/csr-exporter", _STATEFUL_SET)

    @property
    def volumes(self) -> Sequence[Json]:
        """The volumes of the exporter's pods; none if it is not in the cluster.

        Raises:
            CommandError: There was no answer, or another fault.
        """
        template = ((self.stateful_set or {}).get("spec") or {}).get("template") or {}
        return (template.get("spec") or {}).get("volumes") or ()

    @property
    def metrics_secret(self) -> str | None:
        """The Secret that the exporter's pods mount for `cluster manifests --metrics-tls`; None without.

        Raises:
            CommandError: There was no answer, or another fault.
        """
        secrets = (each["secret"] for each in self.volumes if each["name"] == METRICS_TLS and "secret" in each)
        return next((str(each.get("secretName", "")) for each in secrets), None)

    @property
    def cluster_configuration(self) -> ClusterConfiguration:
        """The cluster in the function's document."""
        return self.configuration.clusters[self.cluster]

    @property
    def signers(self) -> tuple[Signer, ...]:
        """The cluster's signers."""
        return tuple(signer for (cluster, _), signer in self.configuration.signers.items() if cluster == self.cluster)

    def public_key(self, signer: Signer) -> KmsPublicKey:
        """Returns the public key of a signer's key version, with the operator's credentials. It asks KMS once.

        Raises:
            SignerError: As `CloudKmsKey.public_key`.
        """
        version = signer.issuer.key_version
        if version not in self._public_keys:
            try:
                answer: KmsPublicKey | SignerError = self._kms_options(signer).public_key(version)
            except SignerError as error:
                answer = error
            self._public_keys[version] = answer
        found = self._public_keys[version]
        if isinstance(found, SignerError):
            raise found
        return found

    def _kms_options(self, signer: Signer) -> KmsOptions:
        """Returns how to reach a signer's key, as the function does."""
        kms = self.configuration.kms
        return KmsOptions(
            endpoint=kms.endpoint,
            unsafe_plaintext_endpoint=kms.unsafe_plaintext_endpoint,
            protection_level=signer.issuer.protection_level,
            signature_hash=signer.issuer.signature_hash,
        )

    @property
    def function_user(self) -> User | None:
        """The user that the API server sees when the function calls; None if the document cannot tell.

        Raises:
            PrerequisiteError: It could not be asked before.
            CommandError: The API server of the function's own kubeconfig does not say who its user is.
        """
        ways = self.cluster_configuration.authentication
        if self.options.function_user is None and ways.kubeconfig is not None:
            self._require(API_SERVER)  # usually the same one
            self._require(RIGHTS)
            return self._kubeconfig_user
        name = self.options.function_user
        if name is None and ways.google_access_token is not None:
            name = ways.google_access_token.service_account
        return None if name is None else User.of(name)

    @cached_property
    def _kubeconfig_user(self) -> User:
        """Asks with the function's own kubeconfig, whose API server this machine may not reach."""
        try:
            return _user_of(
                connect(Path(self.cluster_configuration.authentication.kubeconfig or ""), timeout=API_SECONDS)
            )
        except CommandError as error:
            must = f"{error.message}: give --function-user, if only this machine cannot use that kubeconfig"
            raise CommandError(f"authentication.kubeconfig: {must}") from error

    def guarded(self, user: User) -> Guarded:
        """Returns what the cluster's rights and guards are made from.

        Raises:
            CommandError, ConfigurationError: The document has no guards to make.
        """
        return guarded.load(
            self.options.configuration,
            cluster=self.cluster,
            function=user.name,
            approvers=self.options.approvers,
            exporter=self.options.exporter,
        )


def _user_of(api: ApiServer) -> User:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    found = api.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)["status"]["userInfo"]
    return User(name=found["username"], groups=tuple(found.get("groups") or ()))


def cause_of(error: Exception) -> str:
    """Returns the cause of a failed exchange: the end of urllib3's message, which starts with objects of Python."""
    return quote(str(error).rpartition(": ")[2])
