"""`scripts/demo`: see `--help`.

Exit status 0: success; 1: a wrong result or a failed part; 2: it cannot run here; 130: interrupted; 141: the reader of
its output is gone.
"""

import sys

from sandbox.demo import interrupt


def main() -> int:
    """Runs the demo."""
    interrupt.end_at_once()
    # Imported here, so that an interrupt of the imports, which take a second, shows no traceback.
    from sandbox.demo import program  # noqa: PLC0415

    return program.start()


if __name__ == "__main__":
    sys.exit(main())
