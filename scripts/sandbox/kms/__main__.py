"""Runs the double of Cloud KMS until a signal stops it."""

import argparse
from pathlib import Path

from sandbox.kms.server import KmsServer
from sandbox.lifecycle import StopSignals, say_ready


def main() -> None:
    """Serves, prints the address, and stops on SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.kms", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 (the default) for a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="milliseconds that a signature takes longer")
    parser.add_argument("--state", type=Path, help="directory that keeps keys from one run to the next")
    parser.add_argument("--audit-log", type=Path, help="file for one log entry per call, as in Cloud Audit Logs")
    parser.add_argument(
        "--disable-lag-ms", type=float, default=0.0, help="milliseconds for which a disabled version signs on"
    )
    options = parser.parse_args()
    server = KmsServer(
        options.latency_ms / 1000,
        port=options.port,
        state=options.state,
        audit_log=options.audit_log,
        disable_lag=options.disable_lag_ms / 1000,
    )
    with StopSignals() as stop, server:
        say_ready({"part": "kms", "endpoint": server.endpoint})
        stop.wait()


if __name__ == "__main__":
    main()
