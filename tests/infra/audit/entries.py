"""LogEntries as Cloud Logging would hold them, made of lines that a sandbox's programs wrote.

What Cloud Run's and GKE's agents do to a JSON line is as documented (special fields become fields of the entry, the
rest jsonPayload); what Cloud KMS writes comes from the sandbox's KMS (`data_access_entry`).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from sandbox.kms.client import LOCATION
from tests.paths import INFRA

Entry = dict[str, Any]

CLUSTER: Final = INFRA / "cluster" / "examples" / "demo"
FUNCTION_PROJECT: Final = "example-workload"
KEY_PROJECT: Final = "example-project"
EXPORTER_PROJECT: Final = "example-cluster"
FUNCTION: Final = "csr-signer@example-workload.iam.gserviceaccount.com"
ADMINISTRATOR: Final = "ca-admin@example.com"
VALUES: Final[Mapping[str, object]] = {
    "exporter_namespace": "kms-csr-signer",
    "function_service_account": FUNCTION,
    "key_project": KEY_PROJECT,
    "keys": f"projects/[^/]+/{LOCATION.split('/', 2)[2]}/keyRings/csr-signer/cryptoKeys/[A-Za-z0-9_-]+",
    "objective_seconds": 30,
    "service_name": "csr-signer",
    "undelivered_seconds": 60,
}
"""What Terraform fills the filters with."""
_SPECIAL: Final = {
    "severity": "severity",
    "time": "timestamp",
    "logging.googleapis.com/labels": "labels",
    "logging.googleapis.com/insertId": "insertId",
    "logging.googleapis.com/trace": "trace",
}


def of_function(lines: Iterable[str]) -> list[Entry]:
    """What a function wrote to standard output; a line that is no JSON object is a textPayload."""
    resource = {
        "type": "cloud_run_revision",
        "labels": {
            "project_id": FUNCTION_PROJECT,
            "service_name": "csr-signer",
            "location": "europe-west1",
            "revision_name": "csr-signer-00001-abc",
        },
    }
    log = f"projects/{FUNCTION_PROJECT}/logs/run.googleapis.com%2Fstdout"
    return [_lifted(line, log, resource) for line in lines]


def of_exporter(lines: Iterable[str]) -> list[Entry]:
    """What an exporter wrote to standard error."""
    resource = _container("kms-csr-signer", "csr-exporter-0", "csr-exporter")
    return [_lifted(line, f"projects/{EXPORTER_PROJECT}/logs/stderr", resource) for line in lines]


def of_cron_job(manifest: str, lines: Iterable[str]) -> list[Entry]:
    """What a run of the manifest's CronJob wrote to standard output."""
    documents = yaml.safe_load_all((CLUSTER / manifest).read_text(encoding="utf-8"))
    (job,) = [each for each in documents if each["kind"] == "CronJob"]
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    name = job["metadata"]["name"]
    resource = _container(job["metadata"]["namespace"], f"{name}-29000000-abcde", container["name"])
    return [_lifted(line, f"projects/{EXPORTER_PROJECT}/logs/stdout", resource) for line in lines]


def _container(namespace: str, pod: str, container: str) -> Mapping[str, object]:
    labels = {"project_id": EXPORTER_PROJECT, "cluster_name": "demo", "location": "europe-west1"}
    labels |= {"namespace_name": namespace, "pod_name": pod, "container_name": container}
    return {"type": "k8s_container", "labels": labels}


def _lifted(line: str, log: str, resource: Mapping[str, object]) -> Entry:
    entry: Entry = {"logName": log, "resource": resource, "severity": "DEFAULT"}
    try:
        payload = json.loads(line)
    except ValueError:
        return entry | {"textPayload": line}
    if not isinstance(payload, dict):
        return entry | {"textPayload": line}
    entry |= {field: payload.pop(name) for name, field in _SPECIAL.items() if name in payload}
    return entry | {"jsonPayload": payload}


def of_administration(service: str, method: str, principal: str = ADMINISTRATOR) -> Entry:
    """An admin activity entry, modelled: no program of the sandbox has such an API."""
    return {
        "logName": f"projects/{KEY_PROJECT}/logs/cloudaudit.googleapis.com%2Factivity",
        "severity": "NOTICE",
        "resource": {"type": "project", "labels": {"project_id": KEY_PROJECT}},
        "protoPayload": {
            "serviceName": service,
            "methodName": method,
            "authenticationInfo": {"principalEmail": principal},
        },
    }
