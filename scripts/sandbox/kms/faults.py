"""Faults on demand: each spoils the next calls that it matches."""

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import grpc

from sandbox.kms.errors import KmsError, error_info, retry_info

KEY_GENERATION = "KeyGeneration"
"""Stands for a method where a fault is to hit the making of a key: it hangs in PENDING_GENERATION, or fails."""


class Corruption(enum.Enum):
    """How an answer is spoilt on its way; everything else in it stays right."""

    SIGNATURE = "signature"  # a bit of the signature, its checksum unchanged
    SIGNATURE_CRC32C = "signature_crc32c"
    NO_SIGNATURE_CRC32C = "no_signature_crc32c"
    UNVERIFIED_CRC32C = "unverified_crc32c"  # the service says that it saw no checksum
    NAME = "name"  # another version of the same key
    PROTECTION_LEVEL = "protection_level"  # one level below
    FOREIGN_SIGNATURE = "foreign_signature"  # valid, with a right checksum, by another key
    PEM_CRC32C = "pem_crc32c"
    NO_PEM_CRC32C = "no_pem_crc32c"
    FOREIGN_PUBLIC_KEY = "foreign_public_key"  # well-formed, with a right checksum, of another key
    ALGORITHM = "algorithm"  # GetPublicKey names another algorithm
    EMPTY_SIGNATURE = "empty_signature"  # nothing, whose checksum is 0: present and falsy
    LONG_SIGNATURE = "long_signature"  # more than a client takes of any answer
    REQUEST = "request"  # a bit of what is to be signed, on its way to the service


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a call. Without any action it lets the call pass, so that a later one is hit.

    Attributes:
        method: The method that it waits for; None for any.
        times: How many calls it is used for; 0 for all until faults are cleared.
        delay: Seconds to wait before anything else.
        hang: Wait until hanging calls are released, or the caller gives up.
        status: The gRPC status name that the call ends with.
        after: End with the status only after the work was done: the key was used, its answer is lost.
        message: The status's message.
        retry_delay: Seconds of a RetryInfo in the status's details.
        reason: Of an ErrorInfo in the status's details.
        raw_details: Hex of what stands in place of the status's details, of any form.
        corruption: How to spoil the answer.
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
        """Return the status that the call ends with, None where it does not end so."""
        if self.status is None:
            return None
        details = [retry_info(self.retry_delay)] if self.retry_delay is not None else []
        details += [error_info(self.reason)] if self.reason is not None else []
        raw = None if self.raw_details is None else bytes.fromhex(self.raw_details)
        return KmsError(grpc.StatusCode[self.status], self.message, *details, raw_details=raw)


class Faults:
    """The queue of faults, and the calls that hang."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queue: list[Fault] = []
        self._released = 0
        self._hanging = 0

    def add(self, fault: Fault) -> None:
        """Put a fault at the end of the queue."""
        with self._condition:
            self._queue.append(fault)

    def clear(self) -> None:
        """Forget all faults that are left; calls that hang already go on hanging."""
        with self._condition:
            self._queue.clear()

    def take(self, method: str) -> Fault:
        """Return the first fault that matches and count its use; a fault without action where none does.

        The making of a key is no call: only a fault that names it matches.
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
        """How many calls hang now."""
        with self._condition:
            return self._hanging

    def hang(self, over: Callable[[], bool]) -> None:
        """Wait until `release` is called, or until `wake` is called and the call is over."""
        with self._condition:
            released = self._released
            self._hanging += 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._released != released or over())
            self._hanging -= 1
            self._condition.notify_all()

    def wake(self) -> None:
        """Let hanging calls look whether they are over."""
        with self._condition:
            self._condition.notify_all()

    def release(self) -> None:
        """Let all calls that hang now go on."""
        with self._condition:
            self._released += 1
            self._condition.notify_all()

    def wait_until_hanging(self, calls: int, timeout: float = 10.0) -> None:
        """Return when that many calls hang.

        Raises:
            TimeoutError: They do not within `timeout` seconds.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._hanging >= calls, timeout):
                raise TimeoutError(f"{self._hanging} calls hang after {timeout:g} s, {calls} were awaited")
