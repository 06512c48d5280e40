"""The service's enums under short names.

Proto-plus makes them by a metaclass that type checkers do not follow; they behave as IntEnums.
"""

from typing import Any

from google.cloud import kms_v1

Algorithm: Any = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm
Purpose: Any = kms_v1.CryptoKey.CryptoKeyPurpose
State: Any = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
Level: Any = kms_v1.ProtectionLevel


def name_of(value: int) -> str:
    """Return the name of an enum's value, or its digits where a newer client sent one unknown here."""
    return str(getattr(value, "name", value))
