"""What a method raises: a gRPC status with a message, and details as the service gives them."""

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


class KmsError(Exception):
    """A call ends with this status.

    Attributes:
        code: The gRPC status code.
        details: Messages of google.rpc, which reach the caller beside the text.
        raw_details: What reaches the caller in their place, None for the messages.
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
        """Return what `abort_with_status` takes."""
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
    """The request is wrong, whatever is stored."""
    return KmsError(grpc.StatusCode.INVALID_ARGUMENT, message)


def wrong_checksum(field: str, content: str) -> KmsError:
    """What arrived is not what its checksum was made of."""
    return invalid_argument(f"The checksum in field {field} did not match the data in field {content}.")


def not_found(name: str) -> KmsError:
    """There is no such resource."""
    return KmsError(grpc.StatusCode.NOT_FOUND, f"{name} not found.")


def already_exists(name: str) -> KmsError:
    """The name is taken; Cloud KMS never frees one."""
    return KmsError(grpc.StatusCode.ALREADY_EXISTS, f"{name} already exists.")


def failed_precondition(message: str) -> KmsError:
    """The resource's state or kind does not allow it."""
    return KmsError(grpc.StatusCode.FAILED_PRECONDITION, message)


def not_enabled(name: str, state: str) -> KmsError:
    """A version that is in another state; text and details are the service's (terraform-provider-google#5895)."""
    violation = error_details_pb2.PreconditionFailure.Violation(type=f"KEY_{state}", subject=name)
    return KmsError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"{name} is not enabled, current state is: {state}.",
        error_details_pb2.PreconditionFailure(violations=[violation]),
    )


def permission_denied(message: str) -> KmsError:
    """IAM does not let the caller."""
    return KmsError(grpc.StatusCode.PERMISSION_DENIED, message)


def unimplemented(message: str) -> KmsError:
    """Cloud KMS may have it; this double does not, and says so instead of ignoring it."""
    return KmsError(grpc.StatusCode.UNIMPLEMENTED, message)


def retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    """How long the service asks its callers to wait."""
    whole = int(seconds)
    return error_details_pb2.RetryInfo(
        retry_delay=Duration(seconds=whole, nanos=round((seconds - whole) * 1_000_000_000))
    )


def error_info(reason: str) -> error_details_pb2.ErrorInfo:
    """Why, for machines."""
    return error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com")
