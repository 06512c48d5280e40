"""Values that several command lines of the sandbox take."""

import argparse
import re
from typing import Final

MAX_PODS: Final = 20_000
"""Pods, or CSRs, on one machine."""

_LOOPBACK: Final = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):([0-9]{1,5})")
_LAST_PORT: Final = 65535


def loopback(text: str) -> str:
    """Parses HOST:PORT on the loopback address.

    Raises:
        argparse.ArgumentTypeError: It is another address.
    """
    found = _LOOPBACK.fullmatch(text)
    if found is None or int(found[1]) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f'Invalid value: "{text}": must be HOST:PORT on the loopback address')
    return text
