"""Entry point of the deployed function: wiring only.

Heavy modules are imported here, so that a deployment that cannot work fails before it serves; the configuration is
loaded at the first request.
"""

import gc

gc.disable()  # nothing of what is imported below is garbage: to look for some takes a tenth of the start

import os  # noqa: E402

import functions_framework.aio  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import Response  # noqa: E402

from csr_signer.audit import Audit  # noqa: E402
from csr_signer.service import Service  # noqa: E402

SERVICE = Service(Audit(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "")))

gc.freeze()  # later collections skip the modules, and processes that are forked share their memory
gc.enable()


@functions_framework.aio.http
async def handle(request: Request) -> Response:
    """Answers one HTTP request."""
    return await SERVICE.respond(request)
