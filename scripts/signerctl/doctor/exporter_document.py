"""The exporter's configuration document, as far as doctor follows the exporter's way to the function.

The exporter itself checks the whole document when it starts; function and exporter share no code.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from urllib3.util import parse_url

from csr_signer import field_error
from signerctl.cluster.exporter_configuration import FUNCTION_URI
from signerctl.interface.program import CommandError

FEDERATION: Final = "workload_identity_federation"
METADATA_SERVER: Final = "metadata_server"
_LOOPBACK: Final = ("127.0.0.1", "[::1]", "localhost")
_STS: Final = "https://sts.googleapis.com"
_IAM_CREDENTIALS: Final = "https://iamcredentials.googleapis.com"
URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~%/-]*)?")
"""The URLs that doctor prints and calls: no username, no query, nothing that a shell would interpret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """How the exporter gets its ID token outside the pod network.

    Attributes:
        token_file: The exporter's projected token.
        sts_audience: The workload identity provider.
        service_account: The email of the exporter's Google service account.
        sts_url, iam_credentials_url: Google's services, or their doubles.
    """

    token_file: str
    sts_audience: str
    service_account: str
    sts_url: str
    iam_credentials_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterDocument:
    """The document.

    Attributes:
        source: The source of its events.
        signer_names: The signerNames that it watches.
        url: Where it sends its events.
        audience: The audience of its ID token.
        identity: The kind of its identity.
        federation: With `workload_identity_federation`: the rest of its identity.
    """

    source: str
    signer_names: tuple[str, ...]
    url: str
    audience: str
    identity: str
    federation: Federation | None

    def foreign_urls(self) -> Iterator[str]:
        """Yields a field error for each URL to which doctor must not send a token, if the document is a ConfigMap.

        An administrator of the exporter's namespace can write it. Any Google customer can get a host under run.app, so
        the token's audience must equal the URL: a service that steals the token cannot use it elsewhere. A URL on this
        machine could be another user's server, or a proxy with the operator's rights.
        """
        if self.url != f"{self.audience}/":
            yield field_error.invalid("function.url", self.url, 'must be function.audience followed by "/"')
        must = "doctor sends a token to this URL, so it must be Google's"
        if not FUNCTION_URI.fullmatch(self.audience):
            yield field_error.invalid("function.audience", self.audience, f"{must}: {FUNCTION_URI.pattern}")
        if self.federation is not None:
            for field, url, google in (
                ("unsafe_sts_url", self.federation.sts_url, _STS),
                ("unsafe_iam_credentials_url", self.federation.iam_credentials_url, _IAM_CREDENTIALS),
            ):
                if url != google:
                    yield field_error.invalid(f"identity.{field}", url, must)


def parse(text: str | bytes, *, where: str) -> ExporterDocument:
    """Parses the document.

    Args:
        text: JSON.
        where: The document's place, for messages.

    Raises:
        CommandError: It is not the exporter's document.
    """
    try:
        content = json.loads(text)
        function, identity = content["function"], content["identity"]
        kind = _text(identity["kind"])
        found = ExporterDocument(
            source=_text(content["source"]),
            signer_names=tuple(_text(signer["signer_name"]) for signer in content["signers"]),
            url=_safe(function["url"]),
            audience=_text(function["audience"]),
            identity=kind,
            federation=_federation(identity) if kind == FEDERATION else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        must = f"must be the exporter's configuration.json: {type(error).__name__}: {error}"
        raise CommandError(field_error.malformed(where, must)) from error
    return found


def _federation(identity: Mapping[str, Any]) -> Federation:
    return Federation(
        token_file=_text(identity["token_file"]),
        sts_audience=_text(identity["sts_audience"]),
        service_account=_text(identity["service_account"]),
        sts_url=_safe(identity.get("unsafe_sts_url", _STS)),
        iam_credentials_url=_safe(identity.get("unsafe_iam_credentials_url", _IAM_CREDENTIALS)),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a field must be a non-empty string")
    return value


def _safe(value: object) -> str:
    """Refuses a URL that would carry a token over the network in the clear."""
    text = _text(value)
    url = parse_url(text)  # as urllib3 reads it when it sends a request; other parsers read some URLs differently
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.host in _LOOPBACK)
    if not URL.fullmatch(text) or not url.host or not is_safe:
        raise ValueError("a URL must be https (http on this machine), without username, query or special characters")
    return text
