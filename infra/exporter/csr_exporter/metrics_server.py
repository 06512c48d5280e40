"""/metrics for scrapers on other machines, on an address of its own, with TLS and client certificates if wanted."""

import contextlib
import socketserver
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from csr_exporter.configuration import MetricsEndpoint, Tls
from csr_exporter.document import quoted
from csr_exporter.log import Log
from csr_exporter.pages import Page, PageServer

# Prometheus gives up after ten seconds, and may be far away.
SCRAPE_SECONDS = 2.0
THREADS = 8
# A hostile client, which needs no certificate to connect, leaves threads for the others.
MOST_PER_CLIENT = 2


class MetricsServer(socketserver.ThreadingMixIn, PageServer):
    """Serves a few connections at once, at most two of one client; reads its TLS files for each, because they rotate.

    A missing or wrong file ends only scrapes: it is logged now, and again whenever the fault changes. The exporter runs
    without it, because the program that issues these files may itself wait for the exporter's certificates.
    """

    request_queue_size = 128  # a full one would drop honest clients before they are known

    def __init__(self, endpoint: MetricsEndpoint, page: Page, log: Log) -> None:
        """Binds the address.

        Raises:
            OSError: the address is in use, or not this machine's.
        """
        self._log = log
        self._fault = ""
        self._pool = ThreadPoolExecutor(THREADS, "metrics")
        self._free = threading.Semaphore(THREADS)
        self._changing = threading.Lock()
        self._open: Counter[str] = Counter()
        tls = None if endpoint.tls is None else self._watched(endpoint.tls)
        super().__init__(endpoint.address, endpoint.port, {"/metrics": page}, seconds=SCRAPE_SECONDS, tls=tls)
        if tls is not None:
            with contextlib.suppress(OSError):
                tls()

    def stop(self) -> None:
        """Stops to serve, and ends the threads."""
        super().stop()
        self._pool.shutdown()

    def verify_request(self, _request: object, client_address: object) -> bool:
        """Returns whether the client has less than its share of connections."""
        with self._changing:
            return self._open[_host(client_address)] < MOST_PER_CLIENT

    def process_request(self, request: Any, client_address: object) -> None:  # noqa: ANN401 - the base class's type
        """Gives the connection to a thread; waits for one, so that connections are served in their order."""
        with self._changing:
            self._open[_host(client_address)] += 1
        self._free.acquire()
        self._pool.submit(self.process_request_thread, request, client_address).add_done_callback(
            lambda _: self._free.release()
        )

    def finish_request(self, request: object, client_address: object) -> None:
        """Answers one client; its share counts open connections only."""
        try:
            super().finish_request(request, client_address)
        finally:
            with self._changing:
                self._open -= Counter([_host(client_address)])  # which also drops clients without connections

    def _watched(self, files: Tls) -> Callable[[], ssl.SSLContext]:
        def context() -> ssl.SSLContext:
            try:
                made = tls_context(files)
            except OSError as error:
                if str(error) != self._fault:
                    self._fault = str(error)
                    self._log.error("the metrics cannot be scraped", error=error)
                raise
            self._fault = ""
            return made

        return context


def _host(client_address: object) -> str:
    return str(cast("tuple[object, ...]", client_address)[0])


def tls_context(files: Tls) -> ssl.SSLContext:
    """Reads the files of a TLS server.

    Raises:
        OSError: a file cannot be read, or is not what its field says; the text is a field error.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _naming("key", files.key, "must be a readable file"):
        pass
    with _naming("certificate", files.certificate, "must have a chain in PEM, with the key of metrics.tls.key"):
        # Without a password, Python would ask for one on the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    if files.client_ca is not None:
        with _naming("client_ca", files.client_ca, "must have CA certificates in PEM"):
            context.load_verify_locations(files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextlib.contextmanager
def _naming(field: str, path: Path, must: str) -> Iterator[None]:
    """Turns errors into field errors: those of `ssl` name no file."""
    try:
        path.read_bytes()
        yield
    except OSError as error:
        raise OSError(f"metrics.tls.{field}: Invalid value: {quoted(str(path))}: {must}: {error}") from error
