"""/metrics for scrapers on other machines, on an address of its own, with TLS and client certificates if wanted."""

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from csr_exporter.configuration import MetricsEndpoint, Tls
from csr_exporter.document import quoted
from csr_exporter.log import Log
from csr_exporter.pages import Page, PageServer


class MetricsServer(PageServer):
    """Reads its TLS files for each connection, because they rotate.

    A missing or wrong file ends only scrapes: it is logged now, and again whenever the fault changes. The exporter runs
    without it, because the program that issues these files may itself wait for the exporter's certificates.
    """

    def __init__(self, endpoint: MetricsEndpoint, page: Page, log: Log) -> None:
        """Tries to bind the address."""
        self._log = log
        self._tls_fault = ""
        tls = None if endpoint.tls is None else self._watched(endpoint.tls)
        super().__init__("metrics", endpoint.address, endpoint.port, {"/metrics": page}, log=log, tls=tls)
        if tls is not None:
            with contextlib.suppress(OSError):
                tls()

    def _watched(self, files: Tls) -> Callable[[], ssl.SSLContext]:
        def context() -> ssl.SSLContext:
            try:
                made = tls_context(files)
            except OSError as error:
                if str(error) != self._tls_fault:
                    self._tls_fault = str(error)
                    self._log.error("the metrics cannot be scraped", error=error)
                raise
            self._tls_fault = ""
            return made

        return context


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
