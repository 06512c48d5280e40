"""The API server of one cluster, with the operator's credentials: JSON objects by path.

The kubernetes package reads the kubeconfig, runs its credential plugins and sends the requests. CSRs, pods and Events
are read with a mask: their writers could make them megabytes large, or nest managedFields deeper than Python parses. A
list is parsed while it arrives, so that memory holds one object of it at a time.
"""

import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import urllib3
import yaml

from csr_signer import field_error
from csr_signer.objects import json_fields
from csr_signer.objects.json_fields import Mask
from csr_signer.violation import LONGEST_SENTENCE, quote
from signerctl.interface.program import CommandError
from signerctl.interface.text import one_line

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from kubernetes.client.rest import RESTResponse

Json = Mapping[str, Any]
Query = Mapping[str, str | int]

Timeout = float | tuple[float, float]
"""Seconds until an answer begins; or seconds to connect, and seconds between two reads."""

_TIMEOUT: Final = (5.0, 30.0)
_PAGE: Final = 50
"""Objects in a page of a list. At etcd's limit of 1.5 MB, an object has 9 MB in JSON if each character is escaped."""
_PIECE: Final = 2 << 20
"""Bytes of a page that are read at once. Smaller pieces cost more time: see `Parser.feed`."""
_OK: Final = 200
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of the API server.

    Attributes:
        status: The HTTP status.
        content: The body.
        date: The API server's clock, and this machine's when the answer came; None without the header Date.
    """

    status: int
    content: bytes
    date: tuple[datetime, datetime] | None = None

    @property
    def body(self) -> Json:
        """The JSON object; a Status if the request failed; empty if the body is no object."""
        try:
            found = json.loads(self.content.decode(errors="replace"))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def select(self, mask: Mask) -> Json | None:
        """Returns the mask's fields of the JSON object; None if the body is no object."""
        try:
            found = json_fields.select(self.content, mask)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < 300  # noqa: PLR2004 - HTTP

    @property
    def reason(self) -> str:
        """The Status' reason, such as `Forbidden`; empty without one."""
        return "" if self.ok else str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        """The Status' message, for people."""
        return quote(str(self.body.get("message", "no Kubernetes Status")), most=LONGEST_SENTENCE)


class ApiServerError(CommandError):
    """The API server did not answer, or refused the request.

    Attributes:
        answer: The answer; None if there was none, or none that can be read.
        is_silent: Whether there was no answer.
    """

    def __init__(self, message: str, answer: Answer | None = None, *, is_silent: bool = False) -> None:
        super().__init__(message)
        self.answer = answer
        self.is_silent = is_silent

    @property
    def is_forbidden(self) -> bool:
        """Whether the operator lacks a right."""
        return self.answer is not None and self.answer.status == _FORBIDDEN


