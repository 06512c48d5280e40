"""The figures of a run of the demo."""

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
    """The result of one attack.

    Attributes:
        name: Name of its story.
        wrong: The fault in the request.
        verdict: Denied, Failed, or the API server's error.
        reason: The refusal's message.
        as_expected: Whether the signer refused it with the expected codes.
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
        requested: Number of requests of the fleet.
        issued: Number of certificates.
        violations: The violation of each certificate by CSR name; empty if there is none.
        attacks: All attacks.
        key_pairs: The violation of each key pair by Secret name, empty if there is none; None without the command.
        seconds: From each request to its certificate, sorted.
        elapsed: Seconds from the first request to the last certificate.
        signatures: Number of signatures by the CA's key, including the CA certificate; None if it is unknown.
    """

    requested: int
    issued: int
    violations: Mapping[str, str]
    attacks: Sequence[Attack]
    key_pairs: Mapping[str, str] | None
    seconds: Sequence[float]
    elapsed: float
    signatures: int | None

    @property
    def verified(self) -> int:
        """Returns the number of certificates without a violation."""
        return sum(1 for violation in self.violations.values() if not violation)

    @property
    def mounted(self) -> int:
        """Returns the number of key pairs without a violation."""
        return sum(1 for violation in (self.key_pairs or {}).values() if not violation)

    @property
    def certificates(self) -> int:
        """Returns the number of all certificates."""
        return self.issued + self.mounted

    @property
    def refused(self) -> int:
        """Returns the number of attacks that the signer refused with the expected codes."""
        return sum(1 for attack in self.attacks if attack.as_expected)

    @property
    def as_expected(self) -> bool:
        """Tells whether every honest pod, and no attacker, got a valid certificate."""
        served = self.mounted == len(self.key_pairs or ())
        return self.requested == self.issued == self.verified and self.refused == len(self.attacks) and served

    @property
    def median(self) -> float:
        """Returns the median of the seconds."""
        return statistics.median(self.seconds) if self.seconds else 0.0

    @property
    def p95(self) -> float:
        """Returns the 95th percentile of the seconds."""
        return self.seconds[max(0, -(-len(self.seconds) * 95 // 100) - 1)] if self.seconds else 0.0

    @property
    def per_second(self) -> float:
        """Returns the certificates per second."""
        return self.issued / self.elapsed if self.elapsed else 0.0


def attack(filed: Filed, seen: Observation | None) -> Attack:
    """Returns the result of an attack.

    Args:
        filed: The API server's answer.
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
    """Returns the sorted seconds of all requests, and the seconds from the first request to the last certificate."""
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
