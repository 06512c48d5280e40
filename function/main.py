"""Entry point of the deployed function: wiring only.

It imports the heavy modules, so that a broken deployment fails before it serves. The first request loads the
configuration.
"""

import os

import functions_framework
from werkzeug.wrappers import Request, Response

from csr_signer.audit import Audit
from csr_signer.service import Service

SERVICE = Service(Audit(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "")))


@functions_framework.http
def handle(request: Request) -> Response:
    """Answers one HTTP request."""
    return SERVICE.respond(request)
