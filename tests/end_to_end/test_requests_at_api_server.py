"""Every row at a real API server: which CSRs it finds invalid, and the judgement on those that it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer.policy.decision import Permit
from sandbox.api import Api
from sandbox.control_plane.modules import pinned_version
from tests.sandbox.control_plane.require import real_control_plane
from tests.unit.function.builders import Case, codes, judge_objects, outcome
from tests.unit.function.policy.component_tables import CALICO, DOMAIN, ENTERPRISE
from tests.unit.function.requests.catalogue import CASES
from tests.unit.function.requests.certified import assert_certified
from tests.unit.function.requests.filing import Filed, file_all

_REAL: Final = ("requester.", "pod.")
"""Codes about the requester and its pod: an API server records these facts itself, whatever a row claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """What an API server of a version made of every row's CSR, by sentence."""

    version: str
    filed: Mapping[str, Filed]


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> ApiServer:
    """A real one, asked once for all rows."""
    directory = tmp_path_factory.mktemp("requests")
    with real_control_plane(directory) as real, Api.from_kubeconfig(real.kubeconfig) as api:
        return ApiServer(version=real.version, filed=file_all(api, CASES))


@pytest.mark.real
def test_the_api_server_finds_invalid_what_the_rows_say(api_server: ApiServer) -> None:
    """A change of Kubernetes shows here, with the fields of each CSR that are invalid."""
    if api_server.version != pinned_version():
        pytest.skip(f"NOT COMPARED: the rows say what {pinned_version()} finds invalid, not {api_server.version}")
    said = {row.sentence: row.invalid for row in CASES}
    found = {sentence: filed.invalid for sentence, filed in api_server.filed.items()}
    assert {sentence: invalid for sentence, invalid in found.items() if invalid != said[sentence]} == {}
    assert found.keys() == said.keys()


@pytest.mark.real
@pytest.mark.parametrize("row", [row for row in CASES if not row.invalid], ids=str)
def test_the_stored_request_breaks_the_rules_of_its_row(api_server: ApiServer, row: Case) -> None:
    """The API server stores the request unchanged, but not a claimed identity; the stored CSR breaks the same rules."""
    kept, story = api_server.filed[row.sentence], row.objects()
    if kept.csr is None or kept.pod is None:
        assert api_server.version != pinned_version()
        pytest.skip(f"NOT TESTED: {api_server.version} finds {kept.invalid} invalid")
    assert kept.csr["spec"]["request"] == story["csr"]["spec"]["request"]
    requester = kept.requester
    account = f"{requester.namespace}:{requester.service_account}"
    assert kept.csr["spec"]["username"] == f"system:serviceaccount:{account}"
    judgement = judge_objects(**_as_kept(story, kept.csr, kept.pod))
    assert _of_request(codes(judgement)) == _of_request(row.breaks), judgement
    if row.outcome not in {"refused", "gone"}:
        assert outcome(judgement) == row.outcome, judgement
    if row.outcome == "permitted":
        assert isinstance(judgement, Permit)
        assert_certified(judgement, row)
    elif isinstance(judgement, Permit):
        assert _is_asked_for(judgement, row.text, kept)


def test_honest_requests_are_invalid_for_known_reasons_only() -> None:
    """A pod can file what the function permits, but for wishes that no API server of today admits."""
    reasons = {row.invalid for row in CASES if row.outcome == "permitted"}
    assert reasons == {"", "spec.expirationSeconds", "spec.usages[5]"}


def _of_request(codes: frozenset[str]) -> set[str]:
    return {code for code in codes if not code.startswith(_REAL)}


def _as_kept(story: dict[str, Any], csr: dict[str, Any], pod: dict[str, Any]) -> dict[str, Any]:
    """The API server's own objects, at the row's time and with the row's claims in each status."""
    claimed = story["pod"] or {}
    created = story["csr"]["metadata"]["creationTimestamp"]
    host_network = {"hostNetwork": True} if claimed.get("spec", {}).get("hostNetwork") else {}
    return story | {
        "csr": csr | {"metadata": csr["metadata"] | {"creationTimestamp": created}, "status": story["csr"]["status"]},
        "pod": pod | {"status": claimed.get("status"), "spec": pod["spec"] | host_network},
    }


def _is_asked_for(permit: Permit, request: bytes, kept: Filed) -> bool:
    """Whether the certificate is for the key of the request, and for the names of the pod's component."""
    assert kept.csr is not None
    account = f"{kept.requester.namespace}/{kept.requester.service_account}"
    name = kept.csr["metadata"]["name"]
    rows = [
        row for row in (*CALICO, *ENTERPRISE) if (row.account, f"{row.prefix}:{kept.requester.pod}") == (account, name)
    ]
    key = x509.load_pem_x509_csr(request).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    names = {name.replace("cluster.local", DOMAIN) for name in permit.dns_names}
    return permit.public_key.subject_public_key_info == key and any(
        permit.common_name == row.common_name and set(row.names) <= names <= {*row.names, *row.optional_names}
        for row in rows
    )
