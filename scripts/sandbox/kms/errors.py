"""Errors of methods: a gRPC status with a message and the service's details."""

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


class KmsError(Exception):
    """An error that ends a call with a gRPC status.

    Attributes:
        code: The gRPC status code.
        details: Messages of google.rpc for the caller.
        raw_details: Bytes that replace the details; None for the details.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *details: Any,  # noqa: ANN401  # messages
        raw_details: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details
        self.raw_details = raw_details

    def status(self) -> grpc.Status:
        """Returns the status for `abort_with_status`."""
        packed = []
        for detail in self.details:
            packed.append(AnyMessage())
            packed[-1].Pack(detail)
        number, _ = self.code.value
        status = rpc_status.to_status(status_pb2.Status(code=number, message=str(self), details=packed))
        if self.raw_details is None:
            return status
        return status._replace(trailing_metadata=((rpc_status.GRPC_DETAILS_METADATA_KEY, self.raw_details),))


def invalid_argument(message: str) -> KmsError:
    """Returns an error for an invalid request."""
    return KmsError(grpc.StatusCode.INVALID_ARGUMENT, message)


def wrong_checksum(field: str, content: str) -> KmsError:
    """Returns an error for a checksum that does not match."""
    return invalid_argument(f"The checksum in field {field} did not match the data in field {content}.")


def not_found(name: str) -> KmsError:
    """Returns an error for a missing resource."""
    return KmsError(grpc.StatusCode.NOT_FOUND, f"{name} not found.")


def already_exists(name: str) -> KmsError:
    """Returns an error for a name that exists already; Cloud KMS never frees names."""
    return KmsError(grpc.StatusCode.ALREADY_EXISTS, f"{name} already exists.")


def failed_precondition(message: str) -> KmsError:
    """Returns an error for a resource of the wrong state or kind."""
    return KmsError(grpc.StatusCode.FAILED_PRECONDITION, message)


def not_enabled(name: str, state: str) -> KmsError:
    """Returns the service's error for a version that is not enabled (text from terraform-provider-google#5895)."""
    violation = error_details_pb2.PreconditionFailure.Violation(type=f"KEY_{state}", subject=name)
    return KmsError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"{name} is not enabled, current state is: {state}.",
        error_details_pb2.PreconditionFailure(violations=[violation]),
    )


def permission_denied(message: str) -> KmsError:
    """Returns an error for a caller without the permission."""
    return KmsError(grpc.StatusCode.PERMISSION_DENIED, message)


def unimplemented(message: str) -> KmsError:
    """Returns an error for a feature that this double lacks."""
    return KmsError(grpc.StatusCode.UNIMPLEMENTED, message)


def retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    """Returns a RetryInfo with the time to wait."""
    whole = int(seconds)
    return error_details_pb2.RetryInfo(
        retry_delay=Duration(seconds=whole, nanos=round((seconds - whole) * 1_000_000_000))
    )


def error_info(reason: str) -> error_details_pb2.ErrorInfo:
    """Returns an ErrorInfo with the reason for programs."""
    return error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com")
