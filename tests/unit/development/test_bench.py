"""`scripts/bench judge`: the costs that it prints are those of the function's own decision."""

import pytest

from development import bench, judge
from tests.unit.function.builders import judge as decide
from tests.unit.function.builders import make_request


def test_a_cost_is_that_of_a_decision() -> None:
    """Best and worst of the runs, memory at its peak, and what was decided."""
    texts: list[bytes] = []

    def noted(text: bytes) -> object:
        texts.append(text)
        return decide(request=text)

    cost = judge.measure("an honest one", make_request(), noted, 3)
    assert texts == [make_request()] * 4
    assert (cost.size, cost.answer) == (len(make_request()), "Permit")
    assert 0 < cost.best <= cost.worst
    assert cost.memory > len(make_request())
    assert str(cost).split()[-1] == "Permit"


def test_judge_is_measured_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Its help is its own, and everything else is the sandbox's."""
    with pytest.raises(SystemExit, match="0"):
        bench.main(["judge", "--help"])
    assert "one request can cost" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        bench.main(["--help"])
    told = capsys.readouterr().out
    assert "scripts/bench judge" in told
    assert "drain" in told
