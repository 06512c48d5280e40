"""Google's JSON error format (AIP-193)."""

from sandbox.google.web import Response


def api_error(code: int, status: str, message: str, *details: dict[str, object]) -> Response:
    """Returns the error response of a Google API."""
    error: dict[str, object] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return Response.json(code, {"error": error})
