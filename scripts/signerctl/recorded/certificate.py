"""The certificates that the records name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from signerctl.recorded.entries import Json, csr_name, once, record_of, requester, text, time


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that the function issued.

    Attributes:
        cluster, signer_name: The signer.
        csr_name, csr_uid: The CSR.
        requester: The username that the API server recorded.
        pod: NAMESPACE/NAME of the requester's pod.
        pod_uid: The pod's uid.
        node: The pod's node.
        component: The component in the profile.
        common_name, dns_names, ip_addresses: The certified names and addresses.
        public_key: The kind of the public key.
        not_before, not_after: The validity.
        serial_number: In hexadecimal.
        tbs_sha256: SHA-256 of the signed bytes.
        issued: When the function recorded the certificate.
    """

    cluster: str
    signer_name: str
    csr_name: str
    csr_uid: str
    requester: str
    pod: str
    pod_uid: str
    node: str
    component: str
    common_name: str
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    public_key: str
    not_before: datetime
    not_after: datetime
    serial_number: str
    tbs_sha256: str
    issued: datetime

    @classmethod
    def of(cls, record: Json) -> "Certificate":
        """Parses an `intent` or `issued` record.

        Raises:
            ValueError: The record lacks a field, or has another type in it.
        """
        return cls(
            csr_name=csr_name(record),
            requester=requester(record),
            not_before=time(record, "not_before"),
            not_after=time(record, "not_after"),
            issued=time(record),
            dns_names=tuple(map(str, record.get("dns_names") or ())),
            ip_addresses=tuple(map(str, record.get("ip_addresses") or ())),
            node=str(record.get("node", "")),
            **{name: text(record, name) for name in _TEXTS},
        )


_TEXTS: Final = (
    "cluster",
    "signer_name",
    "csr_uid",
    "pod",
    "pod_uid",
    "component",
    "common_name",
    "public_key",
    "serial_number",
    "tbs_sha256",
)


EVENTS: Final = ("intent", "issued", "ignored")
"""The events that tell about certificates."""


def certificates(entries: Iterable[Json]) -> list[Certificate]:
    """Returns every certificate that the function issued for a CSR, the newest first.

    A certificate counts if a record says `issued`, or, if the function was killed before it wrote that record, if a
    later record says that the CSR holds the certificate of an intent.

    Args:
        entries: Log entries or bare records, in any order; duplicates count once.

    Raises:
        ValueError: A record of a certificate lacks a field.
    """
    prepared: dict[str, Certificate] = {}
    issued: dict[str, Certificate] = {}
    held: set[str] = set()
    for entry in once(entries):
        record = record_of(entry)
        if record is None or not record.get("csr_uid"):
            continue
        event, tbs_sha256 = record["event"], str(record.get("tbs_sha256", ""))
        if event == "intent" and tbs_sha256 in issued:
            issued[tbs_sha256] = _merged(Certificate.of(record), issued[tbs_sha256])
        elif event == "intent":
            prepared.setdefault(tbs_sha256, Certificate.of(record))
        elif event == "issued":
            outcome = Certificate.of(record)
            issued.setdefault(tbs_sha256, _merged(prepared.pop(tbs_sha256, outcome), outcome))
        elif event == "ignored" and tbs_sha256:
            held.add(tbs_sha256)
    lost = [intent for tbs_sha256, intent in prepared.items() if tbs_sha256 in held and tbs_sha256 not in issued]
    return sorted([*issued.values(), *lost], key=lambda certificate: certificate.issued, reverse=True)


def _merged(intent: Certificate, outcome: Certificate) -> Certificate:
    """Returns the outcome with the intent's name and username: only the intent has them whole."""
    return replace(intent, issued=outcome.issued)
