"""A real etcd, kube-apiserver and, if asked, kube-controller-manager on free ports of the loopback address."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from typing import TYPE_CHECKING, Self

import urllib3

from sandbox import kubeconfig
from sandbox.api import Api, ApiError
from sandbox.control_plane import binaries
from sandbox.control_plane.errors import StartError
from sandbox.pki import Authority
from sandbox.process import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"
READY_SECONDS = 60.0
# etcd gets time for a clean end. kube-apiserver is killed instead, because it would wait a minute for its watches.
# That loses nothing: everything that it acknowledged is in etcd.
GRACE_SECONDS = 1.0
_LOG_TAIL = 2000
# No kubelet renews the nodes' leases, so these controllers would declare the nodes dead and delete their pods.
_OF_NODES = ("node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector-controller")


class RealControlPlane:
    """etcd and kube-apiserver with RBAC and default admission; a `ControlPlane`.

    There is no kubelet and no scheduler (`sandbox.kubelet` imitates both), and by default no controller manager: no
    pods start, no `default` service accounts appear, and no quotas count. It is not thread-safe.

    No process outlives its parent: `stop` and the end of a `with` block stop all. On Linux, the kernel kills them if
    the parent ends in another way (`sandbox.process`).

    Attributes:
        server: URL of the API server.
        certificate_authority: PEM file of its CA.
        kubeconfig: The administrator's kubeconfig.
        kubectl: A kubectl for this API server.
        version: The API server's own version, like `v1.37.2`.
    """

    def __init__(self, directory: Path, programs: binaries.Binaries, extra_arguments: Iterable[str] = ()) -> None:
        self._directory = directory
        self._programs = programs
        self._extra_arguments = tuple(extra_arguments)
        self._ports = {name: _Port() for name in ("api", "etcd", "peers")}
        self._authority = Authority.create("sandbox-control-plane")
        self._etcd: Part | None = None
        self._api: Part | None = None
        self._controllers: Part | None = None
        self.server = f"https://{LOOPBACK}:{self._ports['api'].number}"
        self.certificate_authority = directory / "ca.pem"
        self.kubeconfig = directory / "admin.kubeconfig"
        self.kubectl = programs.kubectl
        self.version = ""

    @property
    def alive(self) -> bool:
        """Tells whether all programs run."""
        started = (part is not None and part.alive for part in (self._etcd, self._api))
        return all(started) and (self._controllers is None or self._controllers.alive)

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        kubernetes: str | None = None,
        extra_arguments: Iterable[str] = (),
        controllers: bool = False,
    ) -> Self:
        """Starts the programs and returns when the API server is ready.

        Args:
            directory: The folder for data, certificates, kubeconfigs and logs of one run; created if missing.
            kubernetes: Version, like `v1.36.3`; by default, any version that is found, otherwise the pinned version.
            extra_arguments: More flags of kube-apiserver; they override ours.
            controllers: Also start kube-controller-manager.

        Raises:
            ValueError: `directory` holds an earlier run, or `kubernetes` is malformed.
            NotAvailableError: The programs are neither found nor can be built.
            StartError: They did not get ready within 60 s.
        """
        directory = directory.absolute()  # the programs run in this folder
        if (directory / "etcd").exists():
            raise ValueError(f"{str(directory)!r} holds an earlier control plane, name another directory")
        programs = binaries.ensure(kubernetes, controllers=controllers)
        directory.mkdir(parents=True, exist_ok=True)
        control_plane = cls(directory, programs, extra_arguments)
        try:
            control_plane._write_files()
            control_plane.restart_etcd(wait=False)
            control_plane.restart_api_server()
            if controllers:
                control_plane._controllers = control_plane._run(binaries.CONTROLLERS, control_plane._flags_of_manager())
        except BaseException:
            control_plane.stop()
            raise
        return control_plane

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Writes a kubeconfig for a user, as `ControlPlane.kubeconfig_for`."""
        digest = hashlib.sha256(repr((user, tuple(groups))).encode()).hexdigest()[:8]
        path = self._directory / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', user)[:60]}-{digest}.kubeconfig"
        return path if path.exists() else self._write_kubeconfig(path, user, groups)

    def kill_api_server(self) -> None:
        """Kills kube-apiserver, as a crash does; its port stays reserved."""
        if self._api is not None:
            self._api.kill()

    def restart_api_server(self) -> None:
        """Restarts kube-apiserver on the same port; returns when it is ready.

        Raises:
            StartError: It did not get ready.
        """
        self.kill_api_server()
        self._api = self._run("kube-apiserver", self._api_server_arguments(), self._extra_arguments)
        self._wait_until_ready()

    def kill_etcd(self) -> None:
        """Kills etcd, as a crash does; acknowledged data stays, and its ports stay reserved."""
        if self._etcd is not None:
            self._etcd.kill()

    def restart_etcd(self, *, wait: bool = True) -> None:
        """Restarts etcd on the same ports and data.

        Args:
            wait: Return only when the API server is ready with it.

        Raises:
            StartError: The API server did not get ready.
        """
        self.kill_etcd()
        self._etcd = self._run("etcd", self._etcd_arguments())
        if wait:
            self._wait_until_ready()

    def stop(self) -> None:
        """Stops all programs within a few seconds; does nothing when called again. Files stay."""
        for part in (self._controllers, self._api, self._etcd):
            if part is not None:
                part.stop(grace=GRACE_SECONDS)
        for port in self._ports.values():
            port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _write_files(self) -> None:
        self.certificate_authority.write_bytes(self._authority.certificate_pem)
        names = ["kubernetes.default.svc", "localhost"]
        serving = self._authority.issue("kube-apiserver", dns_names=names, addresses=[LOOPBACK], server=True)
        serving.write(self._directory, "kube-apiserver")
        self._authority.issue("service-accounts").write(self._directory, "service-accounts")
        self._write_kubeconfig(self.kubeconfig, "kubernetes-admin", ("system:masters",))

    def _write_kubeconfig(self, path: Path, user: str, groups: Sequence[str]) -> Path:
        key_pair = self._authority.issue(user, organizations=groups)
        path.touch(mode=0o600)
        path.write_text(
            kubeconfig.render(
                server=self.server,
                certificate_authority_pem=self._authority.certificate_pem,
                user=user,
                key_pair=key_pair,
            )
        )
        return path

    def _run(self, program: str, flags: dict[str, str], extra: tuple[str, ...] = ()) -> Part:
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        return Part.start_program(
            [str(self._programs.folder / program), *arguments, *extra],
            log=self._log(program),
            # The working directory, for files that a program writes without being asked.
            directory=self._directory,
            says_ready=False,
        )

    def _log(self, program: str) -> Path:
        return self._directory / f"{program}.log"

    def _etcd_arguments(self) -> dict[str, str]:
        clients = f"http://{LOOPBACK}:{self._ports['etcd'].number}"
        peers = f"http://{LOOPBACK}:{self._ports['peers'].number}"
        return {
            "data-dir": str(self._directory / "etcd"),
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "socket-reuse-port": "true",  # see _Port
            "unsafe-no-fsync": "true",  # a crash of the machine may lose data; a crash of etcd does not
            "log-level": "error",
        }

    def _api_server_arguments(self) -> dict[str, str]:
        own = self._directory
        return {
            "etcd-servers": f"http://{LOOPBACK}:{self._ports['etcd'].number}",
            "bind-address": LOOPBACK,
            "secure-port": str(self._ports["api"].number),
            "permit-port-sharing": "true",  # see _Port
            "tls-cert-file": str(own / "kube-apiserver.pem"),
            "tls-private-key-file": str(own / "kube-apiserver.key"),
            "client-ca-file": str(self.certificate_authority),
            "service-account-key-file": str(own / "service-accounts.pem"),
            "service-account-signing-key-file": str(own / "service-accounts.key"),
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-cluster-ip-range": "10.96.0.0/16",
            "authorization-mode": "RBAC",
            "allow-privileged": "true",  # kubeadm's default
            "endpoint-reconciler-type": "none",  # otherwise the Service `kubernetes` gets this machine's address
            "profiling": "false",
        }

    def _flags_of_manager(self) -> dict[str, str]:
        return {
            "kubeconfig": str(self.kubeconfig),
            "controllers": f"*,{','.join(f'-{each}' for each in _OF_NODES)}",
            "leader-elect": "false",
            "secure-port": "0",
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        with Api.from_kubeconfig(self.kubeconfig) as api:
            while (waiting_for := _not_ready(api)) is not None:
                for program, part in (("etcd", self._etcd), ("kube-apiserver", self._api)):
                    if part is None or not part.alive:
                        raise StartError(f"{program} is not running{self._log_tail(program)}")
                if time.monotonic() > deadline:
                    tail = self._log_tail("kube-apiserver")
                    raise StartError(f"not ready within {READY_SECONDS:g} s: {waiting_for}{tail}")
                time.sleep(0.05)
            self.version = api.get("/version")["gitVersion"]

    def _log_tail(self, program: str) -> str:
        path = self._log(program)
        said = path.read_bytes()[-_LOG_TAIL:].decode(errors="replace") if path.exists() else ""
        return f"; the end of {str(path)!r}:\n{said}"


class _Port:
    """A free port of the loopback address that stays reserved while its program is down.

    A bound socket that never listens holds the port. Both programs share their ports (SO_REUSEPORT), so they can listen
    on it too. No other process gets the port between a crash and a restart, or while several control planes start.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


def _not_ready(api: Api) -> str | None:
    """Returns the missing part, or None if the API server is ready."""
    try:
        api.get_text("/readyz")
        # Also reads from etcd, because the check above caches its answer for a moment after etcd ends.
        # The API server creates this namespace after kube-system, but reports ready earlier.
        api.get("/api/v1/namespaces/default")
    except (ApiError, urllib3.exceptions.HTTPError) as error:
        return str(error)
    return None