class ApiServer:
    """One cluster's API server.

    Args:
        client: Sends the requests.
        page: How many objects a page of a list has.
        timeout: How long it waits for an answer.
    """

    def __init__(self, client: "ApiClient", *, page: int = _PAGE, timeout: Timeout = _TIMEOUT) -> None:
        self.server = client.configuration.host
        self._client = client
        self._page = page
        self._timeout = timeout

    def request(self, method: str, path: str, body: Json | None = None, *, query: Query | None = None) -> Answer:
        """Sends a request, and returns the answer, also if the API server refuses the request.

        Raises:
            ApiServerError: There was no answer.
        """
        with self._faults():
            response = self._send(method, path, body, query or {})
            return _answer(response, response.read())

    def read(self, path: str) -> bytes | None:
        """Returns an object as the API server wrote it; None if there is none.

        Raises:
            ApiServerError: There was no answer, or another fault.
        """
        answer = self.request("GET", path)
        return None if answer.status == _NOT_FOUND else self._expect("GET", path, answer).content

    def get(self, path: str, mask: Mask = None) -> Json | None:
        """Returns an object; None if there is none.

        Args:
            path: Its path.
            mask: The fields to read; None for all, if only administrators can write the object.

        Raises:
            ApiServerError: There was no answer, or another fault.
        """
        answer = self.request("GET", path)
        if answer.status == _NOT_FOUND:
            return None
        return self._object("GET", path, answer, mask)

    def create(self, path: str, body: Json, **query: str) -> Json:
        """Creates an object, and returns it.

        Raises:
            ApiServerError: The object was not created.
        """
        return self._object("POST", path, self.request("POST", path, body, query=query))

    def replace(self, path: str, body: Json) -> Json:
        """Replaces an object, and returns it.

        Raises:
            ApiServerError: The object was not replaced; status 409 if its resourceVersion is an old one.
        """
        return self._object("PUT", path, self.request("PUT", path, body))

    def delete(self, path: str) -> None:
        """Deletes an object, if there is one.

        Raises:
            ApiServerError: The object was not deleted.
        """
        answer = self.request("DELETE", path)
        if answer.status != _NOT_FOUND:
            self._expect("DELETE", path, answer)

    def with_token(self, token: str) -> "ApiServer":
        """Returns the same API server with another user's token in place of the own credentials."""
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415 - as in connect

        own, settings = self._client.configuration, Configuration()
        settings.host, settings.ssl_ca_cert, settings.retries = own.host, own.ssl_ca_cert, False
        settings.verify_ssl, settings.tls_server_name, settings.proxy = own.verify_ssl, own.tls_server_name, own.proxy
        settings.api_key = {"authorization": f"Bearer {token}"}
        return ApiServer(ApiClient(settings), page=self._page, timeout=self._timeout)

    def list(self, path: str, mask: Mask, **query: str) -> Iterator[Json]:
        """Lists the objects of a resource, page by page.

        Args:
            path: The resource's path.
            mask: The fields to read of each object.
            query: Selectors.

        Raises:
            ApiServerError: A page could not be read, or the list has no end.
        """
        tokens = [""]
        while True:
            more = {"continue": tokens[-1]} if tokens[-1] else {}
            following = yield from self._list_page(path, mask, {**query, "limit": self._page, **more})
            if not following:
                return
            if following in tokens:  # a crafted object name in the token can make paging loop
                raise ApiServerError(f"API server: GET {path}: the list has no end")
            tokens.append(following)

    def _list_page(self, path: str, mask: Mask, query: Query) -> Generator[Json, None, str]:
        """Yields the objects of a page while it arrives; returns the token of the next page, empty after the last."""
        parser = json_fields.Parser({"metadata": {"continue": None}, "items": [mask]})
        with self._faults():
            response = self._send("GET", path, None, query)
            if response.status != _OK:
                raise _refused("GET", path, _answer(response, response.read()))
            try:
                while piece := response.response.read(_PIECE):
                    parser.feed(piece)
                    yield from _taken(parser.kept, leave=1)
                page = parser.close()
            except ValueError:
                page = None
            finally:
                response.response.close()
        if not page or not isinstance(page, dict) or not isinstance(page.get("items") or [], list):
            raise self._not_json("GET", path)
        yield from _taken(parser.kept)
        return (page.get("metadata") or {}).get("continue") or ""

    def _send(self, method: str, path: str, body: Json | None, query: Query) -> "RESTResponse":
        prepared = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        return self._client.call_api(*prepared, _request_timeout=self._timeout)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raises an ApiServerError if there is no answer, or if it ends too early."""
        from kubernetes.client import ApiException  # noqa: PLC0415 - as in connect

        try:
            yield
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:  # ApiException: a fault of TLS
            cause = one_line(
                str(error).rpartition(": ")[2] if isinstance(error, urllib3.exceptions.HTTPError) else str(error)
            )
            message = f"API server {self.server}: no answer: {cause}"
            raise ApiServerError(message, is_silent=True) from error

    def _object(self, method: str, path: str, answer: Answer, mask: Mask = None) -> Json:
        answer = self._expect(method, path, answer)
        found = (answer.body or None) if mask is None else answer.select(mask)
        if found is None:
            raise self._not_json(method, path)
        return found

    def _not_json(self, method: str, path: str) -> ApiServerError:
        return ApiServerError(f"API server {self.server}: {method} {path}: the answer is not JSON")

    def _expect(self, method: str, path: str, answer: Answer) -> Answer:
        if not answer.ok:
            raise _refused(method, path, answer)
        return answer


def _answer(response: "RESTResponse", content: bytes) -> Answer:
    return Answer(status=response.status, content=content, date=server_time(response.headers.get("Date", "")))


def _refused(method: str, path: str, answer: Answer) -> ApiServerError:
    return ApiServerError(f"API server: {method} {path}: {answer.status}: {answer.message}", answer)


def _taken(kept: list[Any], *, leave: int = 0) -> Iterator[Json]:
    """Takes the objects out of a page, but leaves the last ones."""
    items = kept[0].get("items") if kept and isinstance(kept[0], dict) else None
    while isinstance(items, list) and len(items) > leave:
        yield items.pop(0)


def server_time(text: str) -> tuple[datetime, datetime] | None:
    """Returns the header Date and this machine's time; None if the header is not a date with a time zone."""
    try:
        theirs = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return None if theirs.tzinfo is None else (theirs, datetime.now(UTC))


