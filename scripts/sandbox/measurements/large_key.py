"""What one request with a large RSA key adds to the waits of requests with small keys.

The checks of an RSA-8192 key take 80 ms of CPU. The function makes the longest one in a thread, without Python's lock,
so that its other requests go on.
"""

import statistics
from collections.abc import Sequence
from typing import Final

from sandbox.calico.fleet import Submission
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from sandbox.measurements.common import PATIENCE, Row, fleet

LARGE: Final = (("RSAWithSize8192", "SHA256WithRSA"),)
_HUNDRED: Final = 100


def large_key(settings: Settings, count: int, *, rounds: int) -> list[Row]:
    """Waits of `count` pods with P-256 keys that ask at once: alone, and just after one with an RSA-8192 key."""
    alone: list[float] = []
    beside: list[float] = []
    with Deployment(settings) as deployment, KeyPool() as keys:
        observing = Observer(deployment.api, deployment.signer.signer_name)
        with observing as observer:
            for number in range(rounds + 1):
                first = fleet(deployment, keys, count, f"alone-{number}")
                second = fleet(deployment, keys, count, f"beside-{number}")
                large = fleet(deployment, keys, 1, f"large-{number}", algorithms=LARGE)
                waits = _waits(observer, first.submit())
                large.submit()
                delayed = _waits(observer, second.submit())
                if number:  # the first round loads what RSA keys need
                    alone.append(_last_hundredth(waits))
                    beside.append(_last_hundredth(delayed))
    added = [1000 * (late - early) for early, late in zip(alone, beside, strict=True)]
    return [
        Row(name=f"{count} P-256 keys: 99 of 100 within", figure=f"{1000 * statistics.median(alone):.0f} ms"),
        Row(name="  beside one RSA-8192 key", figure=f"{1000 * statistics.median(beside):.0f} ms"),
        Row(
            name="  added: median, least and most of the rounds",
            figure=f"{statistics.median(added):.0f} ms, {min(added):.0f} ms, {max(added):.0f} ms",
        ),
    ]


def _waits(observer: Observer, submissions: Sequence[Submission]) -> list[float]:
    observer.wait([each.uid for each in submissions], PATIENCE)
    seen = observer.observations()
    return [(seen[each.uid].ended or float("inf")) - each.submitted for each in submissions]


def _last_hundredth(waits: Sequence[float]) -> float:
    return sorted(waits)[len(waits) * (_HUNDRED - 1) // _HUNDRED]
