"""Resource names: their forms and their parents."""

import re

from sandbox.kms.errors import invalid_argument

_ID = r"[a-zA-Z0-9_-]{1,63}"
# This service does not name projects and locations, so the double accepts any harmless path segment.
_SEGMENT = r"[a-zA-Z0-9][a-zA-Z0-9_.:-]*"
_LOCATION = rf"projects/{_SEGMENT}/locations/{_SEGMENT}"
_KEY_RING = rf"{_LOCATION}/keyRings/{_ID}"
_CRYPTO_KEY = rf"{_KEY_RING}/cryptoKeys/{_ID}"
_PATTERNS = {
    "location": re.compile(_LOCATION),
    "key ring": re.compile(_KEY_RING),
    "crypto key": re.compile(_CRYPTO_KEY),
    "crypto key version": re.compile(rf"{_CRYPTO_KEY}/cryptoKeyVersions/{_ID}"),
}


def check_name(kind: str, name: str) -> str:
    """Validates a resource name.

    Args:
        kind: location, key ring, crypto key, or crypto key version.
        name: The full resource name.

    Raises:
        KmsError: INVALID_ARGUMENT: the name is malformed.
    """
    if not _PATTERNS[kind].fullmatch(name):
        raise invalid_argument(f"malformed {kind} name {name!r}")
    return name


def check_id(value: str) -> str:
    """Validates a caller's id: 1 to 63 letters, digits, `-` and `_`.

    Raises:
        KmsError: INVALID_ARGUMENT: the id is malformed.
    """
    if not re.fullmatch(_ID, value):
        raise invalid_argument(f"invalid id {value!r}")
    return value


def parent_of(name: str) -> str:
    """Returns the name of the parent resource."""
    return name.rsplit("/", 2)[0]
