"""Where commands read records: files, standard input, or a log bucket by way of gcloud."""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from csr_signer import field_error
from csr_signer.violation import quote
from signerctl import log_bucket
from signerctl.interface import clock
from signerctl.interface.durations import DURATION
from signerctl.interface.program import CommandError
from signerctl.interface.text import one_line
from signerctl.options import INPUT, Command
from signerctl.recorded.certificate import EVENTS, Certificate, CertificateRecord, certificates
from signerctl.recorded.entries import Json, Text, once, read, record_of, text, time
from signerctl.recorded.malformed import Malformed
from signerctl.recorded.refusal import RecordedRefusal
from signerctl.recorded.selection import Selection

T = TypeVar("T")

_DEFAULT_PERIOD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records that the command line names.

    Attributes:
        files: Files with records; `-` is standard input.
        bucket: Full name of a log bucket; None to read files only.
        since: How far back; None for everything in the files, and for a day of the bucket.
        selection: Chooses records by cluster and signer.
        malformed: The records that could not be parsed.
        advance: Gets the bytes of each piece that was read.
    """

    files: tuple[Path, ...]
    bucket: str | None
    since: timedelta | None
    selection: Selection
    malformed: Malformed = field(default_factory=Malformed)
    advance: Callable[[int], None] = field(default=lambda _: None)

    @property
    def size(self) -> int | None:
        """Returns the bytes of all files; None if one is a pipe, or if there is a log bucket."""
        is_known = self.bucket is None and all(path.is_file() for path in self.files)
        return sum(path.stat().st_size for path in self.files) if is_known else None

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
            CommandError: A source cannot be read, or holds no records; or none is of the chosen cluster or signer.
        """
        earliest = None if self.since is None else clock.now() - self.since

        def parse_selected(entry: Json) -> T | None:
            record = record_of(entry)
            # Those of `signerctl ca` are about no CSR.
            if record is None or not self.selection.takes(record) or record["event"] not in events:
                return None
            if not text(record, "csr_uid"):
                return None
            written = time(record)
            return None if earliest is not None and written < earliest else parse(record)

        yield from self.malformed.skip(once(self._entries(events)), parse_selected)
        for unknown in self.selection.unknown():
            if not self._in_bucket(unknown.field, unknown.name):
                raise CommandError(unknown.message)

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

    def _entries(self, events: Sequence[str]) -> Iterator[Json]:
        for path in self.files:
            with _opened(path) as text:
                yield from self._with_records(path, _Watched(text, self.advance))
        if self.bucket is not None:
            wanted = f"jsonPayload.event=({' OR '.join(map(json.dumps, events))})"
            with log_bucket.fetched(self.bucket, wanted, self.since or _DEFAULT_PERIOD) as text:
                yield from read(text)

    def _with_records(self, path: Path, text: "_Watched") -> Iterator[Json]:
        """Yields a file's entries; refuses a file without any record, because it is probably another file.

        An empty array is what `gcloud logging read` prints if there are no entries. An empty file has no such meaning:
        the command that wrote it may have failed.
        """
        seen, found, other_lines = 0, False, 0

        def skip(line: str) -> None:
            nonlocal seen, other_lines
            seen += 1
            other_lines += not self.malformed.is_damaged(line)

        for entry in read(text, skip=skip):
            seen, found = seen + 1, found or record_of(entry) is not None
            yield entry
        is_empty_array = not seen and not text.is_blank
        if not found and not is_empty_array:
            must = "must hold the function's records, or entries of its log on Cloud Run: see docs/audit.md"
            raise CommandError(f"--records: Invalid value: {quote(str(path))}: {must}")
        self.malformed.other_lines += other_lines

    def _in_bucket(self, name: str, value: str) -> bool:
        """Tells whether the log bucket has any record with this value, of any event and period.

        A cluster without records of these events and this period, such as refusals of the last hour, is not unknown.
        """
        if self.bucket is None:
            return False
        wanted = f"jsonPayload.{name}={json.dumps(value)}"
        with log_bucket.fetched(self.bucket, wanted, log_bucket.MAX_PERIOD, "--limit=1") as text:
            return any(map(record_of, read(text)))


class _Watched:
    """A text that tells how much of it was read.

    Attributes:
        is_blank: Whether only white space was read.
    """

    def __init__(self, text: Text, advance: Callable[[int], None]) -> None:
        self._text = text
        self._advance = advance
        self.is_blank = True

    def read(self, size: int, /) -> str:
        """Returns the next piece."""
        piece = self._text.read(size)
        self._advance(len(piece.encode()))
        self.is_blank = self.is_blank and not piece.strip()
        return piece


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
        selection = Selection(cluster=record_cluster, signer_name=record_signer)
        records = Records(files=files, bucket=bucket, since=since, selection=selection)
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
