"""How commands print help and errors: click prints usage errors, and `CommandError` prints one line `error: ...`."""

import io
import os
import shutil
import sys
from typing import IO, TYPE_CHECKING, Any, Final

import click

from csr_signer.errors import SignerError
from signerctl.interface.text import one_line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C: 128 + SIGINT, as shells report it."""

EXIT_CODES: Final = """\b
Exit codes:
    0  The command did its work, and found no error.
    1  The command failed: standard error says why. Or a check found an error: the output lists it.
    2  The command line is wrong.
    3  doctor found no error, but a result is unknown.
  130  Ctrl-C interrupted the command.
"""
"""The end of `signerctl --help`; docs/signerctl.md has the same table."""


class CommandError(click.ClickException):
    """A command that cannot do its work; the message is a field error where the input is wrong."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the message as one line."""
        _print_error(self.message, file)


class InterruptedCommandError(CommandError):
    """Ctrl-C interrupted a command, which has to say what the operator must do now."""

    exit_code = INTERRUPTED


class OutputError(click.ClickException):
    """Standard output takes no more text. It is no CommandError, because no command can go on without its output."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"standard output: cannot write: {reason}")

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the message, unless the reader has ended, as in `signerctl list | head`."""
        if not isinstance(self.__cause__, BrokenPipeError):
            _print_error(self.message, file)


def _print_error(message: str, file: IO[Any] | None) -> None:
    click.echo(f"error: {one_line(message)}", file=file, err=file is None)


class _StandardOutput(io.FileIO):
    """Standard output below Python's buffers, so that each way of printing reports the same error."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Writes what it can.

        Raises:
            OutputError: It could not write.
        """
        try:
            return super().write(data)
        except OSError as error:
            # At its end, Python writes what is left in its buffers, and would print another error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            raise OutputError(str(error.strerror)) from error


def _take_standard_output() -> None:
    """Makes a failed write to standard output an OutputError.

    Raises:
        OutputError: It was closed before Python started. The command's next file would take its place.
    """
    before = sys.stdout
    if before is None:
        raise OutputError("it is closed")
    file = getattr(before.buffer, "raw", before.buffer) if isinstance(before, io.TextIOWrapper) else None
    if isinstance(file, io.FileIO) and not isinstance(file, _StandardOutput):
        buffer = io.BufferedWriter(_StandardOutput(file.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(
            buffer, encoding=before.encoding, errors=before.errors, line_buffering=bool(before.line_buffering)
        )


class Command(click.Command):
    r"""A command whose help is a raw docstring: after a line `\b`, click keeps the paragraph's line breaks."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's signature
    ) -> click.Context:
        """Parses the command line; help is as wide as the terminal."""
        _take_standard_output()
        extra.setdefault("max_content_width", shutil.get_terminal_size().columns)
        return super().make_context(info_name, args, parent, **extra)

    def get_help_option_names(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Returns the names of the option for help."""
        return ["-h", "--help"]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        r"""Replaces the two characters `\b` with a backspace, which click expects."""
        self.help = (self.help or "").replace("\\b\n", "\b\n")
        super().format_help_text(ctx, formatter)


class Commands(Command, click.Group):
    """A group of commands. It prints the function's errors like a CommandError, and bad options as field errors."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Parses the command line, and runs the command."""
        try:
            return super().invoke(ctx)
        except SignerError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except click.MissingParameter as error:
            raise click.UsageError(f"{_option(error)}: Required value", error.ctx) from error
        except click.BadParameter as error:
            raise click.UsageError(f"{_option(error)}: Invalid value: {error.message}", error.ctx) from error


def _option(error: click.BadParameter) -> str:
    if error.param is None:
        return "command line"
    return error.param.opts[-1] if isinstance(error.param, click.Option) else error.param.human_readable_name


Commands.group_class = Commands
