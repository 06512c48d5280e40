"""Faults on demand: each affects the next calls that it matches."""

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import grpc

from sandbox.kms.errors import KmsError, error_info, retry_info

KEY_GENERATION = "KeyGeneration"
"""A method name for faults in key generation: the key hangs in PENDING_GENERATION, or fails."""


class Corruption(enum.Enum):
    """The ways to corrupt a message; everything else in it stays valid."""

    SIGNATURE = "signature"  # flips a bit of the signature; the checksum does not change
    SIGNATURE_CRC32C = "signature_crc32c"
    NO_SIGNATURE_CRC32C = "no_signature_crc32c"
    UNVERIFIED_CRC32C = "unverified_crc32c"  # the service reports that it saw no checksum
    NAME = "name"  # the name of another version of the same key
    PROTECTION_LEVEL = "protection_level"  # a lower protection level
    FOREIGN_SIGNATURE = "foreign_signature"  # a valid signature with a right checksum, by another key
    PEM_CRC32C = "pem_crc32c"
    NO_PEM_CRC32C = "no_pem_crc32c"
    FOREIGN_PUBLIC_KEY = "foreign_public_key"  # a well-formed key with a right checksum, of another version
    ALGORITHM = "algorithm"  # GetPublicKey names another algorithm
    EMPTY_SIGNATURE = "empty_signature"  # an empty signature; its checksum is 0, which is present but falsy
    LONG_SIGNATURE = "long_signature"  # an answer above the client's size limit
    REQUEST = "request"  # flips a bit of the digest or data on its way to the service


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault for matching calls. Without an action it lets the call pass, so that a later call is affected.

    Attributes:
        method: The method; None for all methods.
        times: Number of calls; 0 for all calls until `clear`.
        delay: Seconds to wait first.
        hang: Whether to wait until `release`, or until the caller gives up.
        status: The gRPC status name that ends the call.
        after: Whether the status comes after the work: the key is used, but the answer is lost.
        message: The status's message.
        retry_delay: Seconds of a RetryInfo in the status's details.
        reason: Reason of an ErrorInfo in the status's details.
        raw_details: Hex of bytes that replace the status's details.
        corruption: How to corrupt the message.
    """

    method: str | None = None
    times: int = 1
    delay: float = 0.0
    hang: bool = False
    status: str | None = None
    after: bool = False
    message: str = "injected fault"
    retry_delay: float | None = None
    reason: str | None = None
    raw_details: str | None = None
    corruption: Corruption | None = None

    def __post_init__(self) -> None:
        if self.status is not None and self.status not in grpc.StatusCode.__members__:
            raise ValueError(f"status must be one of {list(grpc.StatusCode.__members__)}, got {self.status!r}")

    def error(self) -> KmsError | None:
        """Returns the error that ends the call; None if there is none."""
        if self.status is None:
            return None
        details = [retry_info(self.retry_delay)] if self.retry_delay is not None else []
        details += [error_info(self.reason)] if self.reason is not None else []
        raw = None if self.raw_details is None else bytes.fromhex(self.raw_details)
        return KmsError(grpc.StatusCode[self.status], self.message, *details, raw_details=raw)


class Faults:
    """The queue of faults, and the hanging calls."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queue: list[Fault] = []
        self._released = 0
        self._hanging = 0

    def add(self, fault: Fault) -> None:
        """Appends a fault to the queue."""
        with self._condition:
            self._queue.append(fault)

    def clear(self) -> None:
        """Removes all remaining faults; hanging calls continue to hang."""
        with self._condition:
            self._queue.clear()

    def take(self, method: str) -> Fault:
        """Returns the first matching fault and counts its use; without a match, returns a fault without action.

        Key generation is no call: only a fault with its name matches.
        """
        matching = (method,) if method == KEY_GENERATION else (None, method)
        with self._condition:
            for position, fault in enumerate(self._queue):
                if fault.method in matching:
                    if fault.times == 1:
                        del self._queue[position]
                    elif fault.times > 1:
                        self._queue[position] = replace(fault, times=fault.times - 1)
                    return fault
        return Fault()

    @property
    def hanging(self) -> int:
        """Returns the number of hanging calls."""
        with self._condition:
            return self._hanging

    def hang(self, over: Callable[[], bool]) -> None:
        """Waits for `release`, or for `wake` after the call has ended."""
        with self._condition:
            released = self._released
            self._hanging += 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._released != released or over())
            self._hanging -= 1
            self._condition.notify_all()

    def wake(self) -> None:
        """Lets hanging calls check whether they have ended."""
        with self._condition:
            self._condition.notify_all()

    def release(self) -> None:
        """Releases all hanging calls."""
        with self._condition:
            self._released += 1
            self._condition.notify_all()

    def wait_until_hanging(self, calls: int, timeout: float = 60.0) -> None:
        """Waits until that many calls hang.

        Raises:
            TimeoutError: Fewer calls hang after `timeout` seconds.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._hanging >= calls, timeout):
                raise TimeoutError(f"{self._hanging} calls hang after {timeout:g} s, {calls} were awaited")
