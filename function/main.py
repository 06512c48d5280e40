"""Entry point of the deployed function: wiring only.

Heavy modules are imported here, before the first request; the configuration is loaded at the first request.
"""

import functools
import os

import functions_framework
from werkzeug.wrappers import Request, Response

from csr_signer.audit import Audit
from csr_signer.service import Service, respond

AUDIT = Audit(project=os.environ.get("GOOGLE_CLOUD_PROJECT", ""))


@functools.cache
def _service() -> Service:
    return Service.load(AUDIT)


@functions_framework.http
def handle(request: Request) -> Response:
    """Answers one HTTP request."""
    return respond(request, service=_service, audit=AUDIT)
