"""A whole deployment on one machine: control plane, KMS, Google's services, CA, function and exporter.

Function and exporter are the real programs, started as they are deployed: the function under functions-framework and
gunicorn, the exporter as a process with its own identity. Each part writes its log into the deployment's folder.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import urllib3

from sandbox import authority, control_plane, guards, kubeconfig, manifests
from sandbox.api import Api
from sandbox.calico.components import components
from sandbox.calico.fleet import NODE_NETWORKS, POD_NETWORKS
from sandbox.calico.world import World
from sandbox.demo import interrupt
from sandbox.documents import CLUSTER, Signer, exporter_document, function_document
from sandbox.exporter_runtime import ExporterRuntime
from sandbox.foreign import ForeignCluster
from sandbox.function_runtime import FunctionRuntime
from sandbox.google.id_token import AUDIENCE, IdTokenServer
from sandbox.process import Part
from sandbox.proxy import FaultProxy
from sandbox.settings import Link, Settings, UserProfile

if TYPE_CHECKING:
    from sandbox.control_plane import ControlPlane

__all__ = ["Deployment", "Link", "Settings", "UserProfile"]

_SECONDS = 30.0
_OK = 200
_TOKEN_SECONDS = 24 * 3600  # the longest lifetime that STS accepts; a day, for --serve


class Deployment:
    """All parts of the deployment; start it, or use it as a context manager.

    Attributes:
        plane: The control plane.
        api: An administrator's client.
        world: Creates objects, and removes them from a cluster that is not ours.
        kms: HOST:PORT of the KMS.
        kms_pid: Process ID of the KMS double; None without a double.
        signer: The signer for Calico's pods, if the settings have one; the others have its key.
        signers: All signers, Calico's first.
        function: The function; tests may kill and restart it.
        exporters: The exporter's replicas by ordinal; tests may kill and restart them.
        proxies: The fault proxies of the settings, initially without faults.
    """

    plane: ControlPlane | ForeignCluster
    api: Api
    world: World
    kms: str
    kms_pid: int | None = None
    signer: Signer
    signers: tuple[Signer, ...]

    def __init__(self, settings: Settings, *, progress: Callable[[str], None] = lambda _: None) -> None:
        """Prepares a deployment, without starting a part.

        Args:
            settings: Its settings.
            progress: Receives one line of text before each step that takes time.
        """
        self.settings = settings
        self._progress = progress
        self.directory = settings.directory
        self.function = FunctionRuntime(
            self.directory / "function.json",
            self.log("function"),
            concurrency=settings.concurrency,
            workers=settings.workers,
        )
        self.proxies: dict[Link, FaultProxy] = {}
        self.exporters = tuple(
            ExporterRuntime(
                self.directory / "exporter.json",
                self.log(f"exporter-{ordinal}" if ordinal else "exporter"),
                ordinal=ordinal,
                program=settings.exporter,
            )
            for ordinal in range(settings.replicas)
        )
        self._google: Part
        self._google_arguments: list[str] = []
        self._stack = contextlib.ExitStack()
        self._started = False

    def start(self) -> Self:
        """Starts all parts; does nothing when called again. If a part fails, stops the started parts.

        Raises:
            AuthorityError: The CA could not be made.
            FunctionError: The function did not get ready.
            OccupiedError: The cluster is not ours, and has Calico's own pods.
            PartError: Another part did not get ready.
        """
        if self._started:
            return self
        self._started = True
        try:
            self._progress("Cloud KMS (double)" if self.settings.kms is None else f"KMS at {self.settings.kms}")
            with ThreadPoolExecutor(max_workers=1) as executor:
                kms = executor.submit(self._start_kms)
                self._start_control_plane()
                self.kms = kms.result()
            self._make_accounts()
            self._progress("CA: a key in KMS, and its certificate from signerctl")
            self.signer = self._make_authority(self.certificate_authority)
            self.signers = (*((self.signer,) if self.settings.calico else ()), *self._further_signers())
            self._write("function.json", self._function_document())
            if self.settings.guards:
                self._put_guards_in()
            self._stack.callback(self.function.stop)
            self.function.environment["TMPDIR"] = self._temporary_folder()
            self._progress("function (real)")
            self.function.start()
            self._write("exporter.json", self._exporter_document())
            self._progress("exporter (real)")
            for exporter in self.exporters:
                self._stack.callback(exporter.stop)
            self.start_exporter()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops all parts in reverse order; does nothing when called again. Files stay."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def certificate_authority(self) -> Path:
        """Returns the PEM file of the CA's certificate, which is also the trust bundle."""
        return self.directory / "ca.pem"

    def log(self, part: str) -> Path:
        """Returns the log of a part.

        The parts are `function`, `exporter` (other replicas: `exporter-1`), `google`, `kms`, `kms-audit` (the entries
        that Cloud KMS would write to Cloud Logging) and `signerctl` (its audit records).
        """
        return self.directory / f"{part}.log"

    def start_exporter(self) -> None:
        """Starts or restarts all replicas of the exporter, and waits until they run.

        Raises:
            PartError: A replica does not run.
        """
        for exporter in self.exporters:
            exporter.start()

    def use(self, root: Path) -> None:
        """Stops the function and the exporters; their next start runs another tree's programs."""
        self.kill_exporter()
        self.function.stop()
        self.function.root = root
        for exporter in self.exporters:
            exporter.root = root

    def restart_google(self, *, clock_offset: float = 0.0) -> None:
        """Restarts Google's doubles at the same addresses; tokens from before are no longer valid.

        Args:
            clock_offset: Seconds by which Google's clock is ahead of the cluster's.

        Raises:
            PartError: They do not run.
        """
        api, run, metadata = (
            self._google.ready[name].rpartition(":")[2] for name in ("iam_credentials", "run", "metadata")
        )
        ports = ("--port", api, "--run-port", run, "--metadata-port", metadata)
        self._google.stop()
        clock = f"--clock-offset={clock_offset}"
        self._google = Part.start("sandbox.google", *self._google_arguments, *ports, clock, log=self.log("google"))

    def kill_exporter(self) -> None:
        """Kills all replicas of the exporter, as a crash does."""
        for exporter in self.exporters:
            exporter.kill()

    @property
    def exporter_pid(self) -> int | None:
        """Returns the first replica's process id; None before its first start."""
        return self.exporters[0].pid

    def _start_control_plane(self) -> None:
        kind = self.settings.plane
        if isinstance(kind, Path):
            self._progress(f"API server of {kind}")
            self.plane = ForeignCluster(kind, self.directory)
        else:
            self._progress("API server (double)" if kind == "embedded" else "API server: etcd and kube-apiserver")
            self.plane = control_plane.start(
                kind,
                self.directory / "control-plane",
                kubernetes=self.settings.kubernetes,
                controllers=self.settings.controllers,
            )
            self._stack.callback(self.plane.stop)
        self.api = self._stack.enter_context(Api.from_kubeconfig(self.plane.kubeconfig))
        self.world = self._stack.enter_context(World(self.api))
        if isinstance(self.plane, ForeignCluster):
            if not self.settings.force:
                self.plane.refuse_if_occupied(self.api)
            self._stack.callback(self._remove_objects)

    def _remove_objects(self) -> None:
        try:
            self._progress("deleting the objects from the cluster")
        finally:  # even if the output is closed
            with interrupt.ignored():
                self.world.remove()

    def _start_kms(self) -> str:
        if self.settings.kms is not None:
            return self.settings.kms
        milliseconds = str(self.settings.kms_latency * 1000)
        audit_log = str(self.log("kms-audit"))
        part = Part.start("sandbox.kms", "--latency-ms", milliseconds, "--audit-log", audit_log, log=self.log("kms"))
        self._stack.callback(part.stop)
        self.kms_pid = part.pid
        return str(part.ready["endpoint"])

    def _make_accounts(self) -> None:
        if self.settings.calico:
            self.world.create(components(self.settings.release))
        self.world.add_namespace(manifests.NAMESPACE)
        function = None
        if isinstance(self.plane, ForeignCluster) or self.settings.id_token:
            function = manifests.FUNCTION_SUBJECT
            self.world.add_account(manifests.NAMESPACE, function["name"])
        for namespace in self.settings.namespaces:
            self.world.add_namespace(namespace)
        manifests.apply(
            self.world,
            signer_names=self.settings.signer_names,
            namespaces=self.settings.namespaces,
            nodes=any(profile.nodes for profile in self.settings.profiles.values()),
            function=function,
        )

    def _put_guards_in(self) -> None:
        guards.put_in(
            self.world,
            self.directory / "function.json",
            cluster=CLUSTER,
            function=manifests.FUNCTION_ACCOUNT_USER if self.settings.id_token else manifests.FUNCTION_USER,
            signer_name=self.signer.signer_name,
        )

    def _further_signers(self) -> list[Signer]:
        """Returns one signer per user profile, and copies the profiles next to the function's document.

        Each profile has its own CA: the function accepts no CA for two profiles.
        """
        made: dict[str, Signer] = {}
        for profile in self.settings.profiles.values():
            name = profile.file.name
            if name not in made:
                shutil.copy(profile.file, self.directory)
                unused = not self.settings.calico and not made
                made[name] = (
                    self.signer if unused else self._make_authority(self.directory / f"ca-of-{profile.file.stem}.pem")
                )
        return [
            replace(made[name := profile.file.name], signer_name=signer_name, release=profile.release, profile=name)
            for signer_name, profile in self.settings.profiles.items()
        ]

    def _make_authority(self, certificate: Path) -> Signer:
        """Returns Calico's signer with a new CA.

        Raises:
            AuthorityError: The CA could not be made.
        """
        return authority.create(
            self.kms,
            certificate,
            key_algorithm=self.settings.key_algorithm,
            signer_name=self.settings.signer_name,
            release=self.settings.release,
            log=self.log("signerctl"),
        )

    def _function_access(self) -> dict[str, Any]:
        """Returns the document's fields about the API server, and the function's access to it."""
        server = self._through("api-server-for-function", self.plane.server)
        if self.settings.id_token:
            token = self.world.token(manifests.NAMESPACE, manifests.FUNCTION_SUBJECT["name"], seconds=_TOKEN_SECONDS)
            metadata = self._stack.enter_context(IdTokenServer(token))
            self.function.environment["GCE_METADATA_HOST"] = metadata.address
            return {
                "server": server,
                "certificate_authority": str(self.plane.certificate_authority),
                "authentication": {"google_id_token": {"audience": AUDIENCE}},
            }
        path = (
            self.plane.function_kubeconfig(self.world)
            if isinstance(self.plane, ForeignCluster)
            else self.plane.kubeconfig_for(manifests.FUNCTION_USER)
        )
        if server != self.plane.server:
            path = kubeconfig.redirect(path, server, self.directory / "function-through-proxy.kubeconfig")
        return {"authentication": {"kubeconfig": str(path)}}

    def _temporary_folder(self) -> str:
        """Makes a folder for the function's temporary files: its Kubernetes client leaves the key of a kubeconfig."""
        path = self.directory / "temporary"
        path.mkdir(exist_ok=True)
        return str(path)

    def _function_document(self) -> dict[str, Any]:
        invokers = (manifests.EXPORTER_EMAIL,) if self.settings.front_door else ()
        kms = self._through("kms", self.kms)
        return function_document(
            self.signers,
            access=self._function_access(),
            kms=kms,
            invokers=invokers,
            address_ranges=[
                *map(str, (*NODE_NETWORKS, *POD_NETWORKS)),
                *(network for profile in self.settings.profiles.values() for network in profile.networks),
            ],
        )

    def _exporter_document(self) -> dict[str, Any]:
        url, identity = self.function.url, {"kind": "unsafe_none"}
        if self.settings.front_door:
            google = self._start_google()
            url = google["run"]
            identity = {
                "kind": "workload_identity_federation",
                "token_file": str(self._exporter_token("google", google["subject_audience"])),
                "sts_audience": google["sts_audience"],
                "service_account": manifests.EXPORTER_EMAIL,
                "unsafe_sts_url": google["sts"],
                "unsafe_iam_credentials_url": google["iam_credentials"],
            }
        api_server = {
            "server": self._through("api-server-for-exporter", self.plane.server),
            "certificate_authority": str(self.plane.certificate_authority),
            "token_file": str(self._exporter_token("api-server")),
        }
        address = f"{self._through('function', url)}/"
        return exporter_document(
            self.signers,
            url=address,
            audience=url,
            identity=identity,
            api_server=api_server,
            replicas=self.settings.replicas,
            takeover_seconds=self.settings.takeover_seconds,
        )

    def _through(self, link: Link, address: str) -> str:
        """Returns the address of the proxy in front of `address` (a URL or HOST:PORT), if the settings have one."""
        if link not in self.settings.proxies:
            return address
        scheme, slashes, endpoint = address.rpartition("://")
        proxy = self._stack.enter_context(FaultProxy(endpoint, http=link == "function"))
        self.proxies[link] = proxy
        return f"{scheme}{slashes}{proxy.endpoint}"

    def _start_google(self) -> dict[str, Any]:
        self._progress("Google's identity services (doubles)")
        arguments = ["--run-target", self.function.url, *self._token_keys()]
        self._google_arguments = arguments
        self._google = Part.start("sandbox.google", *arguments, log=self.log("google"))
        self._stack.callback(self._stop_google)
        return self._google.ready

    def _stop_google(self) -> None:
        self._google.stop()

    def _token_keys(self) -> list[str]:
        """Returns the keys that sign the cluster's tokens, if its API server publishes them (the double does not)."""
        headers = {"Authorization": f"Bearer {self._exporter_token('api-server').read_text()}"}
        with urllib3.PoolManager(ca_certs=str(self.plane.certificate_authority), retries=False) as pool:
            keys, settings = (
                pool.request("GET", f"{self.plane.server}{path}", headers=headers, timeout=_SECONDS)
                for path in ("/openid/v1/jwks", "/.well-known/openid-configuration")
            )
        if keys.status != _OK or settings.status != _OK:
            return []
        path = self.directory / "cluster-keys.json"
        path.write_bytes(keys.data)
        return ["--jwks", str(path), "--subject-issuer", str(settings.json()["issuer"])]

    def _exporter_token(self, name: str, *audiences: str) -> Path:
        token = self.world.token(
            manifests.NAMESPACE, manifests.EXPORTER_ACCOUNT, audiences=audiences, seconds=_TOKEN_SECONDS
        )
        path = self.directory / f"exporter-{name}.token"
        path.touch(mode=0o600)
        path.write_text(token)
        return path

    def _write(self, name: str, document: dict[str, Any]) -> None:
        (self.directory / name).write_text(json.dumps(document, indent=1) + "\n")
