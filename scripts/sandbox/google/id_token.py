"""A metadata server whose ID token the API server accepts: that of a service account of the cluster.

So the function proves itself as in a cluster that trusts Google's tokens (`authentication.google_id_token`), which
needs no kubeconfig and not the package that reads one.
"""

import json

from sandbox.google.web import Request, Response, WebServer

AUDIENCE = "https://csr-signer.example.com"
_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/"


class IdTokenServer(WebServer):
    """Gives the same token to each request, as Google's caches do.

    Args:
        token: A token that has not expired while the server is used.
    """

    def __init__(self, token: str) -> None:
        super().__init__(self._give)
        self._token = token

    def _give(self, request: Request) -> Response:
        headers = (("Metadata-Flavor", "Google"),)
        if request.path == f"{_ACCOUNT}identity":
            kind = ("Content-Type", "text/html")
            return Response(status=200, body=self._token.encode(), headers=(*headers, kind))
        if request.path == _ACCOUNT:
            account = {"aliases": ["default"], "email": "csr-signer@example.com", "scopes": []}
            kind = ("Content-Type", "application/json")
            return Response(status=200, body=json.dumps(account).encode(), headers=(*headers, kind))
        return Response(status=404, headers=headers)
