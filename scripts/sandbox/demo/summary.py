"""What a run of the demo came to."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.calico.attackers import Filed
    from sandbox.calico.fleet import Submission
    from sandbox.calico.observer import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """How one attack ended.

    Attributes:
        name: Of its story.
        wrong: What was wrong with it.
        verdict: Denied, Failed, or what the API server said.
        reason: The refusal's own words.
        as_expected: Whether it was refused, for the right reasons.
    """

    name: str
    wrong: str
    verdict: str
    reason: str
    as_expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures.

    Attributes:
        requested: Requests of the fleet.
        issued: Those that were issued.
        violations: By CSR name, what is wrong with its certificate; empty texts where nothing is.
        attacks: All attacks.
        seconds: From each request to its certificate, sorted.
        elapsed: Seconds from the first request to the last certificate.
        signatures: How often KMS used the CA's key, the CA certificate included; None where that cannot be known.
    """

    requested: int
    issued: int
    violations: Mapping[str, str]
    attacks: Sequence[Attack]
    seconds: Sequence[float]
    elapsed: float
    signatures: int | None

    @property
    def verified(self) -> int:
        """Certificates that are right in every way."""
        return sum(1 for violation in self.violations.values() if not violation)

    @property
    def refused(self) -> int:
        """Attacks that were refused, and for the right reasons."""
        return sum(1 for attack in self.attacks if attack.as_expected)

    @property
    def as_expected(self) -> bool:
        """Whether everybody who should got a certificate that is right, and nobody else did."""
        return self.requested == self.issued == self.verified and self.refused == len(self.attacks)

    @property
    def median(self) -> float:
        """Seconds within which half of the certificates came."""
        return statistics.median(self.seconds) if self.seconds else 0.0

    @property
    def p95(self) -> float:
        """Seconds within which 95 of 100 certificates came."""
        return self.seconds[max(0, -(-len(self.seconds) * 95 // 100) - 1)] if self.seconds else 0.0

    @property
    def per_second(self) -> float:
        """Certificates per second."""
        return self.issued / self.elapsed if self.elapsed else 0.0


def attack(filed: Filed, seen: Observation | None) -> Attack:
    """How an attack ended.

    Args:
        filed: What the API server said to it.
        seen: The last state of its CSR, if there is one.
    """
    story = filed.attacker.story
    if filed.rejection:
        verdict, reason, right = "no CSR", filed.rejection, True
    elif seen is None:
        verdict, reason, right = "Pending", "", False
    else:
        verdict, reason = seen.state, f"{seen.reason}: {seen.message}" if seen.message else ""
        right = seen.refused and not seen.certificate and all(code in reason for code in story.expected_codes)
    return Attack(name=story.name, wrong=story.wrong, verdict=verdict, reason=reason, as_expected=right)


def durations(submissions: Sequence[Submission], seen: Mapping[str, Observation]) -> tuple[list[float], float]:
    """Seconds from each request to its certificate, sorted, and from the first request to the last certificate."""
    ended = [
        (submission.submitted, observation.ended)
        for submission in submissions
        if (observation := seen.get(submission.uid)) is not None
        and observation.issued
        and observation.ended is not None
    ]
    if not ended:
        return [], 0.0
    elapsed = max(end for _, end in ended) - min(start for start, _ in ended)
    return sorted(end - start for start, end in ended), elapsed
