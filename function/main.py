"""Entry point of the deployed function: wiring only.

It imports the heavy modules, so that a broken deployment fails before it serves. The first request loads the
configuration.
"""

import os

from csr_signer.start import lean_imports

with lean_imports():
    import functions_framework.aio
    from starlette.requests import Request
    from starlette.responses import Response

    from csr_signer.audit import Audit
    from csr_signer.service import Service

SERVICE = Service(Audit(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "")))


@functions_framework.aio.http
async def handle(request: Request) -> Response:
    """Answers one HTTP request."""
    return await SERVICE.respond(request)
