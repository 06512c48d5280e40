"""What a method raises: a gRPC status with a message."""

import grpc


class KmsError(Exception):
    """A call ends with this status.

    Attributes:
        code: The gRPC status code.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid_argument(message: str) -> KmsError:
    """The request is wrong, whatever is stored."""
    return KmsError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(name: str) -> KmsError:
    """There is no such resource."""
    return KmsError(grpc.StatusCode.NOT_FOUND, f"{name} not found")


def already_exists(name: str) -> KmsError:
    """The name is taken; Cloud KMS never frees one."""
    return KmsError(grpc.StatusCode.ALREADY_EXISTS, f"{name} already exists")


def failed_precondition(message: str) -> KmsError:
    """The resource's state or kind does not allow it."""
    return KmsError(grpc.StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> KmsError:
    """Cloud KMS may have it; this double does not, and says so instead of ignoring it."""
    return KmsError(grpc.StatusCode.UNIMPLEMENTED, message)
