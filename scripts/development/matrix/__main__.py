"""Prints the matrix: certificates by issuer algorithm, and by key and hash of the request, under every stack.

Exit status 1 where a certificate was not issued or not accepted, a control was not refused for its reason, or OpenSSL,
Go or a stack that was asked for by --stack is not here; others that are not here are named.
"""

import argparse
import sys
from collections.abc import Sequence

from development.matrix.authorities import NAMES, AuthorityError
from development.matrix.process import StackError
from development.matrix.run import run
from development.matrix.stacks import STACKS
from development.matrix.table import as_json, show


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="development.matrix", description=__doc__)
    parser.add_argument(
        "--issuer",
        action="append",
        metavar="NAME",
        help=f"only issuers whose names begin so; may be given several times. All are: {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--stack",
        action="append",
        choices=[stack.name for stack in STACKS],
        help="only this stack; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="every certificate and every control, for programs")
    options = parser.parse_args(arguments)
    issuers = [name for name in NAMES if options.issuer is None or name.startswith(tuple(options.issuer))]
    if not issuers:
        parser.error(f"--issuer: got {', '.join(options.issuer)}, allowed are beginnings of {', '.join(NAMES)}")
    stacks = [stack for stack in STACKS if options.stack is None or stack.name in options.stack]
    print(f"{len(issuers)} issuers, then {', '.join(stack.name for stack in stacks)}", file=sys.stderr)
    try:
        came = run(issuers, stacks)
    except (AuthorityError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(as_json(came))
    else:
        show(came, stacks, sys.stdout)
    lacking = any(stack.name in came.missing for stack in stacks if stack.required or options.stack)
    return 1 if lacking or list(came.complaints()) else 0


if __name__ == "__main__":
    sys.exit(main())
