"""The operator upgrades Calico from 3.27 to 3.33: other names of CSRs, and another namespace of the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox import guards
from sandbox.api import NAMESPACES
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.key_pairs import WORKLOADS
from tests.end_to_end.conftest import eventually
from tests.key_pairs.cluster import RELEASE
from tests.rollouts.conftest import NODES, calico

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rollouts.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

OLD = "3.27"
OLD_NAMESPACE = "calico-apiserver"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Calico 3.27, complete."""
    with calico(tmp_path_factory.mktemp("upgrade"), release=OLD) as present:
        present.parts.add_nodes(NODES)
        present.wait_until_complete()
        yield present


def test_an_upgrade_refuses_only_a_pod_of_the_old_release_that_starts_meanwhile(old: Cluster) -> None:
    """docs/upgrade.md: the function and the guards get the new release first, then the operator.

    The upgrade replaces the pod that was refused.
    """
    before = old.csrs()
    assert {csr["metadata"]["name"].partition(":")[0] for csr in before.values()} == {CALICO_SYSTEM, OLD_NAMESPACE}
    old.set_release(RELEASE)
    present = old.uids()
    old.delete(old.pods("calico-node")[:1])
    eventually(lambda: bool(old.uids() - present))
    (late,) = old.uids() - present
    # The guards refuse the old name a moment after they are applied; until then, the function does.
    refused = old.parts.volumes.errors
    eventually(lambda: guards.CREATE in str(refused.get(late)) or old.reason(late) == "NameNotAllowed")
    old.parts.operator.release = RELEASE
    eventually(lambda: bool(old.pods("goldmane")))
    old.wait_until_complete(but=WORKLOADS)
    csrs = old.csrs()
    names = {csr["metadata"]["name"].partition(":")[0] for uid, csr in csrs.items() if uid not in {*before, late}}
    assert names == {"node-certs", "typha-certs", "calico-apiserver-certs"}
    eventually(lambda: not old.api.get(f"{NAMESPACES}/{OLD_NAMESPACE}/pods")["items"])
    done = old.provide_key_pairs()
    assert done.exit_code == 0, done.stderr
    old.wait_until_complete()
    assert old.faults() == []
    # The API server learns the new guards a moment later, and meanwhile refuses a new name, which is tried again.
    others = {uid: error for uid, error in refused.items() if uid != late and guards.CREATE not in str(error)}
    assert others == {}, "a client failed and was restarted"
    assert late not in old.uids()
    assert all("certificate" in csr["status"] for uid, csr in old.csrs().items() if uid != late)
    assert "every signature is accounted for" in old.reconcile().output
