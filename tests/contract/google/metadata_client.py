"""What google-auth sees of a metadata server, as JSON: it reads the server's address when it is imported."""

import json
import sys

import google.auth
import requests
from google.auth import compute_engine
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
from google.oauth2 import id_token

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"


def main(audience: str) -> None:
    """Print what there is to see."""
    with requests.Session() as session:
        transport = Request(session)
        default, project = google.auth.default(scopes=[CLOUD_PLATFORM, EMAIL], request=transport)
        assert isinstance(default, compute_engine.Credentials)
        default.refresh(transport)
        plain = compute_engine.Credentials()
        plain.refresh(transport)
        token = compute_engine.IDTokenCredentials(transport, audience, use_metadata_identity_endpoint=True)
        token.refresh(transport)
        seen = {
            "on_gce": _metadata.is_on_gce(transport),
            "project": project,
            "kind": type(default).__name__,
            "email": default.service_account_email,
            "token": default.token,
            "valid": default.valid,
            "plain_token": plain.token,
            "id_token": token.token,
            "fetched_id_token": id_token.fetch_id_token(transport, audience),
            "universe": default.universe_domain,
        }
    print(json.dumps(seen))  # noqa: T201  # what the test reads


if __name__ == "__main__":
    main(sys.argv[1])
