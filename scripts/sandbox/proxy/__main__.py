"""Runs a proxy without faults until a signal stops it; only in-process callers can set faults."""

import argparse

from sandbox.lifecycle import StopSignals, say_ready
from sandbox.proxy.server import FaultProxy


def main() -> None:
    """Serves, prints the address, and stops on SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.proxy", description=__doc__)
    parser.add_argument("--upstream", required=True, help="HOST:PORT of the server behind it")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 (the default) for a free one")
    parser.add_argument("--http", action="store_true", help="the server speaks plain HTTP")
    options = parser.parse_args()
    try:
        proxy = FaultProxy(options.upstream, port=options.port, http=options.http)
    except ValueError as error:
        parser.error(str(error))
    with StopSignals() as stop, proxy:
        say_ready({"part": "proxy", "endpoint": proxy.endpoint})
        stop.wait()


if __name__ == "__main__":
    main()
