"""go.mod files that kube-apiserver and kubectl are built from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sandbox.control_plane import modules

if TYPE_CHECKING:
    from pathlib import Path

UPSTREAM = """\
// This is a generated file. Do not edit directly.

module k8s.io/kubernetes

go 1.25.0

godebug default=go1.25

require (
	github.com/kylelemons/godebug v1.1.0 // indirect
	k8s.io/api v0.0.0
	k8s.io/klog/v2 v2.130.1
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kms => ./staging/src/k8s.io/kms
)
"""


def test_go_mod_of_another_version() -> None:
    """Staging modules are replaced by their published versions; Go's version and defaults are upstream's."""
    assert modules.go_mod("v1.36.3", UPSTREAM) == (
        "module controlplane\n\n"
        "go 1.25.0\n\n"
        "godebug default=go1.25\n\n"
        "require k8s.io/kubernetes v1.36.3\n\n"
        "replace (\n"
        "\tk8s.io/api => k8s.io/api v0.36.3\n"
        "\tk8s.io/kms => k8s.io/kms v0.36.3\n"
        ")\n\n"
        "tool (\n"
        "\tk8s.io/kubernetes/cmd/kube-apiserver\n"
        "\tk8s.io/kubernetes/cmd/kube-controller-manager\n"
        "\tk8s.io/kubernetes/cmd/kubectl\n"
        ")\n"
    )


def test_pinned_module_is_of_one_release() -> None:
    """The committed go.mod names one Kubernetes release, and every staging module at that release."""
    text = (modules.KUBERNETES / "go.mod").read_text()
    staging = re.findall(r"^\t(k8s\.io/\S+) => (\S+) (\S+)$", text, re.MULTILINE)
    assert len(staging) > 20
    assert {(name, version) for _, name, version in staging} == {
        (name, "v0." + modules.pinned_version().removeprefix("v1.")) for name, _, _ in staging
    }


@pytest.mark.parametrize("folder", [modules.KUBERNETES, modules.ETCD])
def test_pinned_modules_have_checksums(folder: Path) -> None:
    """Each module that a committed go.mod requires, and none replaces, has its hash in go.sum."""
    text = (folder / "go.mod").read_text()
    replaced = set(re.findall(r"^\t(\S+) => ", text, re.MULTILINE))
    required = set(re.findall(r"^(?:\t|require )(\S+ v\S+)", text, re.MULTILINE))
    sums = {line.rsplit(" ", 1)[0] for line in (folder / "go.sum").read_text().splitlines()}
    missing = {each for each in required if each.split()[0] not in replaced and f"{each}/go.mod" not in sums}
    assert required
    assert not missing


@pytest.mark.parametrize("version", ["1.36.3", "v1.36", "v1.36.3-rc.0", "v2.0.0", "v1.36.3/..", "v1.36.3\n", ""])
def test_a_malformed_version_is_refused(version: str) -> None:
    """Only v1.N.P is valid, because the version becomes part of a path, of a go.mod and of a command line."""
    with pytest.raises(ValueError, match=r"looks like v1\.36\.3, got "):
        modules.checked_version(version)