def connect(
    kubeconfig: Path | None = None, context: str | None = None, *, page: int = _PAGE, timeout: Timeout = _TIMEOUT
) -> ApiServer:
    """Returns the API server of a kubeconfig; without a kubeconfig, of KUBECONFIG, of the pod, or of ~/.kube/config.

    A pod's service account has no contexts, so with a context there must be a kubeconfig.

    Raises:
        CommandError: There is no such kubeconfig or context, or it is wrong.
    """
    # These imports take half a second, which commands that need no cluster should not take.
    from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415
    from kubernetes.config import ConfigException, kube_config, load_incluster_config, load_kube_config  # noqa: PLC0415

    settings = Configuration()
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
    settings.retries = False  # a retry would hide a fault from `doctor`, and could repeat an eviction
    path = None
    try:
        if in_pod and kubeconfig is None and context is None:
            load_incluster_config(client_configuration=settings)
        else:
            path = kube_config.KUBE_CONFIG_DEFAULT_LOCATION if kubeconfig is None else str(kubeconfig)
            load_kube_config(config_file=path, context=context, client_configuration=settings)
    except (ConfigException, OSError, yaml.YAMLError) as error:
        raise CommandError(_kubeconfig_violation(path, context, f": {one_line(str(error))}")) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # it is YAML of another kind
        raise CommandError(_kubeconfig_violation(path, context, "")) from error
    return ApiServer(ApiClient(settings), page=page, timeout=timeout)


def _kubeconfig_violation(path: str | None, context: str | None, reason: str) -> str:
    if path is None:
        return field_error.required("--kubeconfig", f"the pod's service account cannot be used{reason}")
    known = _contexts(path)
    if context is not None and known and context not in known:
        return field_error.unsupported("--context", [context], known)
    return field_error.invalid("--kubeconfig", path, f"must be a kubeconfig{reason}")


def _contexts(path: str) -> list[str]:
    """Returns the names of a kubeconfig's contexts; none if it is not a kubeconfig."""
    from kubernetes.config import ConfigException  # noqa: PLC0415 - as in connect
    from kubernetes.config.kube_config import KubeConfigMerger  # noqa: PLC0415

    try:
        return [each["name"] for each in KubeConfigMerger(path).config["contexts"].value]
    except (ConfigException, OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return []


def cluster_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--kubeconfig` and `--context`, which `connect` takes."""
    command = click.option("--context", help="The kubeconfig's context. Default: its current context.")(command)
    return click.option(
        "--kubeconfig",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Default: the environment variable KUBECONFIG, then the pod's service account, then ~/.kube/config.",
    )(command)
