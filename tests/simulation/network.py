"""The network between an exporter and the function: it loses, delays, repeats and reorders, and others may answer."""

import asyncio
import random
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from csr_exporter.connection import json_object, retry_after
from csr_exporter.delivery import cloud_event
from csr_exporter.delivery.sender import TIMEOUTS
from csr_exporter.queue.retry_policy import Answer, Verdict, verdict_of

if TYPE_CHECKING:
    from tests.simulation.world import World

FRONT_DOOR: Final = (200, 302, 401, 403, 404, 429, 500, 502, 503, 504)
"""What another server than the function answers."""


class Network:
    """One exporter's way to the function."""

    def __init__(self, world: "World", ordinal: int, chance: random.Random) -> None:
        self._world, self._ordinal, self._chance = world, ordinal, chance

    async def send(self, body: bytes) -> Answer:
        """Sends an event; every failure is an answer, as `delivery.sender.Sender` has it."""
        world, troubles = self._world, self._world.troubles
        wrong = troubles.at("network") or troubles.at(f"network {self._ordinal}")
        if wrong:
            world.tell("network", f"{wrong}: the next event of exporter-{self._ordinal}")
        if wrong == "refused":
            await asyncio.sleep(self._chance.uniform(0.001, 3.0))
            return Answer(verdict=Verdict.SLOW, reason="connection refused")
        if wrong == "front door":
            await asyncio.sleep(self._chance.uniform(0.001, 0.1))
            return _read(Response(status_code=self._chance.choice(FRONT_DOOR)))
        if wrong == "another function":  # of another cluster, or with another configuration
            await asyncio.sleep(self._chance.uniform(0.001, 0.1))
            return _read(Response(b'{"outcome": "ignored", "reason": "gone"}'))
        if wrong == "request lost":
            await asyncio.sleep(TIMEOUTS.total)
            return Answer(verdict=Verdict.SLOW, reason="timed out")
        request = world.loop.create_task(self._transmit(body, late=wrong == "late"))
        if wrong == "twice":
            world.keep(world.loop.create_task(self._transmit(body, late=True)))
        world.keep(request)
        await asyncio.wait((request,), timeout=TIMEOUTS.total)
        if wrong == "answer lost" or not request.done():
            await asyncio.sleep(TIMEOUTS.total if request.done() else 0.0)
            return Answer(verdict=Verdict.SLOW, reason="timed out")
        return _read(request.result())

    async def _transmit(self, body: bytes, *, late: bool) -> Response:
        chance = self._chance
        await asyncio.sleep(chance.uniform(1.0, 40.0) if late else chance.uniform(0.001, 0.02))
        response = await self._world.route(chance).serve(body, cloud_event.CONTENT_TYPE)
        await asyncio.sleep(chance.uniform(0.001, 0.02))
        return response


def _read(response: Response) -> Answer:
    """Returns what `delivery.sender.Sender` makes of a response."""
    fields = json_object(bytes(response.body))
    outcome, reason = str(fields.get("outcome", "")), str(fields.get("reason", ""))
    verdict = verdict_of(response.status_code, reason if outcome == "fault" else "")
    if verdict is Verdict.ACKNOWLEDGED:
        verdict = {"": Verdict.ENDPOINT, "fault": Verdict.LATER}.get(outcome, verdict)
    return Answer(
        verdict=verdict,
        status=response.status_code,
        retry_after=retry_after(response.headers.get("Retry-After")),
        reason=f"{outcome} {reason}".strip(),
    )
