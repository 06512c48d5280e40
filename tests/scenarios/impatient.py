"""The exporter with its safety relist every few seconds instead of every ten minutes; everything else is unchanged."""

import functools
import sys

from csr_exporter import __main__, exporter, relist

SECONDS = 5.0

if __name__ == "__main__":
    exporter.Relist = functools.partial(relist.Relist, period=SECONDS)  # type: ignore[assignment,attr-defined]
    sys.exit(__main__.main())
