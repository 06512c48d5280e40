"""`scripts/demo`: see `--help`. Exit status 0: success; 1: a wrong result or a failed part; 2: it cannot run here."""

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from urllib3.exceptions import HTTPError

from sandbox.api import ApiError
from sandbox.authority import AuthorityError
from sandbox.calico.keys import KeyPool
from sandbox.control_plane.errors import NotAvailableError, StartError
from sandbox.demo import options as command_line
from sandbox.demo import story
from sandbox.demo.options import Options
from sandbox.demo.view import LiveView, PlainView, View
from sandbox.deployment import Settings
from sandbox.foreign import OccupiedError
from sandbox.function_runtime import FunctionError
from sandbox.process import PartError

_INTERRUPTED = 130
_FAULTS = (ApiError, AuthorityError, FunctionError, HTTPError, PartError, StartError)


def main() -> int:
    """Runs the demo."""
    options = command_line.parse()
    if shutil.which("openssl") is None:
        return _complain("the openssl program is needed to verify certificates, and is not in PATH", 2)
    view: View = LiveView() if options.live else PlainView()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM cleans up too
    try:
        with _folder(options.directory) as directory:
            try:
                as_expected = _run(options, directory, view)
            except _FAULTS as error:
                return _complain(f"{error}\nlogs are kept in {_keep(directory)}", 1)
            if not as_expected:
                return _complain(f"not as it should be; logs are kept in {_keep(directory)}", 1)
    except KeyboardInterrupt:
        return _complain("interrupted", _INTERRUPTED)
    except (NotAvailableError, OccupiedError, OSError, ValueError) as error:
        return _complain(str(error), 2)
    return 0


def _run(options: Options, directory: Path, view: View) -> bool:
    settings = Settings(
        directory=directory,
        plane=options.plane,
        kubernetes=options.kubernetes,
        force=options.force,
        kms=options.kms,
    )
    wanted = [member.management.key_algorithm for member in story.members(options, settings)]
    with KeyPool(wanted) as keys:
        return story.tell(options, settings, keys, view)


@contextlib.contextmanager
def _folder(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="kms-csr-signer-demo-") as temporary:
        yield Path(temporary)


def _keep(directory: Path) -> Path:
    """Copies the logs to a permanent folder."""
    kept = Path(tempfile.mkdtemp(prefix="kms-csr-signer-demo-failed-"))
    for log in directory.glob("*.log"):
        shutil.copy2(log, kept)
    return kept


def _complain(text: str, status: int) -> int:
    print(f"demo: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
