"""The end of a part: signals that come at any moment stop it in order."""

import signal
import sys

import pytest

from sandbox.process import Part
from tests.patience import PATIENCE

PROGRAM = """
import os, signal, threading
from sandbox.lifecycle import StopSignals, say_ready
threading.Thread(target=threading.Event().wait, daemon=True).start()  # another thread that may get the signal
with StopSignals() as stop:
    {early}
    say_ready({{"part": "x"}})
    stop.wait()
print("in order", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_wait(number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the part in order."""
    part = Part.start_program([sys.executable, "-c", PROGRAM.format(early="")])
    assert part.ready == {"part": "x"}
    part.signal(number)
    assert part.wait(PATIENCE) == 0


def test_signal_before_the_wait() -> None:
    """A signal that comes before the part waits is not lost."""
    early = "os.kill(os.getpid(), signal.SIGTERM)"
    part = Part.start_program([sys.executable, "-c", PROGRAM.format(early=early)])
    assert part.wait(PATIENCE) == 0


def test_signal_to_another_thread() -> None:
    """A signal that another thread gets ends the wait too."""
    early = "threading.Timer(0.05, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()"
    part = Part.start_program([sys.executable, "-c", PROGRAM.format(early=early)])
    assert part.wait(PATIENCE) == 0
