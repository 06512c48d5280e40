"""What one process serves: the configuration's clusters and keys behind the pipeline, and every request answered."""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from werkzeug.wrappers import Request, Response

from csr_signer import cloud_event, configuration, kms
from csr_signer.audit import Audit, AuditRecord, fault
from csr_signer.cloud_event import RequestReference
from csr_signer.cluster import KubernetesCluster
from csr_signer.configuration import Configuration
from csr_signer.credentials import api_client
from csr_signer.errors import ConfigurationError, SignerError
from csr_signer.kms import CloudKmsKey
from csr_signer.pipeline import Flights, Pipeline, ServedCluster

CONFIGURATION: Final = "CSR_SIGNER_CONFIGURATION"
"""Environment variable that names the configuration document."""


class UnexpectedError(SignerError):
    """A fault of this product. It concerns one item, so it is answered 500 and not 503."""

    status = 500
    severity = "ERROR"
    retry_after = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A loaded configuration at work."""

    configuration: Configuration
    pipeline: Pipeline

    @classmethod
    def load(cls, audit: Audit) -> "Service":
        """The service that the environment's configuration document describes.

        Raises:
            ConfigurationError: the variable is missing, or the document is not right.
        """
        path = os.environ.get(CONFIGURATION, "")
        if not path:
            raise ConfigurationError(f"environment variable {CONFIGURATION} does not name the configuration document")
        settings = configuration.load(Path(path))
        client = kms.connect(
            endpoint=settings.kms.endpoint, unsafe_plaintext_endpoint=settings.kms.unsafe_plaintext_endpoint
        )
        served = {}
        for key, cluster in settings.clusters.items():
            signers = {
                name: (
                    signer,
                    CloudKmsKey(
                        client=client,
                        key_version=signer.issuer.key_version,
                        protection_level=signer.issuer.protection_level,
                    ),
                )
                for (owner, name), signer in settings.signers.items()
                if owner == key
            }
            served[key] = ServedCluster(cluster=KubernetesCluster(api_client(cluster)), signers=signers)
        return cls(configuration=settings, pipeline=Pipeline(clusters=served, audit=audit, flights=Flights()))


def respond(request: Request, *, service: Callable[[], Service], audit: Audit) -> Response:
    """The answer to any request; every fault is one record and one answer.

    Args:
        request: whatever came.
        service: gives the service, or raises while the configuration is not right: at each request, never at import, so
            that a start while permissions still propagate does not fail for good.
        audit: where faults are recorded.
    """
    reference: RequestReference | None = None
    try:
        serving = service()
        reference = cloud_event.receive(request, serving.configuration.clusters)
        return cloud_event.answer(serving.pipeline.process(reference, datetime.now(UTC)))
    except SignerError as error:
        return _fault(error, reference, audit)
    except Exception as error:  # noqa: BLE001 - nothing may end without a record and an answer
        frames = traceback.extract_tb(sys.exc_info()[2])[-3:]
        places = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        return _fault(UnexpectedError(f"unexpected {type(error).__name__} at {places}"), reference, audit)


def _fault(error: SignerError, reference: RequestReference | None, audit: Audit) -> Response:
    uid, event_id, trace_id = (
        ("", "", "") if reference is None else (reference.uid, reference.event_id, reference.trace_id)
    )
    record: AuditRecord = fault(error, csr_uid=uid, event_id=event_id)
    try:
        audit.record(record, trace_id=trace_id)
    except SignerError as failure:
        return cloud_event.answer_fault(failure)
    return cloud_event.answer_fault(error)
