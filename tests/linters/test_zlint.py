"""zlint has nothing to say of our certificates but what is waived."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.linters.certificates import Linted
from tests.linters.waivers import ZLINT_LEAF, ZLINT_ROOT


def findings(zlint: Path, folder: Path, linted: Iterable[Linted]) -> Mapping[str, list[str]]:
    """Every lint that has something to say, with the certificates that it is about."""
    names = {}
    for number, each in enumerate(linted):
        names[f"{number}.der"] = each.name
        (folder / f"{number}.der").write_bytes(each.encoded)
    done = subprocess.run([zlint, folder], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        finding = json.loads(line)
        found[finding["lint"]].append(f"{names[finding['file']]}: {finding['details']}")
    return found


def assert_only(found: Mapping[str, list[str]], waived: Mapping[str, str]) -> None:
    """Every finding is waived, and every waiver is needed."""
    assert {lint: about[:3] for lint, about in found.items() if lint not in waived} == {}
    assert set(waived) - set(found) == set(), "waivers that nothing needs any more"


def test_leaves(zlint: Path, tmp_path: Path, every_leaf: list[Linted]) -> None:
    """Every issuer algorithm, every kind of key, with and without addresses."""
    assert_only(findings(zlint, tmp_path, every_leaf), ZLINT_LEAF)


def test_roots(zlint: Path, tmp_path: Path, every_root: list[Linted]) -> None:
    """A root on a key version of every algorithm, made by `signerctl ca create`."""
    assert_only(findings(zlint, tmp_path, every_root), ZLINT_ROOT)


def test_a_fault_would_be_found(zlint: Path, tmp_path: Path, every_leaf: list[Linted]) -> None:
    """The linter reads the bytes: a key usage that is not critical any more is a finding that nothing waives."""
    critical, not_critical = bytes.fromhex("0603551d0f0101ff"), bytes.fromhex("0603551d0f010100")
    spoilt = every_leaf[0].encoded.replace(critical, not_critical)
    assert spoilt != every_leaf[0].encoded
    found = findings(zlint, tmp_path, [Linted(name="spoilt", encoded=spoilt)])
    assert set(found) - set(ZLINT_LEAF)
