"""The allow-list of request fields: what the double does not look at, it refuses."""

from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from sandbox.kms.errors import unimplemented


def check_fields(request: Any, *allowed: str) -> None:  # noqa: ANN401  # any message of the service
    """Refuse a request that sets a field which is not listed, or one that is not in the client's own schema.

    A message that is set but empty is no field that is set: `key_ring` is required and says nothing.

    Args:
        request: A proto-plus message.
        allowed: Paths such as `crypto_key.purpose`; a path allows everything below it.

    Raises:
        KmsError: UNIMPLEMENTED, naming the field.
    """
    _check(type(request).pb(request), "", frozenset(allowed))


def _check(message: Message, prefix: str, allowed: frozenset[str], *, inside: bool = False) -> None:
    """Check a message; `inside` one that is allowed as a whole only what the schema does not know is left to find."""
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
