"""The exporter's configuration document, exactly as our root module renders it (infra/configuration.tf).

A writer of Terraform's state could name other URLs, files and addresses in it. So only the few values that differ
between clusters are read from it, each by its grammar. The document is made here from these values, and must be the
given one.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from csr_signer import field_error
from csr_signer.violation import quote
from signerctl.interface.program import CommandError

HEALTH_PORT: Final = 9876
"""As in infra/configuration.tf."""
_STAGES: Final = {True: ["pending", "approved"], False: ["approved"]}
"""The stages of a signer's CSRs, by whether the function approves."""
# Google gives each service of Cloud Run such a host. An attacker can have one too: it would get the events, and ID
# tokens that are valid only there.
FUNCTION_URI: Final = re.compile(r"https://[a-z0-9-]+(?:\.[a-z0-9-]+){1,2}\.run\.app")
_SOURCE: Final = re.compile(r"[!-~]{1,512}")
_POOL: Final = re.compile(r"(.+)\.svc\.id\.goog")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterConfiguration:
    """What differs between the documents of clusters.

    Attributes:
        source: The source of the events.
        signers: Each signerName, and whether the function approves.
        function: The URI of the function's Cloud Run service.
        sts_audience: The provider that exchanges the exporter's token; None on the pod network.
        service_account: The email address of the exporter's Google service account.
    """

    source: str
    signers: tuple[tuple[str, bool], ...]
    function: str
    sts_audience: str | None
    service_account: str

    def document(self, *, replicas: int = 2) -> Mapping[str, Any]:
        """Returns the document; the default number of replicas is Terraform's."""
        identity = {
            "kind": "workload_identity_federation",
            "service_account": self.service_account,
            "sts_audience": self.sts_audience,
            "token_file": "/var/run/secrets/csr-exporter/token",
        }
        on_pod_network = self.sts_audience is None
        return {
            "function": {"audience": self.function, "url": f"{self.function}/"},
            "health": {"address": "0.0.0.0" if on_pod_network else "127.0.0.1", "port": HEALTH_PORT},  # noqa: S104 - the pod's
            "identity": {"kind": "metadata_server"} if on_pod_network else identity,
            "replicas": {"count": replicas, "delay_seconds": 15},
            "signers": [{"signer_name": name, "stages": _STAGES[approves]} for name, approves in self.signers],
            "source": self.source,
        }


def parse(where: str, text: object, *, token_audience: str | None, service_account: str) -> ExporterConfiguration:
    """Parses a document.

    Args:
        where: The document's place, for messages.
        text: JSON.
        token_audience: The audience of the exporter's token; None on the pod network.
        service_account: The email address of the exporter's Google service account.

    Raises:
        CommandError: Our root module never renders the document for these values.
    """
    try:
        given: Any = json.loads(text) if isinstance(text, str) else None
        found = ExporterConfiguration(
            source=_text(given["source"], _SOURCE),
            signers=tuple((_text(each["signer_name"], _SOURCE), _approves(each)) for each in given["signers"]),
            function=_text(given["function"]["audience"], FUNCTION_URI),
            sts_audience=token_audience and _text(given["identity"]["sts_audience"], _providers(token_audience)),
            service_account=service_account,
        )
        for difference in _differences(given, found.document()):
            raise CommandError(f"{where}: {difference}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        must = f"must be the exporter's configuration as JSON: {type(error).__name__}: {error}"
        raise CommandError(field_error.malformed(where, must)) from error
    return found


def _providers(token_audience: str) -> re.Pattern[str]:
    """Returns the audiences at STS for a token: on GKE, a cluster of the token's pool; otherwise, the token's own."""
    on_gke = _POOL.fullmatch(token_audience)
    if on_gke is None:
        return re.compile(re.escape(token_audience))
    clusters = f"https://container.googleapis.com/v1/projects/{on_gke[1]}/locations/"
    return re.compile(rf"{re.escape(f'identitynamespace:{token_audience}:{clusters}')}[a-z0-9-]+/clusters/[a-z0-9-]+")


def _differences(given: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    """Yields a field error for each key and value that our root module does not render."""
    for key in sorted({*given, *ours}):
        value, rendered = given.get(key), ours.get(key)
        if key not in ours:
            yield field_error.forbidden(key, "our root module never renders this key")
        elif isinstance(value, dict) and isinstance(rendered, dict):
            yield from (f"{key}.{each}" for each in _differences(value, rendered))
        elif value != rendered:
            yield field_error.invalid(key, json.dumps(value), f"must be {json.dumps(rendered)}")


def _approves(signer: Mapping[str, Any]) -> bool:
    return bool(signer["stages"] == _STAGES[True])


def _text(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{quote(value)} must match {pattern.pattern}")
    return value
