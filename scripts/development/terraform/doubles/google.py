"""A double of Google's APIs behind the providers' doubles: it keeps what exists, and refuses what Google refuses.

It knows what the change of a running deployment can break: names that are taken, missing parents, missing rights of a
resource, and encryption keys without a right.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from development.terraform.doubles.kinds import KINDS

Values = dict[str, Any]
Objects = dict[str, Values]

FILE: Final = "google.json"
"""What exists: `objects` by name; `writes` until now; `max_writes`, after which Google does not answer any more; and
`unreadable`, the resources that lost the right on the key of their content."""
EMPTY: Final[Mapping[str, Any]] = {"objects": {}, "writes": 0, "max_writes": 1 << 30, "unreadable": []}
NUMBERS: Final = {"example-clusters": "210987654321"}
"""The projects' numbers; each other project has `NUMBER`."""
NUMBER: Final = "123456789012"
_ENCRYPTS: Final = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


class GoogleError(Exception):
    """Google refuses a request."""


class Projects:
    """What exists at Google, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._content: dict[str, Any] = {}
        self._read_at = 0
        path.write_text(json.dumps(EMPTY), encoding="utf-8")

    def apply(self, kind: str, prior: Values | None, planned: Values | None) -> Values | None:
        """Creates, updates or deletes a resource, and returns its new values.

        Raises:
            GoogleError: Google refuses it.
        """
        if not KINDS[kind].id:
            return planned and planned | {"id": kind}
        with self._open() as content:
            if content["writes"] >= content["max_writes"]:
                raise GoogleError("connection refused")
            objects: Objects = content["objects"]
            if planned is None:
                content["writes"] += 1
                content["unreadable"] += _deleted(objects, (prior or {})["id"], keeps=KINDS[kind].keeps)
                return None
            planned = planned | {"serial": str(content["writes"])}
            name = prior["id"] if prior else _name(KINDS[kind].id, planned)
            if prior is None and name in objects and not KINDS[kind].adopts:
                raise GoogleError(f"Error 409: {name} already exists")
            parent = _name(KINDS[kind].parent or "", planned)
            _refuse_missing(objects, kind, planned, parent)
            made = _made(kind, planned, name)
            content["writes"] += 1
            uses = objects[parent]["uses"] if KINDS[kind].content else _encrypting(planned, kind)
            objects[name] = {"kind": kind, "parent": parent, "uses": uses, "values": made}
            return made

    def read(self, kind: str, values: Values) -> Values | None:
        """Returns a resource's values, or none if it does not exist any more."""
        with self._open() as content:
            return values if not KINDS[kind].id or values["id"] in content["objects"] else None

    def find(self, kind: str, given: str) -> Values:
        """Returns the values of a resource by its import ID.

        Raises:
            GoogleError: The ID's format is wrong, or no resource has the ID.
        """
        match = re.fullmatch(KINDS[kind].imported or "(?!)", given)
        if match is None:
            raise GoogleError(f"Import id {given!r} doesn't match any of the accepted formats")
        with self._open() as content:
            for each in content["objects"].values():
                if each["kind"] == kind and _is_named(each["values"], match.groupdict()):
                    found: Values = each["values"] | dict.fromkeys(KINDS[kind].unread)
                    return found
        raise GoogleError(f"Cannot import non-existent remote object: {given}")

    @contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        """Reads the file if a test has changed it, and writes it if there was another write."""
        with self._lock:
            if self._path.stat().st_mtime_ns != self._read_at:
                self._content = json.loads(self._path.read_text(encoding="utf-8"))
            writes = self._content["writes"]
            yield self._content
            if self._content["writes"] != writes:
                self._path.write_text(json.dumps(self._content), encoding="utf-8")
            self._read_at = self._path.stat().st_mtime_ns


def data(kind: str, config: Values) -> Values:
    """Returns the values of a data source that infra/ reads."""
    project = config.get("project") or config.get("project_id") or ""
    read = {
        "google_logging_project_cmek_settings": {"service_account_id": _agent(project, "logging")},
        "google_project": {"number": NUMBERS.get(project, NUMBER)},
        "google_storage_project_service_account": {"member": f"serviceAccount:{_agent(project, 'storage')}"},
    }
    return config | read.get(kind, {})


def _agent(project: str, service: str) -> str:
    return f"service-{project}@gcp-sa-{service}.iam.gserviceaccount.com"


def at(values: Any, path: str) -> Any:  # noqa: ANN401 - Terraform's values
    """Returns the value at a dotted path, or none."""
    for step in path.split("."):
        try:
            values = values[int(step) if step.isdigit() else step]
        except (IndexError, KeyError, TypeError):
            return None
    return values


def _name(template: str, values: Values) -> str:
    """Fills in a template. The name of a service's agent has the service's short name."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return template.format_map(texts).replace(".googleapis.com.iam.", ".iam.")


def _is_named(values: Values, groups: Mapping[str, str]) -> bool:
    """Tells whether an import ID names a resource; the full names of Monitoring have the project's number."""
    named: Mapping[str, str] = groups
    if groups.get("name", "").startswith("projects/"):
        full = groups["name"].replace(f"projects/{NUMBER}/", f"projects/{groups['project']}/")
        named = {"project": groups["project"], "id": full}
    return all(values.get(key) == value for key, value in named.items())


def _made(kind: str, planned: Values, name: str) -> Values:
    """Adds what Google determines."""
    made: Values = json.loads(json.dumps(planned)) | {"id": name}
    del made["serial"]
    for path, template in KINDS[kind].computed.items():
        parent, _, last = path.rpartition(".")
        (at(made, parent) if parent else made)[last] = _name(template, planned)
    return made


def _encrypting(values: Values, kind: str) -> list[str]:
    """Returns the rights that a resource with an encryption key needs on it."""
    path, services = KINDS[kind].encrypted or ("", ())
    key = at(values, path) if path else None
    if not key:
        return []
    return [f"{key} {_ENCRYPTS} serviceAccount:{_agent(values['project'], each)} []" for each in services]


def _refuse_missing(objects: Objects, kind: str, planned: Values, parent: str) -> None:
    missing = [each for each in (parent, *_encrypting(planned, kind)) if each and each not in objects]
    if missing:
        raise GoogleError(f"Error 403: {_name(KINDS[kind].id, planned)} needs {missing[0]}")


def _deleted(objects: Objects, name: str, *, keeps: bool) -> list[str]:
    """Deletes a resource and all that belongs to it; returns the resources whose encryption key it took away."""
    if keeps:
        return []
    for each in [name, *(key for key, value in objects.items() if value["parent"] == name)]:
        objects.pop(each, None)
    return [key for key, value in objects.items() if name in value["uses"]]
