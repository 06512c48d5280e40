"""The exporter with its resync every few seconds instead of every ten minutes; everything else is unchanged."""

import functools
import sys

from csr_exporter import __main__, exporter
from csr_exporter.watch import resync

SECONDS = 5.0

if __name__ == "__main__":
    exporter.Resync = functools.partial(resync.Resync, period=SECONDS)  # type: ignore[assignment,attr-defined]
    sys.exit(__main__.main())
