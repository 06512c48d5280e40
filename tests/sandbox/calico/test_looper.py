"""The pod that never stops asking."""

import pytest

from sandbox.api import CSRS, Api, ApiError
from sandbox.calico.fleet import Fleet
from sandbox.calico.looper import Looper
from tests.patience import PATIENCE


def test_it_files_one_request_after_the_other(fleet: Fleet, api: Api) -> None:
    """Each is another CSR, and none is left when it is stopped."""
    with Looper(fleet.apis[0], fleet.request(0)) as looper:
        assert looper.wait(5, PATIENCE)
    assert len(set(looper.uids)) == len(looper.uids) >= 5
    assert looper.seconds > 0
    assert not [csr for csr in api.get(CSRS)["items"] if csr["metadata"]["uid"] in looper.uids]


def test_an_error_ends_the_loop_and_reaches_its_waiters(fleet: Fleet) -> None:
    """If the API server refuses a request, the loop ends, and waiting callers get the error."""
    looper = Looper(fleet.apis[0], {**fleet.request(0), "metadata": {"name": ".."}}).start()
    assert looper.wait(1, PATIENCE)
    with pytest.raises(ApiError, match="422"):
        looper.stop()
    assert looper.uids == []
