"""What Go's parser sees in a request, and kube-apiserver with it, is what ours sees, if ours accepts the request.

The other way round nothing is asked: much of what Go forgives is refused here.
"""

import json
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from csr_signer.policy.decision import Refusal
from csr_signer.request.pkcs10 import CertificationRequest, parse
from sandbox.calico import der
from tests.interoperability import go
from tests.interoperability.stack import TIMEOUT_SECONDS
from tests.interoperability.stacks import skip_if_missing
from tests.unit.function.builders import (
    EXTENSION_REQUEST,
    PrivateKey,
    alternative_names,
    attribute,
    basic_constraints,
    dns_name,
    ec_key,
    judge,
    make_request,
    make_request_der,
    pem,
    rsa_key,
    sign,
)
from tests.unit.function.der_trees import Tree, change
from tests.unit.function.requests.catalogue import CASES
from tests.unit.function.worst import HONEST, WORST, worst

CHANGED: Final = 4000
"""Requests with something changed at random, always the same ones."""
LARGE_ARC: Final = "base 128 integer too large"
"""What Go says of an object identifier with an arc of more than 31 bits. Ours reads it, and no profile names it."""


@pytest.fixture
def program() -> Path:
    """The program that parses with Go."""
    skip_if_missing(go.Go)
    return go.program()


def views(program: Path, requests: Sequence[bytes]) -> list[dict[str, Any]]:
    """What Go sees in each."""
    frames = b"".join(struct.pack(">I", len(request)) + request for request in requests)
    done = subprocess.run([program, "view"], input=frames, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    seen = list(map(json.loads, done.stdout.splitlines()))
    assert len(seen) == len(requests)
    return seen


def ours(request: CertificationRequest) -> dict[str, Any]:
    """What we see, as the program writes it; of the extensions their content is compared as far as Go reads it."""
    assert request.public_key is not None
    return {
        "refused": "",
        "version": 0,
        "subject": [list(attribute) for attribute in request.subject],
        "dns_names": list(request.extensions.dns_names),
        "ip_addresses": [address.packed.hex() for address in request.extensions.ip_addresses],
        "other_names": 0,
        "public_key": request.public_key.subject_public_key_info.hex(),
    }


def disagreements(program: Path, requests: Sequence[bytes]) -> tuple[list[tuple[bytes, Any]], int]:
    """Requests that ours accepts and Go sees otherwise, and how many both see alike."""
    found: list[tuple[bytes, Any]] = []
    alike = 0
    for text, seen in zip(requests, views(program, requests), strict=True):
        answer = parse(text)
        if not isinstance(answer, CertificationRequest) or answer.violations:
            continue
        extensions = [number for number, _ in seen.pop("extensions") or ()]
        if seen == ours(answer) and len(set(extensions)) == len(extensions):
            alike += 1
        elif not (LARGE_ARC in seen["refused"] and isinstance(judge(request=text), Refusal)):
            found.append((text, seen))
    return found, alike


def changed() -> Iterator[bytes]:
    """Honest requests with something changed in what is signed, and signed again."""
    keys: list[PrivateKey] = [ec_key(), ec_key("P-384"), rsa_key()]
    bases = [(key, make_request_der(key=key, addresses=("10.0.0.1", "2001:db8::1"))) for key in keys]
    for seed in range(CHANGED):
        random = Random(seed)  # noqa: S311 - nothing secret
        key, encoded = random.choices(bases, [18, 1, 1])[0]
        request = Tree.read(encoded)
        info = request.part(0)
        for _ in range(random.choice([1, 1, 2])):
            change(info, random)
        written = info.write()
        yield pem(der.sequence(written, request.part(1).write(), der.bit_string(sign(key, written))))


def test_go_and_our_parser_agree_on_changed_requests(program: Path) -> None:
    """Go accepts every changed request that our parser accepts, and reads the same content."""
    found, alike = disagreements(program, list(changed()))
    assert found == []
    assert alike > CHANGED // 30


def test_go_sees_what_we_see_in_the_tables(program: Path) -> None:
    """So with the request of every row, the costly ones, and the honest ones."""
    rows = [row.text for row in CASES if row.request]
    found, alike = disagreements(program, [*rows, *map(worst, WORST), *(make() for make in HONEST.values())])
    assert found == []
    assert alike >= len(HONEST)


def test_a_difference_would_be_seen(program: Path) -> None:
    """Of two extensionRequest attributes Go reads both, and we the first: which is why two are refused."""
    first = attribute(EXTENSION_REQUEST, der.sequence(basic_constraints()))
    second = attribute(EXTENSION_REQUEST, der.sequence(alternative_names(dns_name(b"kubernetes"))))
    text = make_request(attributes=first + second)
    (seen,) = views(program, [text])
    answer = parse(text)
    assert isinstance(answer, CertificationRequest)
    assert seen["dns_names"] == ["kubernetes"]
    assert answer.extensions.dns_names == ()
    assert [violation.code for violation in answer.violations] == ["request.attribute"]
