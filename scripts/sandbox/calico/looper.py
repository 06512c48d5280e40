"""A pod that files and deletes its CSR in a loop, as fast as the API server allows."""

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
        api: A client with the pod's token.
        csr: The CSR that it files each time.
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
        """Starts the loop."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops the loop; raises the error that ended it, if any."""
        self._stopped.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def wait(self, turns: int, timeout: float) -> bool:
        """Waits until the loop has filed `count` CSRs; returns whether it did in time."""
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
        except Exception as error:  # noqa: BLE001 - `stop` and `wait` raise it
            with self._turned:
                self._error = error
                self._turned.notify_all()
