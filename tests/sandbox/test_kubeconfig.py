"""Kubeconfig documents, written and read."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import kubeconfig
from sandbox.pki import KeyPair

PAIR = KeyPair(certificate_pem=b"certificate", key_pem=b"key")


def _document(user: dict[str, Any], **cluster: str) -> str:
    """A document that names one cluster and one user."""
    return json.dumps(
        {
            "current-context": "x",
            "contexts": [{"name": "other", "context": {}}, {"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://h", **cluster}}],
            "users": [{"name": "u", "user": user}],
        }
    )


def test_a_rendered_kubeconfig_can_be_read(tmp_path: Path) -> None:
    """A rendered document has everything that a connection needs."""
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig.render(server="https://h:1", certificate_authority_pem=b"ca", user="u", key_pair=PAIR))
    assert kubeconfig.read(path) == kubeconfig.Connection(
        server="https://h:1", certificate_authority_pem=b"ca", key_pair=PAIR, token=None
    )


def test_files_are_relative_to_the_document(tmp_path: Path) -> None:
    """CA and token may be files beside it, as in a pod."""
    (tmp_path / "ca.pem").write_bytes(b"ca")
    (tmp_path / "token").write_text("secret\n")
    path = tmp_path / "kubeconfig"
    path.write_text(_document({"tokenFile": "token"}, **{"certificate-authority": "ca.pem"}))
    found = kubeconfig.read(path)
    assert (found.certificate_authority_pem, found.token, found.key_pair) == (b"ca", "secret", None)


@pytest.mark.parametrize("user", [{}, {"exec": {"command": "x"}}, {"username": "u", "password": "p"}], ids=str)
def test_a_user_of_another_kind_is_refused(tmp_path: Path, user: dict[str, Any]) -> None:
    """Plug-ins and passwords are not read; the error says what is needed."""
    path = tmp_path / "kubeconfig"
    path.write_text(_document(user))
    with pytest.raises(ValueError, match="must name its user by a client certificate or a token, not by "):
        kubeconfig.read(path)


UNUSABLE = {
    "": "must be a kubeconfig",
    "[]": "must be a kubeconfig",
    "a: [": "must be a kubeconfig: while parsing a flow node expected the node content, but found '<stream end>'",
    "{}": "must have a usable context: it lacks 'contexts'",
    "contexts: text\nclusters: []\nusers: []": "must have a usable context",
    "current-context: x\ncontexts: []\nclusters: []\nusers: []": "must have a usable context: it lacks 'x'",
    _document({"token": "t"}, **{"certificate-authority": "/absent"}): "names /absent: No such file or directory",
}


@pytest.mark.parametrize(("text", "must"), UNUSABLE.items())
def test_an_unusable_document_is_refused(tmp_path: Path, text: str, must: str) -> None:
    """Whatever is wrong, the error names the option, the file, and what is wrong."""
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f'--kubeconfig: Invalid value: "{path}": {must}')):
        kubeconfig.read(path)


def test_an_unknown_context_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """The error names the other option."""
    path = tmp_path / "kubeconfig"
    path.write_text(_document({"token": "t"}))
    with pytest.raises(ValueError, match=r'^--context: Unsupported value: "nope": supported values: "other", "x"$'):
        kubeconfig.choose(path, "nope")


def test_a_redirected_document_differs_in_its_server(tmp_path: Path) -> None:
    """Behind a proxy everything but the server stays, and only the owner may read it."""
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig.render(server="https://h:1", certificate_authority_pem=b"ca", user="u", key_pair=PAIR))
    target = kubeconfig.redirect(path, "https://h:2", tmp_path / "redirected")
    assert kubeconfig.read(target) == replace(kubeconfig.read(path), server="https://h:2")
    assert target.stat().st_mode & 0o777 == 0o600
