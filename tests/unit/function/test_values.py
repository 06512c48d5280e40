"""Values that cross modules cannot be changed or made in the wrong order: frozen, slotted, keyword-only dataclasses."""

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Any

import pytest

from csr_signer import ca, issuance, objects, policy, request, violation
from csr_signer.kms import status

PACKAGES = (ca, issuance, objects, policy, request)
NAMES = [each.name for package in PACKAGES for each in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
MODULES = (status, violation, *map(importlib.import_module, NAMES))
VALUES = [
    each
    for module in MODULES
    for _, each in inspect.getmembers(module, inspect.isclass)
    if dataclasses.is_dataclass(each) and each.__module__ == module.__name__
]


def test_there_are_values() -> None:
    """The rule below is about something."""
    assert {each.__name__ for each in VALUES} >= {"Issuer", "Permit", "PublicKey", "TBSCertificate", "Violation"}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_a_value_is_frozen_slotted_and_keyword_only(value: Any) -> None:
    """So whoever gets one knows that it is what its maker made."""
    assert value.__dataclass_params__.frozen
    assert "__slots__" in vars(value)
    assert all(field.kw_only for field in dataclasses.fields(value))
