"""Re-evaluates recorded decisions with another configuration, and compares the results."""

import asyncio
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csr_signer.errors import SignerError
from csr_signer.policy.attestation import attest_requester
from csr_signer.policy.decision import Decision, Deferral, Permit, Refusal, decide
from csr_signer.policy.signer import Signer
from csr_signer.request import pkcs10
from csr_signer.violation import describe
from signerctl.recorded.entries import Json, member
from signerctl.recorded.inputs import Inputs, NotRecordedError

DECISIONS: Final = {"intent": "permitted", "refused": "refused"}
"""The events whose records hold a decision with its inputs."""
_TIMES: Final = ("not_before", "not_after")

Signers = Mapping[tuple[str, str], Signer]


class Level(enum.Enum):
    """What a difference means.

    Attributes:
        DIFFERENCE: The new configuration decides differently, or certifies something else.
        NOTE: The decision is the same; only a message's text differs, or the validity because of the issuer's.
        UNKNOWN: The record lacks an input.
    """

    DIFFERENCE = "difference"
    NOTE = "note"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A decision that the new configuration makes differently.

    Attributes:
        level: What it means.
        recorded: `permitted` or `refused`.
        replayed: The same, or `deferred`, `no_signer`, `needs_more`, `unknown`.
        what: The codes of the new refusal, or what differs: codes or fields.
        detail: All violations of the new refusal, or the values.
    """

    level: Level
    recorded: str
    replayed: str
    what: tuple[str, ...] = ()
    detail: str = ""


def replay(record: Json, signers: Signers) -> Difference | None:
    """Makes the decision of a record again; returns how it differs, or None if it is the same.

    Args:
        record: The record of an `intent` or a refusal, with `decision_inputs`.
        signers: The new configuration's signers by cluster and signerName.
    """
    recorded = DECISIONS[record["event"]]
    signer = signers.get((str(record.get("cluster")), str(record.get("signer_name"))))
    if signer is None:
        return Difference(level=Level.DIFFERENCE, recorded=recorded, replayed="no_signer")
    try:
        inputs = Inputs.of(member(record, "decision_inputs"))
        decision = again(record, inputs, signer)
    except NotRecordedError as error:
        level, replayed = (Level.DIFFERENCE, "needs_more") if error.needs_more else (Level.UNKNOWN, "unknown")
        return Difference(level=level, recorded=recorded, replayed=replayed, detail=str(error))
    except (KeyError, TypeError, ValueError, SignerError) as error:
        return Difference(
            level=Level.UNKNOWN, recorded=recorded, replayed="unknown", detail=f"the record cannot be read: {error}"
        )
    if isinstance(decision, Permit) and recorded == "permitted":
        return _other_certificate(record, inputs, signer, decision)
    if isinstance(decision, Refusal) and recorded == "refused":
        return _other_refusal(record, decision)
    return _other_decision(recorded, decision)


def again(record: Json, inputs: Inputs, signer: Signer) -> Decision:
    """Makes the decision as the function does, at the time that the record names."""
    csr = inputs.certificate_signing_request(uid=record["csr_uid"], signer_name=signer.signer_name)
    return decide(
        csr=csr,
        request=pkcs10.parse(csr.request),
        attestation=asyncio.run(attest_requester(csr.requester, signer, inputs)),
        signer=signer,
        now=datetime.fromisoformat(record["decided_at"]),
    )


def _other_decision(recorded: str, decision: Decision) -> Difference:
    replayed, what, detail = _outcome(decision)
    return Difference(level=Level.DIFFERENCE, recorded=recorded, replayed=replayed, what=what, detail=detail)


def _outcome(decision: Decision) -> tuple[str, tuple[str, ...], str]:
    match decision:
        case Permit():
            names = ", ".join(decision.dns_names)
            return "permitted", (decision.component,), f"{decision.common_name}: {names}"
        case Refusal():
            return "refused", _codes(decision), describe(decision.violations)
        case Deferral():
            return "deferred", (), decision.missing


def _other_refusal(record: Json, refusal: Refusal) -> Difference | None:
    """Compares the codes; the text also names the allowed values, which change with any edit of the profile."""
    before, after = tuple(record.get("codes") or ()), _codes(refusal)
    text = describe(refusal.violations)
    if set(before) == set(after):
        if text == record.get("violations"):
            return None
        return Difference(level=Level.NOTE, recorded="refused", replayed="refused", what=("violations",), detail=text)
    gone, new = (sorted(set(one) - set(other)) for one, other in ((before, after), (after, before)))
    what = (*(f"-{code}" for code in gone), *(f"+{code}" for code in new))
    return Difference(level=Level.DIFFERENCE, recorded="refused", replayed="refused", what=what, detail=text)


def _other_certificate(record: Json, inputs: Inputs, signer: Signer, permit: Permit) -> Difference | None:
    fields = dict(_fields(permit))
    differ = [name for name, value in fields.items() if record.get(name, type(value)()) != value]
    times = [name for name in _TIMES if datetime.fromisoformat(record[name]) != getattr(permit, name)]
    differ += [name for name in times if not _follows_from_issuer(name, record, inputs, signer, permit)]
    if not differ and not times:
        return None
    what = tuple(differ or times)
    values = {name: (record.get(name), fields.get(name) or getattr(permit, name)) for name in what}
    detail = "; ".join(f"{name}: {_text(before)} -> {_text(after)}" for name, (before, after) in values.items())
    level = Level.DIFFERENCE if differ else Level.NOTE
    return Difference(level=level, recorded="permitted", replayed="permitted", what=what, detail=detail)


def _fields(permit: Permit) -> Iterator[tuple[str, str | list[str]]]:
    """Returns the certified fields under their names in the record; not those that follow from the issuer."""
    yield "component", permit.component
    yield "common_name", permit.common_name
    yield "dns_names", list(permit.dns_names)
    yield "ip_addresses", list(map(str, permit.ip_addresses))
    yield "extended_key_usage", list(permit.extended_key_usage)
    yield "public_key_sha256", permit.public_key.sha256


def _follows_from_issuer(name: str, record: Json, inputs: Inputs, signer: Signer, permit: Permit) -> bool:
    """Tells whether the old or the new issuer's validity cuts the certificate's, as after a rotation of the CA."""
    was_cut = datetime.fromisoformat(record[name]) == getattr(inputs.issuer, name)
    return was_cut or bool(getattr(permit, name) == getattr(signer.issuer, name))


def _codes(refusal: Refusal) -> tuple[str, ...]:
    return tuple(dict.fromkeys(violation.code for violation in refusal.violations))


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return value.isoformat() if isinstance(value, datetime) else str(value)
