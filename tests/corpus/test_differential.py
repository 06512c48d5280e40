"""The corpus at both API servers: what they let in is judged as its file says, and what is permitted is right."""

import base64
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from csr_signer.policy import Permit
from sandbox.api import Json
from sandbox.calico import der
from sandbox.control_plane.modules import pinned_version
from tests.corpus.offered import Offer, Offers, requester_of
from tests.corpus.recorded import Judgement, Recorded, codes, content, facts, judge, outcome, recorded, signer_of
from tests.corpus.refusals import LIST, counts, lines
from tests.function.builders import ECDSA_WITH_SHA256, authority
from tests.function.component_tables import DOMAIN, Asked, rows

CORPUS: Final = tuple(recorded())
# About the requester and its pod: where a CSR is let in, these are the API server's own facts and not the case's.
_REAL_FACTS: Final = ("requester.", "pod.")


def test_the_api_server_refuses_what_it_is_known_to_refuse(offers: Offers) -> None:
    """The list of refusals is the checked-in one: a change of Kubernetes, or a fault of the double, shows here."""
    if offers.version not in ("", pinned_version()):
        pytest.skip(f"NOT COMPARED: the list is {pinned_version()}'s, this is {offers.version}")
    known, got = set(LIST.read_text().splitlines()), set(lines(offers))
    assert sorted(known ^ got) == [], f"{counts(offers)}; only in the list: {sorted(known - got)}"


def test_every_honest_request_is_let_in(offers: Offers) -> None:
    """What we permit, a real pod can file; but for wishes that no API server of today lets in."""
    stopped = {case.place: offers.by_place[case.place].cause for case in CORPUS if case.outcome == "permitted"}
    assert set(stopped.values()) <= {"", "422 spec.expirationSeconds", "422 spec.usages[5]"}, stopped


@pytest.mark.parametrize("case", CORPUS, ids=str)
def test_what_is_let_in_is_judged_as_its_file_says(offers: Offers, case: Recorded) -> None:
    """Bytes come back unchanged, a claimed identity does not; judged as read back, a case breaks the same rules."""
    offer = offers.by_place[case.place]
    if offer.csr is None:
        assert case.outcome != "permitted" or case.csr["spec"].keys() & {"expirationSeconds", "usages"}
        return
    assert base64.b64decode(offer.csr["spec"]["request"]) == case.request
    requester = requester_of(case)
    account = f"{requester.namespace}:{requester.service_account}"
    assert offer.csr["spec"]["username"] == f"system:serviceaccount:{account}"
    judgement = _judged_as_read_back(offer)
    wanted = {code for code in case.codes if not code.startswith(_REAL_FACTS)}
    got = {code for code in codes(judgement) if not code.startswith(_REAL_FACTS)}
    assert got == wanted, judgement
    if case.outcome != "refused" and case.ignored != "gone":
        assert outcome(judgement) == case.outcome, judgement
    if isinstance(judgement, Permit):
        _assert_right(judgement, offer)


def _judged_as_read_back(offer: Offer) -> Judgement:
    """Judges the API server's own objects, at the case's time and with the case's claims in each status."""
    assert offer.csr is not None
    assert offer.pod is not None
    case = offer.case
    metadata = {**offer.csr["metadata"], "creationTimestamp": case.csr["metadata"]["creationTimestamp"]}
    csr = {**offer.csr, "metadata": metadata, "status": case.csr["status"]}
    pod: Json = {**offer.pod, "status": (case.pod or {}).get("status")}
    if (case.pod or {}).get("spec", {}).get("hostNetwork"):
        pod["spec"] = {**pod["spec"], "hostNetwork": True}
    return judge(csr=csr, pod=pod, node=case.node, signer=signer_of(case.signer), now=case.now)


def _assert_right(permit: Permit, offer: Offer) -> None:
    """Whoever asked, whatever it asked for: the certificate is for the key of the request and the pod's component."""
    asked = _asked(offer.case)
    domain = offer.case.signer["cluster_domain"]
    allowed = {*asked.names, *(name.replace(DOMAIN, domain) for name in asked.domain_names)}
    issued = _certificate(content(permit, offer.case))
    requested = x509.load_pem_x509_csr(offer.case.request)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert _spki(issued) == _spki(requested)
    assert issued.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, asked.common_name)])
    assert set(asked.names) <= set(names.get_values_for_type(x509.DNSName)) <= allowed
    assert len(list(names)) == len(permit.dns_names) + len(permit.ip_addresses)
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    if offer.case.outcome == "permitted":
        recorded_facts = {key: value for key, value in offer.case.certificate.items() if key != "tbs_sha256"}
        assert facts(permit) == recorded_facts


def _asked(case: Recorded) -> Asked:
    """What the requester's component may ask for, by a table that was not made from the profiles."""
    requester, profile = requester_of(case), case.signer["profile"]
    account = f"{requester.namespace}/{requester.service_account}"
    known = rows(profile["name"], profile["release"])
    name = case.csr["metadata"]["name"]
    (found,) = [row for row in known if row.account == account and f"{row.prefix}:{requester.pod}" == name]
    return found


def _certificate(tbs: bytes) -> x509.Certificate:
    algorithm = der.sequence(der.object_identifier(ECDSA_WITH_SHA256))
    return x509.load_der_x509_certificate(der.sequence(tbs, algorithm, der.bit_string(authority().sign(tbs))))


def _spki(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
