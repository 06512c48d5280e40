"""The matrix: every issuer algorithm certifies every key and hash of a request, and every stack verifies the chains."""

import itertools
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.interoperability.controls import Issued, Pair, controls_of
from tests.interoperability.issuers import NAMES, KmsIssuer, kms_issuers
from tests.interoperability.pyca import Pyca
from tests.interoperability.requesters import REQUESTERS, Requester
from tests.interoperability.stack import Query, Stack, pem_file, queries_about

KEYS: Final = ("RSA-2048", "RSA-3072", "RSA-4096", "RSA-8192", "P-256", "P-384", "P-521")
DIGESTS: Final = ("SHA256", "SHA384", "SHA512")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Certificates, controls, and what each stack said.

    Attributes:
        issued: Every certificate.
        controls: By the names of issuer and control.
        answers: Why a stack refuses a query, or an empty text; by the stack's name.
        seconds: How long each stack took; they share the processors.
    """

    issued: Sequence[Issued]
    controls: Mapping[tuple[str, str], Pair]
    answers: Mapping[str, Mapping[Query, str]]
    seconds: Mapping[str, float]

    def refusal(self, stack: type[Stack], issued: Issued) -> str:
        """Returns why a stack refuses a certificate; empty if it accepts it for every host and purpose."""
        return "; ".join(filter(None, (self.answers[stack.name][query] for query in issued.queries)))

    def failure(self, stack: type[Stack], issuer: str, control: str) -> str:
        """Returns what is wrong with a stack's answers to a control; empty if it is refused for the right reason."""
        refused, accepted = (self.answers[stack.name][query] for query in self.controls[issuer, control])
        if accepted:
            return f"the chain that differs in one thing is refused, too: {accepted}"
        if not refused:
            return "accepted"
        return "" if re.search(stack.reasons[control], refused) else f"refused for another reason: {refused}"


def run(stacks: Sequence[type[Stack]], folder: Path, names: Sequence[str] = NAMES) -> Matrix:
    """Issues every certificate and asks the stacks, which must be installed, side by side."""
    issued: list[Issued] = []
    controls: dict[tuple[str, str], Pair] = {}
    requests = list(_requests(folder))
    with kms_issuers(names, folder) as issuers:
        for number, issuer in enumerate(issuers):
            certificates = [_issue(issuer, folder, **request) for request in requests]
            issued += certificates
            # Another request for each issuer, so that the controls cover every kind of key.
            made = controls_of(certificates[number % len(certificates)])
            controls |= {(issuer.name, name): pair for name, pair in made.items()}
    asked = [*(each.queries for each in issued), *controls.values()]
    queries = list(dict.fromkeys(itertools.chain.from_iterable(asked)))

    def answers(stack: type[Stack]) -> tuple[dict[Query, str], float]:
        started = time.monotonic()
        (home := folder / stack.name).mkdir()
        reasons = stack(home).verify(queries)
        return dict(zip(queries, reasons, strict=True)), time.monotonic() - started

    with ThreadPoolExecutor() as pool:
        done = list(zip(stacks, pool.map(answers, stacks), strict=True))
    return Matrix(
        issued=issued,
        controls=controls,
        answers={stack.name: said for stack, (said, _) in done},
        seconds={stack.name: spent for stack, (_, spent) in done},
    )


def _requests(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields a request for every key and digest; the components take turns."""
    for number, (kind, digest) in enumerate(itertools.product(KEYS, DIGESTS)):
        # One step further for each key, so that each component asks with each digest.
        requester = REQUESTERS[(number + number // len(DIGESTS)) % len(REQUESTERS)]
        request = Pyca(folder).request(kind, requester, digest)
        yield {"kind": kind, "digest": digest, "requester": requester, "request": request}


def _issue(issuer: KmsIssuer, folder: Path, *, requester: Requester, request: bytes, **named: str) -> Issued:
    chain = requester.certify(request, issuer)
    queries = tuple(queries_about(requester, pem_file(folder, chain), issuer.root))
    return Issued(
        issuer=issuer, requester=requester, request=request, chain=chain, queries=queries, folder=folder, **named
    )
