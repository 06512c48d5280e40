"""An API client that outlives a control plane's restart: what a pod achieves that starts its init container again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from sandbox.api import Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 120.0
_PAUSE = 0.2
_NOT_FOUND, _TOO_MANY, _OWN_FAULT = 404, 429, 500


class PatientApi(Api):
    """Repeats whatever got no answer, or one that says that it is too early; everything else is as it is."""

    def with_token(self, token: str) -> PatientApi:
        """The same for the bearer of a token."""
        return PatientApi(
            server=self.server, pool=self._anonymous_pool, anonymous_pool=self._anonymous_pool, token=token
        )

    def delete(self, path: str, body: Mapping[str, Any] | None = None, **query: str | int | bool) -> dict[str, Any]:
        """Delete an object; the answer is empty where it is gone, perhaps by an attempt whose answer was lost."""
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
                # A token that the API server cannot check yet is 401.
                if error.status not in {401, 403, _TOO_MANY} and error.status < _OWN_FAULT:
                    raise
                failure: Exception = error
            except HTTPError as error:
                failure = error
            if time.monotonic() > end:
                raise failure
            time.sleep(_PAUSE)
