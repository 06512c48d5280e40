"""Controls faults and audit records of a double in another process: JSON over the same gRPC port."""

import json
from dataclasses import asdict
from typing import Any, Self

import grpc

from sandbox.kms.audit import AuditLog, AuditRecord
from sandbox.kms.faults import Corruption, Fault, Faults
from sandbox.kms.iam import Iam

SERVICE = "sandbox.kms.v1.Control"


def _encode(value: object) -> bytes:
    # In an object, because gRPC treats a deserialised None as a failure.
    return json.dumps({"value": value}).encode()


def control_handler(faults: Faults, audit: AuditLog, iam: Iam) -> grpc.GenericRpcHandler:
    """Returns the gRPC handler of the server side."""

    def add_fault(request: dict[str, Any], _: grpc.ServicerContext) -> None:
        fields = request["value"]
        corruption = fields.pop("corruption")
        faults.add(Fault(**fields, corruption=Corruption(corruption) if corruption else None))

    def clear(_: object, __: grpc.ServicerContext) -> None:
        faults.clear()

    def release(_: object, __: grpc.ServicerContext) -> None:
        faults.release()

    def wait_until_hanging(request: dict[str, Any], context: grpc.ServicerContext) -> None:
        try:
            faults.wait_until_hanging(**request["value"])
        except TimeoutError as error:
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, str(error))

    def records(request: dict[str, Any], _: grpc.ServicerContext) -> list[dict[str, Any]]:
        return [asdict(record) for record in audit.records(**request["value"])]

    def restrict(request: dict[str, Any], _: grpc.ServicerContext) -> None:
        iam.restrict(**request["value"])

    def lift_restrictions(_: object, __: grpc.ServicerContext) -> None:
        iam.release()

    methods = {
        "AddFault": add_fault,
        "ClearFaults": clear,
        "Release": release,
        "WaitUntilHanging": wait_until_hanging,
        "AuditRecords": records,
        "Restrict": restrict,
        "LiftRestrictions": lift_restrictions,
    }
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(
                method, request_deserializer=json.loads, response_serializer=_encode
            )
            for name, method in methods.items()
        },
    )


class KmsControl:
    """The client side: the verbs of `KmsServer.faults`, `KmsServer.audit` and `KmsServer.iam`.

    Args:
        endpoint: HOST:PORT of the double.
    """

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint)

    def add(self, fault: Fault) -> None:
        """Appends a fault to the queue."""
        corruption = fault.corruption.value if fault.corruption else None
        self._call("AddFault", {**asdict(fault), "corruption": corruption})

    def clear(self) -> None:
        """Removes all remaining faults."""
        self._call("ClearFaults", {})

    def release(self) -> None:
        """Releases all hanging calls."""
        self._call("Release", {})

    def wait_until_hanging(self, calls: int, timeout: float = 60.0) -> None:
        """Waits until that many calls hang.

        Raises:
            TimeoutError: Fewer calls hang after `timeout` seconds.
        """
        try:
            self._call("WaitUntilHanging", {"calls": calls, "timeout": timeout})
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(error.details()) from None
            raise

    def records(self, method: str | None = None, *, since: int = 0) -> list[AuditRecord]:
        """Returns the records from index `since`, for one method or for all."""
        answer = self._call("AuditRecords", {"method": method, "since": since})
        return [AuditRecord(**record) for record in answer]

    def restrict(self, principal: str, *roles: str, resource: str = "") -> None:
        """Restricts a principal to roles on a resource and everything below it."""
        self._call("Restrict", {"principal": principal, "roles": roles, "resource": resource})

    def lift_restrictions(self) -> None:
        """Removes all restrictions."""
        self._call("LiftRestrictions", {})

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, request: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method}", request_serializer=_encode, response_deserializer=json.loads
        )
        return call(request, timeout=90, wait_for_ready=True)["value"]
