"""How commands say what they do, and how they fail: usage errors by click, everything else as one line `error: ...`."""

from typing import IO, Any

import click

from csr_signer.errors import SignerError
from signerctl.text import one_line


class CommandError(click.ClickException):
    """What was asked for cannot be done; the message says what was got and what is allowed."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the one line."""
        click.echo(f"error: {one_line(self.message)}", file=file, err=file is None)


class Command(click.Command):
    r"""A command whose help is a raw docstring: a line `\b` keeps the lines after it as they are."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the help with click's own mark for such paragraphs, which is a backspace."""
        self.help = (self.help or "").replace("\\b\n", "\b\n")
        super().format_help_text(ctx, formatter)


class Commands(Command, click.Group):
    """Commands whose faults, of whatever class of the function's, end as a CommandError."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except SignerError as error:
            raise CommandError(str(error)) from error


Commands.group_class = Commands
