"""A pod that files its CSR and deletes it again, over and over, as fast as the API server lets it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from sandbox.api import CSRS, csr_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.api import Api


class Looper:
    """Loops in a thread from `start` to `stop`.

    Args:
        api: The API server as the pod sees it.
        csr: The CSR that it files, always the same.
    """

    def __init__(self, api: Api, csr: Mapping[str, Any]) -> None:
        self._api = api
        self._csr = csr
        self._stopped = threading.Event()
        self._turned = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="looper", daemon=True)
        self._error: Exception | None = None
        self.uids: list[str] = []
        """Of all CSRs that it filed."""
        self.seconds = 0.0
        """For how long it has looped."""

    def start(self) -> Self:
        """Start looping."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop looping; raises what ended it before."""
        self._stopped.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def wait(self, turns: int, timeout: float) -> bool:
        """Wait until it has filed so many CSRs; returns whether it has in time."""
        with self._turned:
            return self._turned.wait_for(lambda: len(self.uids) >= turns or self._error is not None, timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        path = csr_path(self._csr["metadata"]["name"])
        began = time.monotonic()
        try:
            while not self._stopped.is_set():
                filed = self._api.post(CSRS, self._csr)
                self._api.delete(path)
                with self._turned:
                    self.uids.append(str(filed["metadata"]["uid"]))
                    self.seconds = time.monotonic() - began
                    self._turned.notify_all()
        except Exception as error:  # noqa: BLE001 - raised where somebody waits for it
            with self._turned:
                self._error = error
                self._turned.notify_all()
