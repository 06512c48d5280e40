"""The certificates that the records name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from signerctl.recorded.entries import Json, member, once, record_of


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
        try:
            return cls(
                csr_name=_name(record),
                requester=_username(record),
                not_before=datetime.fromisoformat(record["not_before"]),
                not_after=datetime.fromisoformat(record["not_after"]),
                issued=datetime.fromisoformat(record["time"]),
                dns_names=tuple(map(str, record.get("dns_names") or ())),
                ip_addresses=tuple(map(str, record.get("ip_addresses") or ())),
                node=str(record.get("node", "")),
                **{name: _text(record[name]) for name in _TEXTS},
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"a certificate's record cannot be read: {error}") from error


_TEXTS = (
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


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value


def _name(record: Json) -> str:
    """Returns the CSR's name; the record itself may hold only its beginning."""
    return _text(member(member(record, "decision_inputs"), "csr").get("name") or record["csr_name"])


def _username(record: Json) -> str:
    return _text(member(member(record, "decision_inputs"), "csr").get("username") or record["requester"])


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
        if event == "intent":
            prepared.setdefault(tbs_sha256, Certificate.of(record))
        elif event == "issued":
            issued.setdefault(tbs_sha256, Certificate.of(record))
        elif event == "ignored" and tbs_sha256:
            held.add(tbs_sha256)
    for tbs_sha256, intent in prepared.items():
        if tbs_sha256 in issued:  # the intent may have the whole name and username
            issued[tbs_sha256] = replace(intent, issued=issued[tbs_sha256].issued)
        elif tbs_sha256 in held:
            issued[tbs_sha256] = intent
    return sorted(issued.values(), key=lambda certificate: certificate.issued, reverse=True)
