"""A Kubernetes control plane on the loopback address: the embedded double, or a real etcd and kube-apiserver.

Both have the same interface (`ControlPlane`), so that a test, scenario or demo runs on either:

    with control_plane.start("real", directory) as cluster:
        api = Api.from_kubeconfig(cluster.kubeconfig)

Modules, in the order in which a real start uses them: `modules` (go.mod for a Kubernetes version),
`binaries` (finds or builds the programs), `real` (runs etcd and kube-apiserver).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, Self

from sandbox.control_plane.errors import NotAvailableError, StartError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["ControlPlane", "NotAvailableError", "StartError", "start"]


class ControlPlane(Protocol):
    """A running API server; both kinds accept client certificates and tokens from TokenRequest."""

    @property
    def server(self) -> str:
        """Returns the URL of the API server, `https://127.0.0.1:PORT`, without a path."""

    @property
    def certificate_authority(self) -> Path:
        """Returns the PEM file of the API server's CA."""

    @property
    def kubeconfig(self) -> Path:
        """Returns the kubeconfig of an administrator (client certificate with O=system:masters)."""

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Writes a kubeconfig with a client certificate of CN=`user` and one O per group.

        Args:
            user: The username at the API server, for instance an email address.
            groups: Groups in addition to `system:authenticated`.

        Returns:
            The file, in the control plane's own directory; the same arguments give the same file.
        """

    def stop(self) -> None:
        """Stops all programs; does nothing when called again. Files stay."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


def start(
    kind: Literal["embedded", "real"], directory: Path, *, kubernetes: str | None = None, controllers: bool = False
) -> ControlPlane:
    """Starts a control plane and returns when it answers.

    Args:
        kind: `embedded` for the double in this process (no RBAC, discovery or admission), `real` for etcd and
            kube-apiserver, which are built once if they are missing (6 to 8 minutes).
        directory: The folder for certificates, kubeconfigs, data and logs; created if missing.
        kubernetes: Version of the real kube-apiserver, like `v1.36.3`; by default, the pinned version.
        controllers: Whether to start kube-controller-manager; only with `real`.

    Raises:
        ValueError: `embedded` with `kubernetes` or `controllers`, or `directory` holds an earlier run.
        NotAvailableError: The programs are missing, and building them failed.
        StartError: A program ended or did not get ready; the message has its last log lines.
    """
    if kind == "embedded":
        if kubernetes is not None:
            raise ValueError(f"the embedded control plane has no versions, got {kubernetes!r}")
        if controllers:
            raise ValueError("the embedded control plane has no controllers")
        # Imported here, so that one kind does not load the other.
        from sandbox.kubernetes import KubernetesServer  # noqa: PLC0415

        return KubernetesServer(directory).start()
    from sandbox.control_plane.real import RealControlPlane  # noqa: PLC0415

    return RealControlPlane.start(directory, kubernetes=kubernetes, controllers=controllers)
