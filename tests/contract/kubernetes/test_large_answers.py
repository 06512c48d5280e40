"""What makes an answer deep or large: metadata.managedFields, which any client may nest, and escapes."""

import pytest

from sandbox.api import CSRS, csr_path
from sandbox.managed_fields import DEEPEST, nested
from tests.contract.kubernetes.support import APPROVED, Target, csr, make_pod, real_only, refusal, unique

OPENS = '{"f:a":'


@real_only
@pytest.mark.parametrize("depth", [500, 1500, 9993, DEEPEST])
def test_they_may_be_nested_very_deeply(target: Target, depth: int) -> None:
    """They are read back, in lists and watches too, and the object is updated as any other."""
    document = csr(signerName=f"deep.example.com/{unique()}")
    selector = f"spec.signerName={document['spec']['signerName']}"
    made = target.api.post(CSRS, nested(document, depth))
    name = made["metadata"]["name"]
    approved = target.update({**document, "metadata": {"name": name}}, "approval", conditions=[APPROVED])
    assert approved["metadata"]["uid"] == made["metadata"]["uid"]
    assert target.api.get_text(csr_path(name)).count(OPENS) == depth
    assert target.api.get_text(CSRS, fieldSelector=selector).count(OPENS) == depth
    with target.api.watch(CSRS, fieldSelector=selector, timeoutSeconds=60) as events:
        event = next(events)
    assert (event["type"], event["object"]["metadata"]["uid"]) == ("ADDED", made["metadata"]["uid"])


@real_only
def test_deeper_is_no_json(target: Target) -> None:
    """10,000 levels of a document are read, whatever they are."""
    refused = refusal(lambda: target.api.post(CSRS, nested(csr(), DEEPEST + 1)))
    assert (refused.status, refused.reason) == (400, "BadRequest")


@real_only
def test_what_html_knows_takes_six_bytes_in_keys_too(target: Target) -> None:
    """A requester chooses these keys."""
    made = target.api.post(CSRS, nested(csr(), 2, 'f:<>&"'))
    assert r'"f:\u003c\u003e\u0026\""' in target.api.get_text(csr_path(made["metadata"]["name"]))


def test_what_html_knows_takes_six_bytes(target: Target) -> None:
    """An answer may be six times what is stored, which is up to 1.5 MiB."""
    pod, text = make_pod(target.api), '<>&"\\\u2028é'
    shown = r"\u003c\u003e\u0026\"\\\u2028é"
    target.api.patch(f"{pod.path}/status", {"status": {"message": text}})
    assert f'"message":"{shown}"' in target.api.get_text(pod.path)
    target.api.patch(f"{pod.path}/status", {"status": {"message": "<" * 1_450_000}})
    assert len(target.api.get_text(pod.path)) > 6 * 1_450_000
