"""Both API servers: the double, and a real kube-apiserver with etcd."""

from collections.abc import Iterator

import pytest

from sandbox.api import Api
from sandbox.kubernetes import KubernetesServer
from tests.contract.kubernetes.support import Pod, Target, make_pod
from tests.sandbox.control_plane.require import real_control_plane

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# The double lets everyone do everything; the real one must be told that pods may ask for certificates.
_ROLE = {
    "metadata": {"name": "contract-requester"},
    "rules": [{"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["create"]}],
}
_BINDING = {
    "metadata": {"name": "contract-requester"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "contract-requester"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}],
}


@pytest.fixture(scope="session", params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Each of the two; one start for all tests, which therefore use names of their own."""
    directory = tmp_path_factory.mktemp("kubernetes")
    if request.param == "embedded":
        with KubernetesServer(directory, bookmark_seconds=0.1) as double, Api.from_kubeconfig(double.kubeconfig) as api:
            yield Target(control_plane=double, api=api, forget_history=double.compact)
    else:
        real = real_control_plane(directory)
        with real, Api.from_kubeconfig(real.kubeconfig) as api:
            api.post(f"{_RBAC}/clusterroles", _ROLE)
            api.post(f"{_RBAC}/clusterrolebindings", _BINDING)
            # Its memory of changes is in the process; what is older is not served to watches.
            yield Target(control_plane=real, api=api, forget_history=real.restart_api_server)


@pytest.fixture
def pod(target: Target) -> Pod:
    """A pod on a node, with its own namespace and service account."""
    return make_pod(target.api)
