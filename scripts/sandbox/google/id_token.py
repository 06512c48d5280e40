"""A metadata server that returns a token of the cluster's service account as the ID token.

The API server accepts this token. So the function authenticates as in a cluster that trusts Google's tokens
(`authentication.google_id_token`), without a kubeconfig and without the kubernetes package.
"""

import json

from sandbox.google.web import Request, Response, WebServer

AUDIENCE = "https://csr-signer.example.com"
_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/"


class IdTokenServer(WebServer):
    """Answers each request with the same token; Google's metadata server caches its tokens too.

    Args:
        token: A token that stays valid while tests use the server.
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
