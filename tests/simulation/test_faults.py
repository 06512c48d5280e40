"""Each fault that history mended is found when it is planted again."""

from importlib import import_module
from types import FunctionType, ModuleType

import pytest

from tests.simulation.faults import FAULTS, Fault, planted
from tests.simulation.modes import DRAW, Mode, judge


def _state(module: str) -> dict[str, object]:
    """Returns the code of a module's functions and methods, and its constants."""
    live = import_module(module)
    owners: list[ModuleType | type] = [
        live,
        *(each for each in vars(live).values() if isinstance(each, type) and each.__module__ == module),
    ]
    return {
        f"{owner.__name__}.{name}": getattr(value, "__code__", value)
        for owner in owners
        for name, attribute in vars(owner).items()
        for value in (getattr(attribute, "__wrapped__", getattr(attribute, "fget", attribute)),)
        if isinstance(value, FunctionType | int | float)
    }


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_takes_effect_and_is_taken_back(fault: Fault) -> None:
    """Its text is still in the source once, and other modules' references lead to the changed code."""
    before = _state(fault.module)
    with planted(fault):
        during = _state(fault.module)
    assert before != during
    assert _state(fault.module) == before
    assert before.keys() == during.keys()


def test_a_fault_whose_text_is_gone_is_an_error() -> None:
    """Otherwise nothing would be planted, and the simulation would seem to be blind."""
    fault = Fault(commit="c", line="l", module="csr_exporter.queue.replicas", old="no such text", new="")
    with pytest.raises(ValueError, match="has 0 times, and must have once: no such text"), planted(fault):
        pass


def _is_broken(mode: Mode, seed: int) -> bool:
    return bool(judge(DRAW[mode](seed)).broken)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_within_its_seeds(fault: Fault) -> None:
    """Without it, the seed that shows it breaks nothing."""
    with planted(fault):
        found = next((seed for seed in (fault.seed, *range(fault.seeds)) if _is_broken(fault.mode, seed)), None)
    assert found is not None, f"none of {fault.seeds} seeds shows it"
    assert not _is_broken(fault.mode, found)
