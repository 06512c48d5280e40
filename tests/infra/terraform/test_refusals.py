"""Terraform refuses bad input at plan, with a message that says what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.infra.terraform.plans import lines

if TYPE_CHECKING:
    from development.terraform.environment import Workspace

RUN = re.compile(r'^run "(\w+)" \{\n  # says: ([^\n]*)\n(.*?)^\}\n', re.MULTILINE | re.DOTALL)
# refused.tftest.hcl tests that Terraform refuses all of them. Each message costs a run of Terraform, so this test reads
# only the messages of likely or dangerous mistakes.
READ = (
    "ca_administrator_for_more_than_a_day",
    "ca_certificate_that_expires_soon",
    "key_version_of_another_project",
    "namespaces_that_anyone_could_create",
    "one_ca_in_two_clusters",
    "private_endpoint_at_another_address",
    "private_endpoint_of_a_cluster_with_a_client_certificate",
    "private_endpoint_that_is_public",
    "private_key_beside_the_ca_certificate",
    "raw_key_without_signature_hash",
    "signer_name_without_a_slash",
)


def test_messages_say_what_to_do(workspace: Workspace) -> None:
    """Without expect_failures, each run of refused.tftest.hcl fails with the message in its comment."""
    tests = workspace.tree / "infra" / "tests"
    text = (tests / "refused.tftest.hcl").read_text(encoding="utf-8")
    head = text[: text.index("\nrun ")]
    rows = {name: (says, body) for name, says, body in RUN.findall(text)}
    assert len(rows) == text.count("\nrun ")
    # One file per run: after a failure, Terraform skips the rest of a file.
    for name in READ:
        without = re.sub(r"  expect_failures = .*\n", "", rows[name][1])
        (tests / f"said_{name}.tftest.hcl").write_text(f'{head}\nrun "{name}" {{\n{without}}}\n', encoding="utf-8")
    said: dict[str, list[str]] = {}
    for line in lines(workspace, "infra", *(f"tests/said_{name}.tftest.hcl" for name in READ)):
        if line["type"] == "diagnostic":
            said.setdefault(line.get("@testrun", ""), []).append(" ".join(line["diagnostic"]["detail"].split()))
    assert sorted(said) == sorted(READ)
    for name, messages in said.items():
        assert len(messages) == 1, messages
        assert rows[name][0] in messages[0]
