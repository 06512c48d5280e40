"""The allow-list of request fields: the double refuses fields that it does not implement."""

from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from sandbox.kms.errors import unimplemented


def check_fields(request: Any, *allowed: str) -> None:  # noqa: ANN401  # any message of the service
    """Refuses a request with a field that is not listed, or unknown to the client's schema.

    An empty message counts as unset: `key_ring` is required and empty.

    Args:
        request: A proto-plus message.
        allowed: Paths such as `crypto_key.purpose`; a path allows all fields below it.

    Raises:
        KmsError: UNIMPLEMENTED, naming the field.
    """
    _check(type(request).pb(request), "", frozenset(allowed))


def _check(message: Message, prefix: str, allowed: frozenset[str], *, inside: bool = False) -> None:
    """Checks a message; `inside` an allowed message, only fields that are unknown to the schema are refused."""
    for unknown in UnknownFieldSet(message):
        raise unimplemented(f"unknown field number {unknown.field_number} in {message.DESCRIPTOR.name}")
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        listed = inside or path in allowed
        if isinstance(value, Message):
            _check(value, f"{path}.", allowed, inside=listed)
        elif not listed:
            raise unimplemented(f"field {path} is not supported by this double")
        elif field.enum_type and value not in field.enum_type.values_by_number:
            raise unimplemented(f"field {path} has the unknown value {value!r}")
