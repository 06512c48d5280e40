"""Both API servers, each asked once for the whole corpus."""

import pytest

from sandbox.api import Api
from sandbox.kubernetes import KubernetesServer
from tests.corpus.offered import Offers, offer_all
from tests.corpus.recorded import recorded
from tests.sandbox.control_plane.require import real_control_plane


@pytest.fixture(scope="session", params=["double", pytest.param("real", marks=pytest.mark.real)])
def offers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Offers:
    """What one of the API servers says to every case."""
    directory = tmp_path_factory.mktemp("corpus")
    if request.param == "double":
        with KubernetesServer(directory) as double, Api.from_kubeconfig(double.kubeconfig) as api:
            return offer_all(api, recorded(), version="")
    with real_control_plane(directory) as real, Api.from_kubeconfig(real.kubeconfig) as api:
        return offer_all(api, recorded(), version=real.version)
