"""One run of the demo: its folder, its settings, and the errors of its parts."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from sandbox.api import ApiError
from sandbox.authority import AuthorityError
from sandbox.calico.keys import KeyPool, generate, known
from sandbox.calico.world import RemovalError
from sandbox.control_plane.errors import NotAvailableError, StartError
from sandbox.demo import story
from sandbox.demo.view import complain
from sandbox.deployment import Settings
from sandbox.foreign import OccupiedError
from sandbox.function_runtime import FunctionError
from sandbox.process import PartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.calico.keys import PrivateKey
    from sandbox.demo.options import Options
    from sandbox.demo.view import View

_FAULTS = (ApiError, AuthorityError, FunctionError, HTTPError, PartError, RemovalError, StartError)
_QUICK = "RSAWithSize2048"


def run(options: Options, view: View) -> int:
    """Runs the demo in its folder, and returns the exit status.

    Raises:
        BrokenPipeError: The reader of the output has ended.
        InterruptedDemoError: A signal interrupted it.
    """
    try:
        with _folder(options.directory) as directory:
            try:
                as_expected = _run(options, directory, view)
            except _FAULTS as error:
                return complain(f"{error}\nlogs are kept in {_keep(directory)}", 1)
            if not as_expected:
                return complain(f"not as it should be; logs are kept in {_keep(directory)}", 1)
    except BrokenPipeError:
        raise
    except (NotAvailableError, OccupiedError, OSError, ValueError) as error:
        return complain(str(error), 2)
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
    with KeyPool(wanted, make=_key) as keys:
        return story.tell(options, settings, keys, view)


def _key(algorithm: str) -> PrivateKey:
    """Makes a key, or returns a known one if making it takes seconds."""
    return generate(algorithm) if algorithm == _QUICK else known(algorithm)


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
