"""Values that cross modules cannot be changed or made in the wrong order: frozen, slotted, keyword-only dataclasses."""

import dataclasses
import inspect
from typing import Any

import pytest

from csr_signer import violation
from csr_signer.ca import issuer
from csr_signer.objects import csr, pod
from csr_signer.policy import attestation, decision, profile, rules, signer
from csr_signer.request import extensions, pkcs10, public_key

MODULES = (attestation, csr, extensions, issuer, pkcs10, decision, pod, profile, public_key, rules, signer, violation)
VALUES = [
    each
    for module in MODULES
    for _, each in inspect.getmembers(module, inspect.isclass)
    if dataclasses.is_dataclass(each) and each.__module__ == module.__name__
]


def test_there_are_values() -> None:
    """The rule below is about something."""
    assert {each.__name__ for each in VALUES} >= {"CertificationRequest", "PublicKey", "Permit", "Violation"}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_a_value_is_frozen_slotted_and_keyword_only(value: Any) -> None:
    """So whoever gets one knows that it is what its maker made."""
    assert value.__dataclass_params__.frozen
    assert "__slots__" in vars(value)
    assert all(field.kw_only for field in dataclasses.fields(value))
