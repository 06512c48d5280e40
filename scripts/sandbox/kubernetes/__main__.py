"""``python -m sandbox.kubernetes --directory DIR [--port N]``: serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path

from sandbox.kubernetes.server import KubernetesServer


def main() -> None:
    """Start, say on one line where everything is, wait."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.kubernetes", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where ca.pem and kubeconfig are written")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 is any free one")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with KubernetesServer(options.directory.resolve(), port=options.port) as server:
        ready = {
            "part": "kubernetes",
            "server": server.server,
            "kubeconfig": str(server.kubeconfig),
            "certificate_authority": str(server.certificate_authority),
        }
        print(json.dumps(ready), flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
