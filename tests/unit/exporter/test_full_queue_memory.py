"""A full work queue beside heavy CSRs, against the memory limit of the manifest."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from csr_exporter.queue.fair_queue import RateLimit
from csr_exporter.queue.work_queue import MOST_CSRS
from tests.unit.exporter.heavy import HEAVY, exporter_limit
from tests.unit.exporter.support import (
    CHUNKED,
    Connection,
    Request,
    ScriptedServer,
    answer,
    chunk,
    csr_document,
    filed_by,
)

HEAVY_CSRS = 20
# More than the queue holds: the lists remember their uids.
LISTED = MOST_CSRS + 25_000
CHILD = """
import json, re, sys, time
from dataclasses import replace
from pathlib import Path
from csr_exporter import configuration
from csr_exporter.exporter import Exporter

url, token = sys.argv[1:]
api_server = {"server": "https://replaced", "certificate_authority": token, "token_file": token}
document = {
    "source": "//x/y", "signers": [{"signer_name": "example.com/calico", "stages": ["pending"]}],
    "function": {"url": url, "audience": "https://a"}, "identity": {"kind": "unsafe_none"},
    "api_server": api_server, "health": {"address": "127.0.0.1", "port": 0},
}
parsed = configuration.parse(json.dumps(document), {})
exporter = Exporter(replace(parsed, api_server=replace(parsed.api_server, server=url)))
exporter.start()
while not exporter._health.reflectors[0].listed:
    time.sleep(0.1)
(resync,) = [each._target.__self__ for each in exporter._threads if each.name == "Resync.run"]
resync.list_once()
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"held": len(exporter._dispatcher.queue), "peak": peak}), flush=True)
"""


def _requester(number: int) -> int:
    """As many requesters as fill the queue: their share each in the first half, a burst each in the second."""
    share, burst = RateLimit().most_held, RateLimit().burst
    first = MOST_CSRS // 2 // share
    return number // share if number < first * share else first + (number - first * share) // burst


def _csr(number: int) -> bytes:
    document = csr_document(number, name=f"{number:08d}".ljust(500, "a"))
    document["spec"] = {**document["spec"], **filed_by(_requester(number))}  # type: ignore[dict-item]
    return HEAVY["held as four times its size"](document) if number >= LISTED else json.dumps(document).encode()


def _handler(request: Request, connection: Connection) -> bytes | None:
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
    if request.method == "POST":
        return answer(503)
    if "watch" in query:
        connection.send(CHUNKED)
        for number in range(HEAVY_CSRS):
            line = b'{"type":"ADDED","object":%s}\n' % _csr(2 * LISTED + number)
            connection.send(chunk(line))
        connection.hang()
        return None
    first = int(query.get("continue", 0))
    last = min(LISTED + HEAVY_CSRS, first + int(query["limit"]))
    metadata = {"resourceVersion": "1", **({"continue": str(last)} if last < LISTED + HEAVY_CSRS else {})}
    items = b",".join(_csr(number) for number in range(first, last))
    return answer(200, b'{"metadata":%s,"items":[%s]}' % (json.dumps(metadata).encode(), items))


def test_attack_a_full_queue_and_heavy_csrs_stay_below_the_memory_limit(tmp_path: Path) -> None:
    """The longest names that are sent, of enough requesters to fill the queue; heavy CSRs in list and watch."""
    (tmp_path / "token").write_text("token")
    with ScriptedServer(_handler) as server:
        command = [sys.executable, "-c", CHILD, server.url, str(tmp_path / "token")]
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
        child = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=120)
    found = json.loads(child.stdout)
    assert found["held"] > MOST_CSRS * 0.9
    assert found["peak"] < exporter_limit(), found
