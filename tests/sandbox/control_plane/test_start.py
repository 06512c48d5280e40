"""The way in: one function for either kind of control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox import control_plane
from sandbox.api import Api

if TYPE_CHECKING:
    from pathlib import Path


def test_embedded_is_the_double(tmp_path: Path) -> None:
    """The embedded kind answers as an API server does, without any program being found or built."""
    with (
        control_plane.start("embedded", tmp_path) as started,
        Api.from_kubeconfig(started.kubeconfig) as api,
        Api.from_kubeconfig(started.kubeconfig_for("someone", ("team-a",))) as someone,
    ):
        assert api.server == started.server
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        review = someone.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        assert review["status"]["userInfo"]["username"] == "someone"
        assert started.certificate_authority.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")


def test_embedded_has_no_versions(tmp_path: Path) -> None:
    """A Kubernetes version for the double is refused: nothing in it depends on one."""
    with pytest.raises(ValueError, match=r"has no versions, got 'v1\.36\.3'"):
        control_plane.start("embedded", tmp_path, kubernetes="v1.36.3")
