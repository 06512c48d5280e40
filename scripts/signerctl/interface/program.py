"""How commands print help and errors: click prints usage errors, and `CommandError` prints one line `error: ...`."""

import shutil
from typing import IO, Any, Final

import click

from csr_signer.errors import SignerError
from signerctl.interface.text import one_line

EXIT_CODES: Final = """\b
Exit codes:
  0  The command did its work, and found no error.
  1  The command failed: standard error says why. Or a check found an error: the output lists it.
  2  The command line is wrong.
  3  doctor found no error, but a result is unknown.
"""
"""The end of `signerctl --help`; docs/signerctl.md has the same table."""


class CommandError(click.ClickException):
    """A command that cannot do its work; the message is a field error where the input is wrong."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the message as one line."""
        click.echo(f"error: {one_line(self.message)}", file=file, err=file is None)


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
        except click.MissingParameter as error:
            raise click.UsageError(f"{_option(error)}: Required value", error.ctx) from error
        except click.BadParameter as error:
            raise click.UsageError(f"{_option(error)}: Invalid value: {error.message}", error.ctx) from error


def _option(error: click.BadParameter) -> str:
    if error.param is None:
        return "command line"
    return error.param.opts[-1] if isinstance(error.param, click.Option) else error.param.human_readable_name


Commands.group_class = Commands
