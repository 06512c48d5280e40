"""Measures the exporter's memory when it starts while CSRs wait and no function answers."""

import base64
import time
from typing import Any, Final

from sandbox.api import CSRS, csr_path
from sandbox.calico.fleet import QUICK
from sandbox.calico.keys import KeyPool
from sandbox.calico.request import Content, certification_request, pem
from sandbox.calico.world import World
from sandbox.deployment import Deployment, Settings
from sandbox.measurements.common import PATIENCE, Row, fleet
from sandbox.usage import Usage

((KEY, SIGNATURE),) = QUICK
SETTLED_SECONDS: Final = 5.0
# The API server accepts text before the PEM block; in base64, this is slightly more than a megabyte.
LARGEST_TEXT: Final = 800_000


def waiting(settings: Settings, count: int, *, megabytes: bool = False) -> list[Row]:
    """Measures the resident memory of an exporter that has listed `count` waiting CSRs and delivered none.

    Args:
        settings: Settings of the deployment.
        count: Number of waiting CSRs.
        megabytes: Whether each CSR has more than a megabyte; one administrator files all of them.
    """
    with Deployment(settings) as deployment, KeyPool() as keys:
        deployment.kill_exporter()
        deployment.function.kill()
        if megabytes:
            _file_large_ones(deployment.world, keys, deployment.signer.signer_name, count)
        else:
            fleet(deployment, keys, count, "waiting").submit()
        deployment.start_exporter()
        exporter = deployment.exporters[0]
        end = time.monotonic() + PATIENCE
        while exporter.page("/readyz")[0] != 200 and time.monotonic() < end:  # noqa: PLR2004 - HTTP's OK
            time.sleep(0.1)
        time.sleep(SETTLED_SECONDS)
        usage, held = Usage.of(deployment.exporter_pid), exporter.metrics().total("csr_pending")
    what = f"{count} of more than 1 MB" if megabytes else f"{count}"
    return [
        Row(name=f"exporter: resident with {what} waiting", figure=f"{usage.largest:.1f} MiB"),
        Row(name="  at most since its start", figure=f"{usage.peak:.1f} MiB"),
        Row(name="  of them it knows", figure=f"{held:.0f}"),
        Row(name="  CPU since its start", figure=f"{usage.seconds:.1f} s"),
    ]


def _file_large_ones(world: World, keys: KeyPool, signer_name: str, count: int) -> None:
    request = pem(
        certification_request(Content(common_name="large", dns_names=(), address=None), keys.take(KEY), SIGNATURE)
    )
    text = base64.b64encode(b"x" * LARGEST_TEXT + b"\n" + request).decode()

    def file(number: int) -> dict[str, Any]:
        world.remember(csr_path(f"large-{number}"))
        spec = {"request": text, "signerName": signer_name, "usages": ["client auth"]}
        return world.api.post(CSRS, {"metadata": {"name": f"large-{number}"}, "spec": spec})

    world.each(file, range(count))
