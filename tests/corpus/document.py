"""The files of the corpus: what every case starts from, and the two files of each entry."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from csr_signer.policy import Signer
from csr_signer.profile import Profile
from tests.corpus import patch
from tests.corpus.entry import Entry
from tests.corpus.recorded import BASE, Recorded, certified, profile_of
from tests.function.builders import (
    NOW,
    make_csr_object,
    make_node_object,
    make_pod_object,
    make_request,
    make_signer,
    postgresql,
)
from tests.function.component_tables import configured

_LIST: Final = re.compile(r"\[\n\s+([^][{}]*?)\n\s+\]")
_LINES: Final = r"\n\s*"


def base() -> dict[str, Any]:
    """The honest case: what the API server says, and the signer's configuration."""
    csr = make_csr_object(request=b"")
    del csr["spec"]["request"]
    return {
        "what": "what every case starts from: the API's documents, the signer, and now",
        "csr": csr,
        "pod": make_pod_object(),
        "node": make_node_object(),
        "signer": _described(make_signer(), {"name": "calico", "release": "3.31"}),
        "now": _moment(NOW),
    }


def files(entries: Iterable[Entry]) -> dict[str, bytes]:
    """Every file of the corpus, by its path below `tests/cases`."""
    start, honest = base(), make_request()
    found = {f"{BASE}.json": _text(start), f"{BASE}.csr": honest}
    names: Counter[str] = Counter()
    for entry in entries:
        place = f"{entry.folder}/{entry.name}"
        names[place] += 1
        if names[place] > 1:
            place += f"-{names[place]}"
        request, described = _request(entry), _document(start, entry)
        if entry.outcome == "permitted":
            case = Recorded.load(place, json.loads(_text(start)), json.loads(_text(described)), request)
            described["certificate"] = certified(case)
        found[f"{place}.json"] = _text(described)
        if request != honest:
            found[f"{place}.csr"] = request
    return found


def _request(entry: Entry) -> bytes:
    story = entry.case.request
    return story if isinstance(story, bytes) else make_request(**story or {})


def _document(start: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """What an entry says, in the order in which people read it; what is as in the base is left out."""
    row = entry.case
    csr = patch.apply(make_csr_object(request=b"", **row.csr), entry.csr)
    del csr["spec"]["request"]
    pod = patch.apply(make_pod_object(**row.pod), entry.pod)
    pod["metadata"] |= {key: start["pod"]["metadata"][key] for key in ("name", "namespace")}  # follow the token
    named = entry.profile or _named(row.signer)
    signer = _described(make_signer(**row.signer), named)
    document: dict[str, Any] = {
        "what": row.sentence,
        "source": entry.source,
        "outcome": entry.outcome,
        "codes": sorted(row.breaks),
        "ignored": entry.ignored,
        "csr": patch.difference(start["csr"], csr),
        "pod": patch.difference(start["pod"], pod),
        "node": patch.difference(start["node"], make_node_object(**row.node)),
        "signer": patch.difference(start["signer"], signer),
        "now": _moment(row.now) if row.now != NOW else "",
    }
    kept = {key: value for key, value in document.items() if value or key == "codes"}
    return kept | ({"pod": None} if row.no_pod else {})


def _named(signer: Mapping[str, Any]) -> Mapping[str, Any]:
    if signer.get("profile") == postgresql():
        return {"name": "postgresql.yaml", "release": None}
    release = signer.get("release", "3.31")
    namespaces = configured("calico", release)
    return {"name": "calico", "release": release} | ({"namespaces": namespaces} if namespaces else {})


def _described(signer: Signer, named: Mapping[str, Any]) -> dict[str, Any]:
    """A signer as a document; what no document can say is an error here and not a silent loss."""
    return {
        "cluster": signer.cluster,
        "cluster_domain": signer.cluster_domain,
        "address_ranges": [str(network) for network in signer.address_ranges],
        "credential_id": "required" if signer.credential_id else "waived",
        "signer_name": signer.signer_name,
        "approve": signer.approve,
        "profile": _profile(signer.profile, named),
        "lifetime_seconds": _seconds(signer.lifetime),
        "deferral_limit_seconds": _seconds(signer.deferral_limit),
        "issuer": {
            "certificate": _pem(signer.issuer.certificates),
            "trust_bundle": _pem(signer.issuer.trust_bundle),
        },
    }


def _profile(profile: Profile, named: Mapping[str, Any]) -> dict[str, Any]:
    document = dict(named)
    if profile != profile_of(named):
        first = profile.components[0]
        ranges = [str(network) for network in first.address_ranges]
        document["every_row"] = {"addresses": first.addresses, "address_ranges": ranges}
    if profile_of(document) != profile:
        raise ValueError(f"a profile that no case file can say: {named}")
    return document


def _pem(certificates: Iterable[Any]) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _text(document: Mapping[str, Any]) -> bytes:
    """JSON with a list of plain values on one line."""
    text = json.dumps(document, indent=2, ensure_ascii=True)
    return (_LIST.sub(lambda found: f"[{re.sub(_LINES, ' ', found[1])}]", text) + "\n").encode()
