"""Bad input is stopped at plan, by a message that says what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.infra.terraform.plans import lines

if TYPE_CHECKING:
    from development.terraform.environment import Workspace

RUN = re.compile(r'^run "(\w+)" \{\n  # says: ([^\n]*)\n(.*?)^\}\n', re.MULTILINE | re.DOTALL)
# That all of them are refused is tested by refused.tftest.hcl itself. A message costs a run of Terraform, so only those
# of mistakes that are likely, or dangerous, are read.
READ = (
    "ca_administrator_for_more_than_a_day",
    "ca_certificate_that_has_ended",
    "everybody_as_invoker",
    "key_version_of_another_project",
    "namespaces_that_anyone_could_create",
    "one_ca_in_two_clusters",
    "private_endpoint_at_another_address",
    "private_endpoint_that_is_public",
    "private_key_beside_the_ca_certificate",
    "raw_key_without_signature_hash",
    "signer_name_without_a_slash",
)


def test_messages_say_what_to_do(workspace: Workspace) -> None:
    """A run of refused.tftest.hcl that no longer expects its failure fails, with the message of its comment."""
    tests = workspace.tree / "infra" / "tests"
    text = (tests / "refused.tftest.hcl").read_text(encoding="utf-8")
    head = text[: text.index("\nrun ")]
    rows = {name: (says, body) for name, says, body in RUN.findall(text)}
    assert len(rows) == text.count("\nrun ")
    # A file for each: after a failure the rest of a file is left out.
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
