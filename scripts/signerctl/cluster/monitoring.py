"""What the folder needs for Prometheus: the exporter's section `metrics`, and the Prometheus operator's objects."""

import ipaddress
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from signerctl.cluster.chosen_options import TEMPLATES
from signerctl.cluster.exporter_configuration import HEALTH_PORT

ALERTS: Final = TEMPLATES / "alerts.yaml"
"""A rule file of Prometheus, which also becomes the PrometheusRule."""
FILES: Final = "/var/run/secrets/csr-exporter-metrics"
# The exporter's own, and Calico's: on the host network, all pods of a node share their ports.
TAKEN: Final = (5473, 9091, 9094, 9098, 9099, HEALTH_PORT)
_LEAST: Final = 1024  # the exporter is not root
_MOST: Final = 65535
_ENDPOINT: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The address and port on which every exporter serves /metrics."""

    address: str
    port: int


def endpoint(text: str) -> Endpoint:
    """Parses ADDRESS:PORT.

    Raises:
        ValueError: The message says what the text must be.
    """
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise ValueError("must be ADDRESS:PORT, for example 0.0.0.0:9877, or [::]:9877 where nodes have IPv6")
    port = int(match["port"])
    if not _LEAST <= port <= _MOST or port in TAKEN:
        taken = ", ".join(map(str, TAKEN))
        raise ValueError(f"the port must be from {_LEAST} to {_MOST}, and none of Calico's and the exporter's: {taken}")
    # As the exporter writes it: without brackets, in lower case.
    return Endpoint(address=str(ipaddress.ip_address(match["six"] or match["four"])), port=port)


def section(chosen: Endpoint, *, tls: bool) -> Mapping[str, Any]:
    """Returns the exporter's section `metrics`."""
    names = {"certificate": "tls.crt", "key": "tls.key", "client_ca": "ca.crt"}
    files = {field: f"{FILES}/{name}" for field, name in names.items()}
    return {"address": chosen.address, "port": chosen.port, **({"tls": files} if tls else {})}


def rules() -> str:
    """Returns the alerts as the `spec` of a PrometheusRule."""
    return textwrap.indent(ALERTS.read_text(encoding="utf-8"), "  ")
