"""One fetch at a time for many threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from csr_signer.errors import UnavailableError
from csr_signer.single_flight import SingleFlight


@pytest.mark.parametrize("fails", [False, True], ids=["a result", "a failure"])
def test_threads_share_a_running_fetch(*, fails: bool) -> None:
    """Waits do not add up: the second thread waits for the first thread's fetch, and starts none."""
    shared: SingleFlight[str] = SingleFlight()
    fetching, release = threading.Event(), threading.Event()

    def slow() -> str:
        fetching.set()
        release.wait(10)
        if fails:
            raise UnavailableError("slow")
        return "slow"

    def own() -> str:
        raise AssertionError("a second fetch beside the first")

    class Joining(threading.Thread):
        """Says when it waits for the other's fetch: its own would have raised at once."""

        said = ""

        def run(self) -> None:
            try:
                self.said = shared.get(own)
            except UnavailableError as error:
                self.said = str(error)

    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(shared.get, slow)
        fetching.wait(10)
        second = Joining()
        second.start()
        second.join(0.05)  # it can only end when the first does
        assert second.is_alive()
        release.set()
        second.join(10)
    assert second.said == "slow"
    assert (first.exception() is not None) == fails


def test_after_a_failure_the_next_may_try_again() -> None:
    """A failure is not kept."""
    shared: SingleFlight[int] = SingleFlight()

    def fail() -> int:
        raise UnavailableError("once")

    with pytest.raises(UnavailableError):
        shared.get(fail)
    assert shared.get(lambda: 7) == 7
