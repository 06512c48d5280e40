"""Draws docs/demo.svg from a real run of the demo: `scripts/python -m sandbox.demo.screenshot`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI

from sandbox.demo import options as command_line
from sandbox.demo import program, run
from sandbox.demo.live_view import LiveView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.demo.summary import Attack

PICTURE: Final = Path(__file__).resolve().parents[3] / "docs" / "demo.svg"
COLUMNS: Final = 96
_LINES: Final = 20
_ATTACKS: Final = 4
# A picture loads nothing from another server: rich's own format fetches a font.
_FORMAT: Final = re.sub(r" *@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"
)


class Screenshot(LiveView):
    """The demo's output, recorded; it shows the first attacks only."""

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Prints some of the attacks, and how many there are."""
        super().attacks(attacks[:_ATTACKS])
        self.note(f"  ... and {len(attacks) - _ATTACKS} more")


def main() -> int:
    """Runs the demo, and writes the picture if all went as expected; returns the exit status."""
    os.environ["COLUMNS"] = str(COLUMNS)  # for what the demo wraps itself
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(file=nowhere, record=True, width=COLUMNS, height=_LINES, highlight=False)
        options = command_line.parse([])
        view = Screenshot(console)
        view.title(program.title(options))
        status = run.run(options, view)
    if status == 0:
        picture = console.export_svg(title="scripts/demo", theme=MONOKAI, code_format=_FORMAT, unique_id="demo")
        PICTURE.write_text(re.sub(r" +$", "", picture, flags=re.MULTILINE), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
