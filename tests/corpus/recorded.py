"""A case as its files say it, and its replay through the function's deciding modules, from bytes to decision."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Self

from csr_signer import certificate, issuer, profile
from csr_signer.attestation import Attestation, Node, Pod, PodIdentity, attest, identify
from csr_signer.csr import CertificateSigningRequest, triage
from csr_signer.pkcs10 import parse
from csr_signer.policy import Decision, Deferral, Permit, Signer, decide
from csr_signer.profile import Profile
from tests.corpus import patch
from tests.function.builders import EXAMPLES, KEY_VERSION, authority, make_signer

CASES: Final = Path(__file__).parents[1] / "cases"
BASE: Final = "base"
EVENTS: Final = "events"  # the golden events lie beside the requests

Judgement = Decision | str
"""A decision, or why triage leaves the CSR alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One case.

    Attributes:
        place: its path below `tests/cases`, without suffix.
        what, source: a sentence, and where the idea comes from.
        outcome: `refused`, `permitted`, `deferred` or `ignored`.
        codes: all that a refusal must give.
        ignored: why triage leaves it alone.
        certificate: what must be certified.
        csr, pod, node, signer: documents; the CSR's holds the request; no pod where the API server has none.
        now: of the decision.
    """

    place: str
    what: str
    source: str
    outcome: str
    codes: frozenset[str]
    ignored: str
    certificate: Mapping[str, Any]
    request: bytes
    csr: dict[str, Any]
    pod: dict[str, Any] | None
    node: dict[str, Any]
    signer: dict[str, Any]
    now: datetime

    def __str__(self) -> str:
        return self.place

    @classmethod
    def load(cls, place: str, base: Mapping[str, Any], document: Mapping[str, Any], request: bytes) -> Self:
        """A case from its base, its document and its request; a key that nobody reads is an error."""
        unknown = set(document) - _KEYS
        if unknown:
            raise ValueError(f"{place}: keys {sorted(unknown)} mean nothing")
        parts = {
            key: None if key in document and document[key] is None else patch.apply(base[key], document.get(key, {}))
            for key in ("csr", "pod", "node", "signer")
        }
        return cls(
            place=place,
            what=document["what"],
            source=document["source"],
            outcome=document["outcome"],
            codes=frozenset(document["codes"]),
            ignored=document.get("ignored", ""),
            certificate=document.get("certificate", {}),
            request=request,
            now=datetime.fromisoformat(document.get("now", base["now"])),
            **parts,  # type: ignore[arg-type]  # only a pod may be absent
        )


_KEYS: Final = frozenset(
    {"what", "source", "outcome", "codes", "ignored", "csr", "pod", "node", "signer", "now", "certificate"}
)


def recorded(folder: Path = CASES) -> Iterator[Recorded]:
    """Every case that lies in the folder."""
    base, honest = json.loads((folder / f"{BASE}.json").read_bytes()), (folder / f"{BASE}.csr").read_bytes()
    for path in sorted(folder.glob("*/*.json")):
        if path.parent.name != EVENTS:
            place, own = f"{path.parent.name}/{path.stem}", path.with_suffix(".csr")
            request = own.read_bytes() if own.exists() else honest
            yield Recorded.load(place, base, json.loads(path.read_bytes()), request)


def replay(case: Recorded) -> Judgement:
    """The judgement of a case as its files say it."""
    spec = {**case.csr["spec"], "request": base64.b64encode(case.request).decode()}
    return judge(
        csr={**case.csr, "spec": spec}, pod=case.pod, node=case.node, signer=signer_of(case.signer), now=case.now
    )


def judge(
    *, csr: dict[str, Any], pod: dict[str, Any] | None, node: dict[str, Any], signer: Signer, now: datetime
) -> Judgement:
    """Reads the API's documents and judges them, in the steps of the pipeline and without its writes.

    Args:
        csr: as the API server gives it.
        pod: that the API server has under the name that the token says; None: it has none. Its own name is not used.
        node: likewise for the pod's node.
        signer: judges.
        now: of the decision.
    """
    read = CertificateSigningRequest.from_api(json.dumps(csr).encode(), name=csr["metadata"]["name"])
    ignored = triage(read, uid=csr["metadata"]["uid"], signer_name=signer.signer_name, approve=signer.approve)
    if ignored is not None:
        return ignored
    attestation = _attest(read, pod, node, signer)
    return decide(csr=read, request=parse(read.request), attestation=attestation, signer=signer, now=now)


def _attest(
    csr: CertificateSigningRequest, pod: dict[str, Any] | None, node: dict[str, Any], signer: Signer
) -> Attestation:
    identity = identify(csr.requester, credential_id=signer.credential_id)
    if not isinstance(identity, PodIdentity):
        return Attestation(identity=None, pod=None, violations=identity)
    rows = signer.profile.rows_of(identity.namespace, identity.service_account)
    if not rows:
        return Attestation(identity=identity, pod=None, violations=())
    live = host = None
    if pod is not None:
        live = Pod.from_api(
            _named(pod, name=identity.pod_name, namespace=identity.namespace),
            name=identity.pod_name,
            namespace=identity.namespace,
        )
    if live is not None and live.host_network and any(row.addresses == "pod" for row in rows):
        host = Node.from_api(_named(node, name=live.node_name), name=live.node_name)
    return attest(identity, live, host)


def _named(document: dict[str, Any], **names: str) -> bytes:
    return json.dumps(patch.apply(document, {"metadata": names})).encode()


def signer_of(document: Mapping[str, Any]) -> Signer:
    """A signer as a case describes it."""
    return make_signer(
        cluster=document["cluster"],
        cluster_domain=document["cluster_domain"],
        address_ranges=tuple(map(ip_network, document["address_ranges"])),
        credential_id=document["credential_id"] == "required",
        signer_name=document["signer_name"],
        approve=document["approve"],
        profile=profile_of(document["profile"]),
        lifetime=timedelta(seconds=document["lifetime_seconds"]),
        deferral_limit=timedelta(seconds=document["deferral_limit_seconds"]),
        issuer=issuer.load(
            key_version=KEY_VERSION,
            certificate=document["issuer"]["certificate"].encode(),
            trust_bundle=document["issuer"]["trust_bundle"].encode(),
            protection_level="HSM",
        ),
    )


def profile_of(document: Mapping[str, Any]) -> Profile:
    """A shipped or example profile's rows of a release, where a case says so with other addresses in every row."""
    shipped = _shipped(document["name"], document.get("release"), tuple(document.get("namespaces", ())))
    rows = document.get("every_row")
    if rows is None:
        return shipped
    changes = {"addresses": rows["addresses"], "address_ranges": tuple(map(ip_network, rows["address_ranges"]))}
    return replace(shipped, components=tuple(replace(row, **changes) for row in shipped.components))


