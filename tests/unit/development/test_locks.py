"""The hashed locks: fresh, without addresses, agreeing with each other, and minimal where they are deployed."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from csr_signer import VERSION
from development import lock as locks
from development.lock import DEVELOPMENT, LOCKS, ROOT, Lock, header, is_fresh, main

PINNED = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z0-9,._-]+\])?==([^ ;\\]+)", re.MULTILINE)
PRODUCTION = [lock for lock in LOCKS if lock.target == locks.PRODUCTION]


def pins(lock: Lock) -> dict[str, str]:
    """Package and version of every line of a lock."""
    return dict(PINNED.findall((ROOT / lock.path).read_text(encoding="utf-8")))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.path)
def test_a_lock_names_hashes_and_no_address(lock: Lock) -> None:
    """Every pin has hashes, nothing says where from, and the lock was made from today's ranges."""
    text = (ROOT / lock.path).read_text(encoding="utf-8")
    assert is_fresh(lock)
    assert "://" not in text
    assert "index-url" not in text
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins(lock)) > 0


@pytest.mark.parametrize("lock", PRODUCTION, ids=lambda lock: lock.path)
def test_production_locks_have_the_tested_versions(lock: Lock) -> None:
    """Production versions equal those of the development lock."""
    tested = pins(next(lock for lock in LOCKS if lock.path == DEVELOPMENT))
    assert {name: tested.get(name) for name in pins(lock)} == pins(lock)


@pytest.mark.parametrize("lock", [each for each in PRODUCTION if each.part != "signerctl"], ids=lambda lock: lock.path)
def test_production_locks_have_no_development_packages(lock: Lock) -> None:
    """No package that only developers or signerctl require is in a production lock but signerctl's own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    dev = [entry for entry in groups["dev"] if isinstance(entry, str)]
    signerctl = set(project["project"]["dependencies"]) - set(groups["function"])
    developers = {re.split(r"[<>=]", requirement)[0] for requirement in [*dev, *signerctl]}
    brought_by_the_framework = {"click", "h11", "jinja2"}
    assert not (developers & set(pins(lock))) - brought_by_the_framework


def test_signerctl_has_the_functions_ranges() -> None:
    """If signerctl and the function require the same package, they require the same range: they share code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel, function = set(project["project"]["dependencies"]), set(project["dependency-groups"]["function"])
    names = [re.split(r"[<>=]", requirement)[0] for requirement in wheel | function]
    assert len(names) == len(set(names))
    assert "cryptography" in names


@pytest.mark.parametrize("lock", PRODUCTION, ids=lambda lock: lock.path)
def test_a_bill_of_materials_names_each_package_of_its_lock(lock: Lock) -> None:
    """The bill has the lock's packages with their versions, and the version of the part."""
    bill = json.loads((ROOT / "sbom" / f"{lock.part}.cdx.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == VERSION
    assert {each["name"]: each["version"] for each in bill["components"]} == pins(lock)
    references = [each["bom-ref"] for each in bill["components"]]
    assert references == [f"pkg:pypi/{name}@{version}" for name, version in pins(lock).items()]


def test_a_changed_lock_makes_a_bill_of_materials_stale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`scripts/lock --check` fails and names the bill of materials whose lock has another version."""
    for name in [
        "pyproject.toml",
        *(lock.path for lock in LOCKS),
        "sbom/csr-signer.cdx.json",
        "sbom/csr-exporter.cdx.json",
        "sbom/signerctl.cdx.json",
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr("development.lock.ROOT", tmp_path)
    assert main(["--check"]) == 0
    exporter = tmp_path / "infra/exporter/requirements.txt"
    exporter.write_text(re.sub(r"(?m)^urllib3==\S+", "urllib3==2.99.0", exporter.read_text(encoding="utf-8")), "utf-8")
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "sbom/csr-exporter.cdx.json is stale: run scripts/lock\n"


def test_the_exporter_ships_three_packages() -> None:
    """What the exporter imports bounds its memory: ijson, prometheus-client, urllib3 and the standard library."""
    (lock,) = [lock for lock in LOCKS if lock.path == "infra/exporter/requirements.txt"]
    assert list(pins(lock)) == ["ijson", "prometheus-client", "urllib3"]


def test_a_changed_range_makes_a_lock_stale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`scripts/lock --check` fails and names the lock when pyproject.toml says something else."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(text.replace('"urllib3>=2.8,<3"', '"urllib3>=2.9,<3"'), encoding="utf-8")
    for lock in LOCKS:
        (tmp_path / lock.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / lock.path).write_bytes((ROOT / lock.path).read_bytes())
    before = header(LOCKS[2])
    monkeypatch.setattr("development.lock.ROOT", tmp_path)
    assert header(LOCKS[2]) != before
    assert main(["--check"]) == 1
