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


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The double; one start for all tests, which therefore use names of their own."""
    directory = tmp_path_factory.mktemp("kubernetes")
    with KubernetesServer(directory, bookmark_seconds=0.1) as double, Api.from_kubeconfig(double.kubeconfig) as api:
        yield Target(control_plane=double, api=api, forget_history=double.compact)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The real one; started once as well."""
    started = real_control_plane(tmp_path_factory.mktemp("kubernetes"))
    with started, Api.from_kubeconfig(started.kubeconfig) as api:
        api.post(f"{_RBAC}/clusterroles", _ROLE)
        api.post(f"{_RBAC}/clusterrolebindings", _BINDING)
        # Its memory of changes is in the process; what is older is not served to watches.
        yield Target(control_plane=started, api=api, forget_history=started.restart_api_server)


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def target(request: pytest.FixtureRequest) -> Target:
    """Each of the two, or the real one alone for a test that is `real_only`."""
    found: Target = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def pod(target: Target) -> Pod:
    """A pod on a node, with its own namespace and service account."""
    return make_pod(target.api)
