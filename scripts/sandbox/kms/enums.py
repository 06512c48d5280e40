"""The service's enums under short names.

Proto-plus creates them with a metaclass that type checkers do not understand; they behave as IntEnums.
"""

from typing import Any

from google.cloud import kms_v1

Algorithm: Any = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm
Purpose: Any = kms_v1.CryptoKey.CryptoKeyPurpose
State: Any = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
Level: Any = kms_v1.ProtectionLevel


def name_of(value: int) -> str:
    """Returns the name of an enum's value, or its number if the value is unknown."""
    return str(getattr(value, "name", value))
