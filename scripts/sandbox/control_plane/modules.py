"""Go modules for building Kubernetes' programs: the pinned module, or one for another version.

A committed go.sum pins only the default version. For another version, this module writes a go.mod from Kubernetes'
own, and `go mod tidy` writes a go.sum, which only Go's checksum database verifies.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from sandbox.control_plane.errors import NotAvailableError

HERE = Path(__file__).resolve().parent
KUBERNETES = HERE / "kubernetes"
ETCD = HERE / "etcd"
PACKAGES = tuple(
    f"k8s.io/kubernetes/cmd/{program}" for program in ("kube-apiserver", "kube-controller-manager", "kubectl")
)
DOWNLOAD_SECONDS = 600
# A workspace file above the checkout must not replace the pinned modules.
GO_ENVIRONMENT = {"GOWORK": "off"}


def pinned_version() -> str:
    """Returns the Kubernetes version of the committed go.mod, like `v1.37.2`."""
    return _required_version((KUBERNETES / "go.mod").read_text())


def checked_version(version: str) -> str:
    """Validates a Kubernetes version.

    Raises:
        ValueError: It is not of the form `v1.N.P`; it becomes part of a path and of a go.mod.
    """
    if re.fullmatch(r"v1\.[0-9]{1,3}\.[0-9]{1,3}", version, re.ASCII) is None:
        raise ValueError(f"a Kubernetes version looks like v1.36.3, got {version!r}")
    return version


def go_mod(version: str, upstream: str) -> str:
    """Returns the go.mod of a module that can build Kubernetes' commands.

    `go install k8s.io/kubernetes/cmd/...@version` refuses, because upstream's go.mod replaces its staging
    modules by folders of its own repository. Each of them is also published under v0 with the same minor and
    patch number, so this go.mod replaces them by these versions.

    Args:
        version: `v1.N.P`.
        upstream: Text of the go.mod of k8s.io/kubernetes at that version.
    """
    staging_version = "v0." + version.removeprefix("v1.")
    staging = re.findall(r"^\s*(?:replace )?(k8s\.io/[\w.-]+) => \./staging/", upstream, re.MULTILINE)
    lines = ["module controlplane", ""]
    # Upstream's tested defaults, instead of the defaults of the building toolchain.
    lines += [*re.findall(r"^go [0-9.]+$", upstream, re.MULTILINE), ""]
    lines += [*re.findall(r"^godebug default=[\w.]+$", upstream, re.MULTILINE), ""]
    lines += [f"require k8s.io/kubernetes {version}", ""]
    lines += ["replace (", *(f"\t{name} => {name} {staging_version}" for name in staging), ")", ""]
    lines += ["tool (", *(f"\t{package}" for package in PACKAGES), ")", ""]
    return "\n".join(lines)


def write_module(version: str, folder: Path) -> None:
    """Writes go.mod and go.sum for another version than the pinned one; Go fetches the modules.

    Raises:
        NotAvailableError: The version does not exist, or cannot be fetched.
    """
    # Runs in the folder, so that the download does not depend on a surrounding module.
    answer = _go(["mod", "download", "-json", f"k8s.io/kubernetes@{version}"], folder)
    (folder / "go.mod").write_text(go_mod(version, Path(json.loads(answer)["GoMod"]).read_text()))
    _go(["mod", "tidy"], folder)


def _required_version(text: str) -> str:
    match = re.search(r"^\s*(?:require )?k8s\.io/kubernetes (v\S+)", text, re.MULTILINE)
    if match is None:
        raise ValueError("go.mod requires no k8s.io/kubernetes")
    return match[1]


def _go(arguments: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            ["go", *arguments],
            cwd=folder,
            env={**os.environ, **GO_ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAvailableError(f"go {' '.join(arguments)} did not run: {error}") from error
    if done.returncode != 0:
        # With -json, Go writes its error into the document on stdout.
        document = json.loads(done.stdout) if done.stdout.startswith("{") else {}
        said = str(document.get("Error", done.stderr)).strip()[-1000:]
        raise NotAvailableError(f"go {' '.join(arguments)} ended with {done.returncode}: {said}")
    return done.stdout
