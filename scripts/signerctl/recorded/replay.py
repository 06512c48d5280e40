"""Re-evaluates recorded decisions with another configuration, and compares the results."""

import asyncio
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csr_signer.policy.attestation import attest_requester
from csr_signer.policy.decision import Decision, Deferral, Permit, Refusal, decide
from csr_signer.policy.signer import Signer
from csr_signer.request import pkcs10
from csr_signer.violation import describe
from signerctl.recorded.entries import Json, csr_name, mapping, optional_text, text, texts, time
from signerctl.recorded.inputs import Inputs, NotRecordedError, Omitted

DECISIONS: Final = ("intent", "refused")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """A decision that the function recorded.

    Attributes:
        cluster, signer_name: The signer.
        csr_name, csr_uid: The CSR.
        pod: NAMESPACE/NAME of the requester's pod; empty if the token names none.
        decided_at: The time that the decision used.
        inputs: What the decision read; None in a record from before version 0.2.0.
        certified: The certified fields; None in a refusal.
        validity: `not_before` and `not_after` of the certificate; empty in a refusal.
        codes: The codes of a refusal.
        violations: The text of a refusal.
    """

    cluster: str
    signer_name: str
    csr_name: str
    csr_uid: str
    pod: str
    decided_at: datetime
    inputs: Inputs | Omitted | None
    certified: Mapping[str, str | tuple[str, ...]] | None
    validity: Mapping[str, datetime]
    codes: tuple[str, ...]
    violations: str

    @classmethod
    def of(cls, record: Json) -> "RecordedDecision":
        """Parses a record of one of `DECISIONS`.

        Raises:
            ValueError: The record is malformed.
        """
        permitted = record["event"] == "intent"
        return cls(
            cluster=text(record, "cluster"),
            signer_name=text(record, "signer_name"),
            csr_name=csr_name(record),
            csr_uid=text(record, "csr_uid"),
            pod=optional_text(record, "pod"),
            decided_at=time(record, "decided_at"),
            inputs=Inputs.of(mapping(record, "decision_inputs")) if "decision_inputs" in record else None,
            certified={
                **{name: optional_text(record, name) for name in _CERTIFIED_TEXTS},
                **{name: texts(record, name) for name in _CERTIFIED_LISTS},
            }
            if permitted
            else None,
            validity={name: time(record, name) for name in _TIMES} if permitted else {},
            codes=texts(record, "codes"),
            violations=optional_text(record, "violations"),
        )


_CERTIFIED_TEXTS: Final = ("component", "common_name", "public_key_sha256")
_CERTIFIED_LISTS: Final = ("dns_names", "ip_addresses", "extended_key_usage")


def replay(record: RecordedDecision, inputs: Inputs | Omitted, signers: Signers) -> Difference | None:
    """Makes the decision of a record again; returns how it differs, or None if it is the same.

    Args:
        record: The record.
        inputs: Its inputs.
        signers: The new configuration's signers by cluster and signerName.
    """
    recorded = "refused" if record.certified is None else "permitted"
    signer = signers.get((record.cluster, record.signer_name))
    if signer is None:
        return Difference(level=Level.DIFFERENCE, recorded=recorded, replayed="no_signer")
    if isinstance(inputs, Omitted):
        why = f"not recorded: {inputs.why}"
        return Difference(level=Level.UNKNOWN, recorded=recorded, replayed="unknown", detail=why)
    try:
        decision = again(inputs, signer, csr_uid=record.csr_uid, decided_at=record.decided_at)
    except NotRecordedError as error:
        return Difference(level=Level.DIFFERENCE, recorded=recorded, replayed="needs_more", detail=str(error))
    if isinstance(decision, Permit) and record.certified is not None:
        return _other_certificate(record, record.certified, inputs, signer, decision)
    if isinstance(decision, Refusal) and record.certified is None:
        return _other_refusal(record, decision)
    return _other_decision(recorded, decision)


def again(inputs: Inputs, signer: Signer, *, csr_uid: str, decided_at: datetime) -> Decision:
    """Makes the decision as the function does, at the time that the record names."""
    csr = inputs.certificate_signing_request(uid=csr_uid, signer_name=signer.signer_name)
    return decide(
        csr=csr,
        request=pkcs10.parse(csr.request),
        attestation=asyncio.run(attest_requester(csr.requester, signer, inputs)),
        signer=signer,
        now=decided_at,
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


def _other_refusal(record: RecordedDecision, refusal: Refusal) -> Difference | None:
    """Compares the codes; the text also names the allowed values, which change with any edit of the profile."""
    before, after = record.codes, _codes(refusal)
    text = describe(refusal.violations)
    if set(before) == set(after):
        if text == record.violations:
            return None
        return Difference(level=Level.NOTE, recorded="refused", replayed="refused", what=("violations",), detail=text)
    gone, new = (sorted(set(one) - set(other)) for one, other in ((before, after), (after, before)))
    what = (*(f"-{code}" for code in gone), *(f"+{code}" for code in new))
    return Difference(level=Level.DIFFERENCE, recorded="refused", replayed="refused", what=what, detail=text)


def _other_certificate(
    record: RecordedDecision,
    certified: Mapping[str, str | tuple[str, ...]],
    inputs: Inputs,
    signer: Signer,
    permit: Permit,
) -> Difference | None:
    fields = _certified(permit)
    differ = [name for name, value in fields.items() if certified[name] != value]
    times = [name for name in _TIMES if record.validity[name] != getattr(permit, name)]
    differ += [name for name in times if not _follows_from_issuer(name, record, inputs, signer, permit)]
    if not differ and not times:
        return None
    what = tuple(differ or times)
    before = {**certified, **record.validity}
    after = {**fields, **{name: getattr(permit, name) for name in _TIMES}}
    detail = "; ".join(f"{name}: {_text(before[name])} -> {_text(after[name])}" for name in what)
    level = Level.DIFFERENCE if differ else Level.NOTE
    return Difference(level=level, recorded="permitted", replayed="permitted", what=what, detail=detail)


def _certified(permit: Permit) -> dict[str, str | tuple[str, ...]]:
    """Returns the certified fields under their names in the record; not those that follow from the issuer."""
    return {
        "component": permit.component,
        "common_name": permit.common_name,
        "dns_names": tuple(permit.dns_names),
        "ip_addresses": tuple(map(str, permit.ip_addresses)),
        "extended_key_usage": tuple(permit.extended_key_usage),
        "public_key_sha256": permit.public_key.sha256,
    }


def _follows_from_issuer(name: str, record: RecordedDecision, inputs: Inputs, signer: Signer, permit: Permit) -> bool:
    """Tells whether the old or the new issuer's validity cuts the certificate's, as after a rotation of the CA."""
    was_cut = record.validity[name] == getattr(inputs.issuer, name)
    return was_cut or bool(getattr(permit, name) == getattr(signer.issuer, name))


def _codes(refusal: Refusal) -> tuple[str, ...]:
    return tuple(dict.fromkeys(violation.code for violation in refusal.violations))


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return value.isoformat() if isinstance(value, datetime) else str(value)
