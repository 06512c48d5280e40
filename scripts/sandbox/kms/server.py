"""The gRPC server: applies faults, answers calls, waits the latency, and records calls."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc

from sandbox.kms.audit import AuditLog, AuditRecord, now, resource_of, signed_content
from sandbox.kms.control import control_handler
from sandbox.kms.corruption import corrupt, damage
from sandbox.kms.errors import KmsError
from sandbox.kms.faults import Corruption, Fault, Faults
from sandbox.kms.iam import MANAGE_RAW, Iam, principal_of
from sandbox.kms.methods import ASYMMETRIC_SIGN, SERVICE, Method, methods
from sandbox.kms.resources import Resources
from sandbox.kms.signing import Signing
from sandbox.kms.store import Store

_THREADS = 256  # concurrent calls, including hanging ones; the pool starts threads on demand


@dataclass(slots=True, kw_only=True)
class _Call:
    """A call in progress; `deadline` is the caller's deadline in seconds."""

    method: Method
    request: Any
    context: grpc.ServicerContext
    deadline: float | None
    key_used: bool = False


class KmsServer:
    """Cloud KMS on a free port of the loopback address, plaintext.

    Args:
        latency: Additional seconds of AsymmetricSign.
        port: The port; 0 for any free one.
        state: A folder that keeps all resources for later processes; None for memory only.
        audit_log: A file for one log entry per call, as in Cloud Audit Logs.
        instant: Whether to make keys before CreateCryptoKeyVersion answers; RSA keys then have known primes.
        disable_lag: Seconds for which a disabled version still signs.

    Attributes:
        faults: The faults for the next calls.
        audit: The records of all calls.
        iam: The roles of restricted principals; all others may do everything.
    """

    def __init__(
        self,
        latency: float = 0.0,
        *,
        port: int = 0,
        state: Path | None = None,
        audit_log: Path | None = None,
        instant: bool = False,
        disable_lag: float = 0.0,
    ) -> None:
        self.faults = Faults()
        self.audit = AuditLog(audit_log)
        self.iam = Iam()
        self._latency = latency
        self._port = port
        self._stopping = threading.Event()
        store = Store(directory=state)
        self._resources = Resources(store, instant=instant, disable_lag=disable_lag, faults=self.faults)
        self._signing = Signing(store)
        self._server: grpc.Server | None = None

    @property
    def endpoint(self) -> str:
        """Returns HOST:PORT, after the server has started."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Serves until `stop`.

        Raises:
            RuntimeError: The port is taken.
        """
        server = grpc.server(
            ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="kms"),
            # Without this option, two servers can share a port, and each gets some of the calls.
            options=[("grpc.so_reuseport", 0)],
        )
        handlers = {method.name: self._handler(method) for method in methods(self._resources, self._signing)}
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE, handlers),
                control_handler(self.faults, self.audit, self.iam),
            )
        )
        self._port = server.add_insecure_port(self.endpoint)
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        """Ends all calls, including hanging ones, and closes the port."""
        self._stopping.set()
        self.faults.clear()
        self.faults.release()
        if self._server is not None:
            self._server.stop(grace=1.0).wait()
            self._server = None
        self._resources.close()
        self.audit.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401  # messages
            call = _Call(method=method, request=request, context=context, deadline=context.time_remaining())
            try:
                response = self._answer(call)
            except KmsError as error:
                self._record(call, error.code)
                # The record comes before the answer, so that a caller with an answer finds its record.
                context.abort_with_status(error.status())
                raise
            except Exception:
                self._record(call, grpc.StatusCode.UNKNOWN)
                raise
            self._record(call, grpc.StatusCode.OK)
            return response

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=method.request.deserialize,
            response_serializer=method.response.serialize,
        )

    def _answer(self, call: _Call) -> Any:  # noqa: ANN401  # a message
        fault = self.faults.take(call.method.name)
        self._before(fault, call.context)
        self._authorize(call)
        if fault.corruption is Corruption.REQUEST:
            damage(call.request)
        response = call.method.answer(call.request)
        if call.method.name == ASYMMETRIC_SIGN:
            call.key_used = True
            self._stopping.wait(self._latency)
        if (error := fault.error()) is not None:
            raise error
        if fault.corruption not in (None, Corruption.REQUEST):
            corrupt(fault.corruption, call.request, response, self._signing.scheme(call.request.name))
        return response

    def _before(self, fault: Fault, context: grpc.ServicerContext) -> None:
        self._stopping.wait(fault.delay)
        if fault.hang:
            # False: the call has ended already, and the callback never runs.
            if context.add_callback(self.faults.wake):
                self.faults.hang(lambda: not context.is_active())
            if not context.is_active():
                raise KmsError(grpc.StatusCode.CANCELLED, "the caller gave up")
        if (error := fault.error()) is not None and not fault.after:
            raise error

    def _authorize(self, call: _Call) -> None:
        principal = principal_of(dict(call.context.invocation_metadata()))
        if not self.iam.restricts(principal):
            return
        permissions = [call.method.permission]
        if self._signing.concerns_raw_key(call.request):
            permissions.append(MANAGE_RAW)
        self.iam.check(principal, permissions, resource_of(call.request))

    def _record(self, call: _Call, status: grpc.StatusCode) -> None:
        headers = dict(call.context.invocation_metadata())
        digest, data = signed_content(call.request)
        self.audit.append(
            AuditRecord(
                time=now(),
                method=call.method.name,
                permission=call.method.permission,
                resource=resource_of(call.request),
                reason=str(headers.get("x-goog-request-reason", "")),
                request_params=str(headers.get("x-goog-request-params", "")),
                traceparent=str(headers.get("traceparent", "")),
                digest=digest,
                data=data,
                status=status.name,
                key_used=call.key_used,
                deadline=call.deadline,
            )
        )
