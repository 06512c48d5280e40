"""Fetches entries of a log bucket with gcloud."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Final

from csr_signer import field_error
from csr_signer.violation import LONGEST_SENTENCE
from signerctl.interface.program import CommandError
from signerctl.interface.text import one_line

GCLOUD_SECONDS: Final = 600
MAX_PERIOD: Final = timedelta(days=400)
"""The lifetime of a certificate of the shipped profiles, and a month."""
_BUCKET: Final = re.compile(r"projects/([^/\s]+)/locations/([^/\s]+)/buckets/([^/\s]+)")


@contextmanager
def fetched(bucket: str, wanted: str, period: timedelta, *more: str) -> Iterator[IO[str]]:
    """Runs `gcloud logging read` into a temporary file, because a day may have hundreds of megabytes.

    Args:
        bucket: The bucket's full name.
        wanted: The part of the filter that chooses among the function's records.
        period: How far back.
        more: Further options of gcloud.

    Raises:
        CommandError: gcloud is missing, fails, or takes too long.
    """
    found = _BUCKET.fullmatch(bucket)
    program = shutil.which("gcloud")
    if found is None:
        raise CommandError(field_error.invalid("--log-bucket", bucket, "must be projects/P/locations/L/buckets/B"))
    if program is None:
        raise CommandError(
            "--log-bucket: Forbidden: the program gcloud is not on PATH: install the Google Cloud CLI, or fetch the"
            " entries elsewhere with `gcloud logging read --format=json`, and give them with --records"
        )
    project, location, name = found.groups()
    command = [
        *(program, "logging", "read", f'resource.type="cloud_run_revision" AND labels.log="csr-signer" AND {wanted}'),
        *(f"--bucket={name}", f"--location={location}", "--view=_AllLogs", f"--project={project}"),
        *(f"--freshness={int(period.total_seconds())}s", "--format=json", *more),
    ]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                timeout=GCLOUD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(
                f"gcloud: no end after {GCLOUD_SECONDS} s: choose a shorter period with --since"
            ) from error
        except OSError as error:
            raise CommandError(f"gcloud: cannot be run: {error.strerror}") from error
        if done.returncode:
            said = one_line(done.stderr.decode("utf-8", "replace"))[:LONGEST_SENTENCE]
            raise CommandError(f"gcloud: exit status {done.returncode}: {said}")
        output.seek(0)
        try:
            yield output
        except ValueError as error:
            raise CommandError(f"gcloud: the output is not JSON of log entries: {one_line(str(error))}") from error
