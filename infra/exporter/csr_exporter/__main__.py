"""`python -m csr_exporter`: runs until SIGTERM or SIGINT.

Exit status: 0 after a signal, 1 after an internal error, 2 for an invalid configuration.
"""

import json
import os
import signal
import sys
import threading
from types import FrameType

from csr_exporter import configuration
from csr_exporter.document import ConfigurationError
from csr_exporter.exporter import Exporter
from csr_exporter.log import Log


def main() -> int:
    """Runs the exporter that the environment describes; prints one line to stdout when its threads run."""
    log, ended, crashed = Log(), threading.Event(), threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    def crash(fault: threading.ExceptHookArgs) -> None:
        # A process without one of its loops must not look alive. The next start lists everything again.
        log.error("a thread crashed", thread=fault.thread and fault.thread.name, error=repr(fault.exc_value))
        crashed.set()
        ended.set()

    threading.excepthook = crash
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        exporter = Exporter(configuration.load(os.environ), log=log)
    except ConfigurationError as error:
        errors = error.errors
    else:
        return _run(exporter, ended, crashed)
    for each in errors:
        log.error("configuration", error=each)
    return 2


def _run(exporter: Exporter, ended: threading.Event, crashed: threading.Event) -> int:
    with exporter:
        ready = {"part": "exporter", "health": exporter.health_address, "metrics": exporter.metrics_address}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 1 if crashed.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
