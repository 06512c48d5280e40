"""The table of components: facts of the operator, release by release."""

import pytest

from sandbox.calico.components import components, service_names, version


def _rows(release: str) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {
        f"{row.namespace}/{row.service_account}": (row.secret, row.common_name, row.dns_names)
        for row in components(release)
    }


def test_current_rows() -> None:
    """Since 3.31 three accounts of calico-system ask, each for one certificate with its own names."""
    assert _rows("3.31") == {
        "calico-system/calico-node": ("node-certs", "typha-client", ("typha-client",)),
        "calico-system/calico-typha": ("typha-certs", "typha-server", ("typha-server",)),
        "calico-system/calico-apiserver": (
            "calico-apiserver-certs",
            "calico-api",
            (
                "calico-api",
                "calico-api.calico-system",
                "calico-api.calico-system.svc",
                "calico-api.calico-system.svc.cluster.local",
            ),
        ),
    }


@pytest.mark.parametrize("release", ["3.27", "3.30.2"])
def test_api_server_had_a_namespace_of_its_own(release: str) -> None:
    """Until 3.30 Calico's API server lived in calico-apiserver, which is in its names too."""
    secret, common_name, names = _rows(release)["calico-apiserver/calico-apiserver"]
    assert (secret, common_name) == ("calico-apiserver-certs", "calico-api")
    assert names == service_names("calico-api", "calico-apiserver", "cluster.local")


def test_cluster_domain() -> None:
    """The fourth name of a Service ends in the cluster's own domain."""
    api_server = components("3.31", "example.net")[2]
    assert api_server.dns_names[3] == "calico-api.calico-system.svc.example.net"


@pytest.mark.parametrize(
    ("release", "name"),
    [("3.27", "calico-system:calico-node-abcde"), ("3.28", "node-certs:calico-node-abcde")],
)
def test_request_name(release: str, name: str) -> None:
    """CSRs are named for the namespace until 3.27 and for the key pair since 3.28."""
    assert components(release)[0].request_name("calico-node-abcde") == name


@pytest.mark.parametrize(("text", "numbers"), [("3.31", (3, 31)), ("v3.9.1", (3, 9)), ("3.28.0", (3, 28))])
def test_version(text: str, numbers: tuple[int, int]) -> None:
    """Releases compare by their numbers, not by their letters."""
    assert version(text) == numbers


def test_version_of_something_else() -> None:
    """What is no release is refused by name."""
    with pytest.raises(ValueError, match="got '3'"):
        version("3")
