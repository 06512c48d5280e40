"""CONTRIBUTING.md: its worked examples work as they stand."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from csr_signer import violation
from csr_signer.policy import decision, rules
from csr_signer.policy.decision import Permit
from csr_signer.policy.profile import SHIPPED, load
from csr_signer.violation import Rule
from tests.paths import ROOT
from tests.unit.function import builders
from tests.unit.function.builders import Case, codes, judge

DOCUMENT: Final = ROOT / "CONTRIBUTING.md"


def blocks(language: str) -> list[str]:
    """The document's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_a_component_is_one_row(tmp_path: Path) -> None:
    """The row, added to the shipped profile, permits its own request from its release on, and no other changes."""
    (row,) = blocks("yaml")
    (tmp_path / "own.yaml").write_text(f"{(SHIPPED / 'calico.yaml').read_text(encoding='utf-8')}\n{row}")
    story: dict[str, Any] = {
        "request": {
            "common_name": "calico-relay",
            "dns_names": ("calico-relay.calico-system.svc", "calico-relay.calico-system.svc.cluster.local"),
        },
        "csr": {"name": "relay-certs:calico-relay-0", "service_account": "calico-relay", "pod": "calico-relay-0"},
        "pod": {"name": "calico-relay-0", "service_account": "calico-relay"},
    }
    new, old = (load("own.yaml", release=release, folder=tmp_path) for release in ("3.33", "3.32"))
    permit = judge(**story, signer={"profile": new})
    assert isinstance(permit, Permit), permit
    assert permit.component == "calico-relay"
    assert codes(judge(**story, signer={"profile": old})) == {"requester.service_account"}
    assert judge(signer={"profile": new}) == judge()


def test_a_rule_is_a_function_a_code_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function, in its table, refuses the row with its code; the honest request is permitted as before."""
    function, code, row = blocks("python")
    namespace: dict[str, Any] = dict(vars(rules))
    exec(function, namespace)  # noqa: S102 - the document's own text
    (name, allowed) = re.findall(r'"([^"]+)"', code)
    known = {**violation.CODES, name: Rule(reason="NameNotAllowed", allowed=allowed)}
    monkeypatch.setattr(violation, "CODES", known)
    monkeypatch.setattr(violation, "_PRECEDENCE", {each: index for index, each in enumerate(known)})
    monkeypatch.setattr(builders, "CODES", known)
    honest = judge()
    assert isinstance(judge(request={"addresses": (builders.ADDRESS, "10.132.0.8")}), Permit)
    monkeypatch.setattr(decision, "COMPONENT_RULES", (*rules.COMPONENT_RULES, namespace["one_address"]))
    (case,) = eval(f"[{row}]", dict(vars(builders)))  # noqa: S307 - the document's own text
    assert isinstance(case, Case)
    assert codes(case.judge()) == case.breaks == {name}
    assert judge() == honest
