"""Where commands read records: files, standard input, or a log bucket by way of gcloud."""

import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from csr_signer import field_error
from csr_signer.violation import LONGEST_SENTENCE, quote
from signerctl.interface import clock
from signerctl.interface.durations import DURATION
from signerctl.interface.program import CommandError
from signerctl.interface.text import one_line
from signerctl.options import INPUT, Command
from signerctl.recorded.certificate import EVENTS, Certificate, CertificateRecord, certificates
from signerctl.recorded.entries import Json, once, read, record_of, text, time
from signerctl.recorded.malformed import Malformed
from signerctl.recorded.refusal import RecordedRefusal

T = TypeVar("T")

GCLOUD_SECONDS: Final = 600
_DEFAULT_PERIOD: Final = timedelta(days=1)
_BUCKET: Final = re.compile(r"projects/([^/\s]+)/locations/([^/\s]+)/buckets/([^/\s]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records that the command line names.

    Attributes:
        files: Files with records; `-` is standard input.
        bucket: Full name of a log bucket; None to read files only.
        since: How far back; None for everything in the files, and for a day of the bucket.
        cluster: Only records of this cluster; None for all.
        signer_name: Only records of this signerName; None for all.
        malformed: The records that could not be parsed.
    """

    files: tuple[Path, ...]
    bucket: str | None
    since: timedelta | None
    cluster: str | None
    signer_name: str | None
    malformed: Malformed = field(default_factory=Malformed)

    def of(self, *events: str) -> Iterator[Json]:
        """Returns the function's records of these events; each counts once.

        Raises:
            CommandError: A source cannot be read, or holds no records.
        """
        return self.parsed(lambda record: record, *events)

    def parsed(self, parse: Callable[[Json], T], *events: str) -> Iterator[T]:
        """Returns what `parse` makes of the function's records of these events; each counts once.

        Args:
            parse: Raises ValueError if a record is malformed; the record is then counted, named and skipped.
            events: The events.

        Raises:
            CommandError: A source cannot be read, or holds no records.
        """
        earliest = None if self.since is None else clock.now() - self.since

        def parse_selected(entry: Json) -> T | None:
            record = record_of(entry)
            if record is None or record["event"] not in events or not self._selects(record):
                return None
            written = time(record)
            return None if earliest is not None and written < earliest else parse(record)

        return self.malformed.skip(once(self._entries(events)), parse_selected)

    def certificates(self) -> list[Certificate]:
        """Returns the certificates in the records, the newest first.

        Raises:
            CommandError: A source cannot be read.
        """
        return certificates(self.parsed(CertificateRecord.of, *EVENTS))

    def refusals(self) -> list[RecordedRefusal]:
        """Returns the refusals in the records, the newest first.

        Raises:
            CommandError: A source cannot be read.
        """
        return sorted(self.parsed(RecordedRefusal.of, "refused"), key=lambda each: each.time, reverse=True)

    def _selects(self, record: Json) -> bool:
        """Tells whether a record is about a CSR of the chosen cluster and signer; those of `signerctl ca` are not."""
        ours = self.cluster in (None, record.get("cluster")) and self.signer_name in (None, record.get("signer_name"))
        return ours and bool(text(record, "csr_uid"))

    def _entries(self, events: Sequence[str]) -> Iterator[Json]:
        for path in self.files:
            with _opened(path) as text:
                yield from _with_records(path, text)
        if self.bucket is not None:
            with _fetched(self.bucket, events, self.since or _DEFAULT_PERIOD) as text:
                yield from read(text)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with click.open_file(str(path), encoding="utf-8-sig", errors="replace") as text:
            yield text
    except OSError as error:
        raise CommandError(f"{path}: cannot read the file: {error.strerror}") from error
    except ValueError as error:
        must = f"must be JSON of log entries or records: {one_line(str(error))}"
        raise CommandError(f"--records: {field_error.malformed(str(path), must)}") from error


def _with_records(path: Path, text: IO[str]) -> Iterator[Json]:
    """Yields a file's entries; refuses a file without any record, because it is probably another file."""
    found = False
    for entry in read(text, skip=True):
        found = found or record_of(entry) is not None
        yield entry
    if not found:
        must = "must hold the function's records, or entries of its log on Cloud Run: see docs/audit.md"
        raise CommandError(f"--records: Invalid value: {quote(str(path))}: {must}")


@contextmanager
def _fetched(bucket: str, events: Sequence[str], period: timedelta) -> Iterator[IO[str]]:
    """Runs `gcloud logging read` into a temporary file, because a day may have hundreds of megabytes.

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
        *(program, "logging", "read", _filter(events)),
        *(f"--bucket={name}", f"--location={location}", "--view=_AllLogs", f"--project={project}"),
        *(f"--freshness={int(period.total_seconds())}s", "--format=json"),
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


def _filter(events: Sequence[str]) -> str:
    wanted = " OR ".join(f'"{event}"' for event in events)
    return f'resource.type="cloud_run_revision" AND labels.log="csr-signer" AND jsonPayload.event=({wanted})'


def record_options(*, required: bool = True, filters: bool = True) -> Callable[[Command], Command]:
    """Adds the options that name records; the command gets them as `records`.

    Args:
        required: Whether the command needs records; otherwise it may get none.
        filters: Whether to add --cluster and --signer, which choose records. A command with a configuration document
            has other meanings for them.
    """
    options = _SOURCES + (_FILTERS if filters else ())

    def add(command: Command) -> Command:
        with_options = _taking_records(command, required=required)
        for option in reversed(options):
            with_options = option(with_options)
        return with_options

    return add


def _taking_records(command: Command, *, required: bool) -> Command:
    @functools.wraps(command)
    def with_records(
        *,
        files: tuple[Path, ...],
        bucket: str | None,
        since: timedelta | None,
        record_cluster: str | None = None,
        record_signer: str | None = None,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        if required and not files and bucket is None:
            raise click.UsageError("--records: Required value: a file, - for standard input; or give --log-bucket")
        records = Records(files=files, bucket=bucket, since=since, cluster=record_cluster, signer_name=record_signer)
        try:
            command(records=records, **others)
        finally:
            records.malformed.report()
        records.malformed.exit()

    return with_records


_SOURCES: Final = (
    click.option(
        "--records",
        "files",
        multiple=True,
        type=INPUT,
        help="File of records: the function's log, or entries of `gcloud logging read --format=json`; - is standard"
        " input. May be given several times.",
    ),
    click.option(
        "--log-bucket",
        "bucket",
        metavar="NAME",
        help="Read the records with gcloud from this log bucket: projects/P/locations/L/buckets/B.",
    ),
    click.option(
        "--since",
        type=DURATION,
        help="Only records that are at most this old, such as 1h or 7d. Default: all in the files, and 1d of the"
        " log bucket.",
    ),
)
_FILTERS: Final = (
    click.option("--cluster", "record_cluster", help="Only this cluster, by its key in the configuration."),
    click.option("--signer", "record_signer", metavar="SIGNERNAME", help="Only this signerName."),
)
