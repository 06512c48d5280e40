"""The certificates that the records name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from csr_signer import field_error, rfc1123
from signerctl.recorded.entries import Json, csr_name, optional_text, requester, text, texts, time


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
        namespace, _, pod = text(record, "pod").partition("/")
        if not rfc1123.IS_LABEL.fullmatch(namespace) or not rfc1123.IS_SUBDOMAIN.fullmatch(pod):
            raise ValueError(field_error.invalid("pod", text(record, "pod"), "must be NAMESPACE/NAME"))
        return cls(
            csr_name=csr_name(record),
            requester=requester(record),
            not_before=time(record, "not_before"),
            not_after=time(record, "not_after"),
            issued=time(record),
            dns_names=texts(record, "dns_names"),
            ip_addresses=texts(record, "ip_addresses"),
            node=optional_text(record, "node"),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """A record of one of `EVENTS`.

    Attributes:
        event: The event.
        tbs_sha256: SHA-256 of the signed bytes; empty if the CSR in an `ignored` record holds none of ours.
        certificate: The certificate; None in an `ignored` record.
    """

    event: str
    tbs_sha256: str
    certificate: Certificate | None

    @classmethod
    def of(cls, record: Json) -> "CertificateRecord":
        """Parses a record.

        Raises:
            ValueError: The record is malformed.
        """
        if record["event"] == "ignored":
            return cls(event="ignored", tbs_sha256=optional_text(record, "tbs_sha256"), certificate=None)
        certificate = Certificate.of(record)
        return cls(event=record["event"], tbs_sha256=certificate.tbs_sha256, certificate=certificate)


def certificates(records: Iterable[CertificateRecord]) -> list[Certificate]:
    """Returns every certificate that the function issued for a CSR, the newest first.

    A certificate counts if a record says `issued`, or, if the function was killed before it wrote that record, if a
    later record says that the CSR holds the certificate of an intent.

    Args:
        records: Records in any order; each once.
    """
    intents: dict[str, Certificate] = {}
    issued: dict[str, Certificate] = {}
    held: set[str] = set()
    for record in records:
        if record.certificate is not None:
            found = intents if record.event == "intent" else issued
            found.setdefault(record.tbs_sha256, record.certificate)
        elif record.tbs_sha256:
            held.add(record.tbs_sha256)
    whole = [replace(intents.get(tbs_sha256, each), issued=each.issued) for tbs_sha256, each in issued.items()]
    lost = [each for tbs_sha256, each in intents.items() if tbs_sha256 in held and tbs_sha256 not in issued]
    return sorted([*whole, *lost], key=lambda certificate: certificate.issued, reverse=True)
