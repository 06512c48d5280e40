"""An API client that survives a control plane's restart, like a pod whose init container restarts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from sandbox import process
from sandbox.api import Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 120.0
_PAUSE = 0.2
_NOT_FOUND, _TOO_MANY, _OWN_FAULT = 404, 429, 500


class PatientApi(Api):
    """Repeats a request that gets no answer, or an answer of a server that is not ready yet."""

    def with_token(self, token: str) -> PatientApi:
        """Returns a patient client that uses a token."""
        return PatientApi(
            server=self.server, pool=self._anonymous_pool, anonymous_pool=self._anonymous_pool, token=token
        )

    def delete(self, path: str, body: Mapping[str, Any] | None = None, **query: str | int | bool) -> dict[str, Any]:
        """Deletes an object; the answer is empty if it is gone, perhaps by an attempt whose answer was lost."""
        try:
            return super().delete(path, body, **query)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return {}

    def _request(self, method: str, path: str, **request: Any) -> bytes:  # noqa: ANN401 - the base class's arguments
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return super()._request(method, path, **request)
            except ApiError as error:
                # The API server answers 401 while it cannot check a token yet.
                if error.status not in {401, 403, _TOO_MANY} and error.status < _OWN_FAULT:
                    raise
                failure: Exception = error
            except HTTPError as error:
                failure = error
            if time.monotonic() > end or process.is_ending():
                raise failure
            time.sleep(_PAUSE)