@cache
def _shipped(name: str, release: str | None, namespaces: tuple[str, ...]) -> Profile:
    return profile.load(name, release=release, namespaces=namespaces, folder=EXAMPLES)


def certified(case: Recorded) -> dict[str, Any]:
    """What a permit says, and the digest of the certificate's content under the fixed issuer; nothing without one."""
    permit = replay(case)
    if not isinstance(permit, Permit):
        return {}
    return facts(permit) | {"tbs_sha256": hashlib.sha256(content(permit, case)).hexdigest()}


def content(permit: Permit, case: Recorded) -> bytes:
    """DER of the TBSCertificate that a permit stands for."""
    return certificate.build(permit, signer_of(case.signer).issuer, authority().algorithm)


def facts(permit: Permit) -> dict[str, Any]:
    """What a permit says, as case files write it."""
    return {
        "component": permit.component,
        "common_name": permit.common_name,
        "dns_names": list(permit.dns_names),
        "ip_addresses": [str(address) for address in permit.ip_addresses],
        "unconfirmed_addresses": [str(address) for address in permit.unconfirmed_addresses],
        "extended_key_usage": list(permit.extended_key_usage),
        "public_key": permit.public_key.name,
        "not_before": f"{permit.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{permit.not_after:%Y-%m-%dT%H:%M:%SZ}",
    }


def codes(judgement: Judgement) -> frozenset[str]:
    """Codes of every violation of a refusal."""
    if isinstance(judgement, str | Permit | Deferral):
        return frozenset()
    return frozenset(violation.code for violation in judgement.violations)


def outcome(judgement: Judgement) -> str:
    """How a judgement ends, as case files say it."""
    match judgement:
        case str():
            return "ignored"
        case Permit():
            return "permitted"
        case Deferral():
            return "deferred"
        case _:
            return "refused"
