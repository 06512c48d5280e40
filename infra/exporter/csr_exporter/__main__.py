"""`python -m csr_exporter`: runs until SIGTERM or SIGINT.

Exit status: 0 after a signal, 1 after an internal error, 2 for an invalid configuration.

The process ends itself if its start, its end, or what `Health.dead` names takes `DEAD_SECONDS` too long, and writes
where each thread is. The kubelet needs no port for that: another program on the node's network could take it, and so
have a healthy exporter restarted.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
from functools import cache
from types import FrameType

from csr_exporter import configuration
from csr_exporter.document import ConfigurationError
from csr_exporter.exporter import Exporter
from csr_exporter.log import Log

CHECK_SECONDS = 10.0
DEAD_SECONDS = 60.0


def main() -> int:
    """Runs the exporter that the environment describes; prints one line to stdout when its threads run."""
    log, ended, crashed = Log(), threading.Event(), threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    def crash(fault: threading.ExceptHookArgs) -> None:
        # A process without one of its loops must not look alive. The next start lists everything again.
        crashed.set()
        ended.set()  # first, because writing the log may block
        log.error("a thread crashed", thread=fault.thread and fault.thread.name, error=repr(fault.exc_value))

    threading.excepthook = crash
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        exporter = Exporter(configuration.load(os.environ), log=log)
    except ConfigurationError as error:
        errors = error.errors
    else:
        return _run(exporter, log, ended, crashed)
    for each in errors:
        log.error("configuration", error=each)
    return 2


def _run(exporter: Exporter, log: Log, ended: threading.Event, crashed: threading.Event) -> int:
    _postpone_end()
    with exporter:
        ready = {"part": "exporter", "health": exporter.health_address, "metrics": exporter.metrics_address}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        _end_if_dead(exporter, log, ended)
        _postpone_end()
    faulthandler.cancel_dump_traceback_later()
    return 1 if crashed.is_set() else 0


def _end_if_dead(exporter: Exporter, log: Log, ended: threading.Event) -> None:
    """Waits for the end; postpones the process' own end with each check that finds it alive."""
    reported = False
    while not ended.wait(CHECK_SECONDS):
        reasons = exporter.dead()
        if not reasons:
            _postpone_end()
        elif not reported:
            log.error("the exporter hangs and ends soon", reasons="; ".join(reasons))
        reported = bool(reasons)


def _postpone_end() -> None:
    """Ends the process with status 1 in `DEAD_SECONDS`, unless it is called again.

    The timer is a thread of faulthandler's. It does not need Python's lock, which a hanging thread may hold.
    """
    faulthandler.dump_traceback_later(DEAD_SECONDS, exit=True, file=_stderr_without_waiting())


@cache
def _stderr_without_waiting() -> int:
    """Returns a descriptor of standard error on which a write never blocks, even if its reader has stopped reading."""
    try:
        return os.open("/proc/self/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    except OSError:  # a socket, or another user's pipe: the end matters more than its traceback
        return os.open(os.devnull, os.O_WRONLY)


if __name__ == "__main__":
    sys.exit(main())
