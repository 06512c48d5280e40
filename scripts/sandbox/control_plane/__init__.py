"""A Kubernetes control plane on the loopback address: the embedded double, or a real etcd and kube-apiserver.

Both look the same to their user (`ControlPlane`), so that one test, scenario or demo runs on either:

    with control_plane.start("real", directory) as cluster:
        api = Api.from_kubeconfig(cluster.kubeconfig)

Modules, in the order in which a real start uses them: `modules` (go.mod for a wished Kubernetes version),
`binaries` (find or build the programs), `real` (etcd and kube-apiserver together).
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
    """A running API server; client certificates and tokens from TokenRequest are accepted by either kind."""

    @property
    def server(self) -> str:
        """URL of the API server, `https://127.0.0.1:PORT`, without a path."""

    @property
    def certificate_authority(self) -> Path:
        """PEM file with the certificate that the API server's own certificate is verified with."""

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig file of an administrator (client certificate with O=system:masters)."""

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig whose client certificate says CN=`user` and one O per entry of `groups`.

        Args:
            user: Name that the API server will see, for instance an email address.
            groups: Groups beside `system:authenticated`, which every user is in.

        Returns:
            The file, in the control plane's own directory; the same arguments give the same file.
        """

    def stop(self) -> None:
        """End everything that was started; harmless when called again. Files stay where they are."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


def start(kind: Literal["embedded", "real"], directory: Path, *, kubernetes: str | None = None) -> ControlPlane:
    """Start a control plane and returns when it answers.

    Args:
        kind: `embedded` for the double within this process (no RBAC, discovery or admission), `real` for
            etcd and kube-apiserver, which are built once if they are not found (6 to 8 minutes).
        directory: Where certificates, kubeconfigs, data and logs go; made if missing.
        kubernetes: Version of the real kube-apiserver, like `v1.36.3`; by default the pinned one.

    Raises:
        ValueError: `kubernetes` was given for the double, or `directory` holds an earlier run.
        NotAvailableError: The programs are neither found nor can be built.
        StartError: A program ended or did not get ready; says its last log lines.
    """
    if kind == "embedded":
        if kubernetes is not None:
            raise ValueError(f"the embedded control plane has no versions, got {kubernetes!r}")
        # Imported here: whoever wants one kind does not pay for the other.
        from sandbox.kubernetes import KubernetesServer  # noqa: PLC0415

        return KubernetesServer(directory).start()
    from sandbox.control_plane.real import RealControlPlane  # noqa: PLC0415

    return RealControlPlane.start(directory, kubernetes=kubernetes)
