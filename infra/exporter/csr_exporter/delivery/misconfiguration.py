"""Which signers wait for an operator, as the function's answers tell. Pure: time is an argument."""

from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict

WRONG = (
    "the function's configuration, key or permissions are wrong: an operator must act; the function's log says which"
)
RIGHT = "the function issues again"
# A CSR that waits is resent at least this often. If none is, no CSR waits for the operator any more.
REMEMBERED = 300.0
_VERDICTS = frozenset({Verdict.CONFIGURATION, Verdict.SIGNER_CONFIGURATION})


class Misconfiguration:
    """The signers whose configuration, key, CA or right is wrong.

    Only a certificate shows that a signer's configuration is right again: a refusal uses no key, so a hostile requester
    would otherwise clear the state again and again.
    """

    def __init__(self) -> None:
        self._answered_at: dict[str, float] = {}

    def answered(self, item: WorkItem, answer: Answer, *, now: float) -> str | None:
        """Learns from an answer; returns WRONG or RIGHT when a signer changes."""
        signer_name = item.reference.signer_name
        was_wrong = signer_name in self.signer_names(now)
        if answer.verdict in _VERDICTS:
            self._answered_at[signer_name] = now
            return None if was_wrong else WRONG
        if answer.is_issued:
            self._answered_at.pop(signer_name, None)
            return RIGHT if was_wrong else None
        return None

    def signer_names(self, now: float) -> list[str]:
        """Returns the signers that wait for an operator."""
        return sorted(name for name, at in self._answered_at.items() if now - at < REMEMBERED)
