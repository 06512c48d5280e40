"""The software bill of materials of a lock, in CycloneDX 1.6.

It names the Python packages that a lock pins, and nothing outside the lock: not Python itself, and no base image. It
has no time and no serial number, so that the same lock always gives the same bytes.
"""

import json
import re
from typing import Any, Final

from csr_signer import VERSION

_PINNED: Final = re.compile(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def document(name: str, lock: str) -> str:
    """Returns the bill of materials as JSON.

    Args:
        name: The deployed part.
        lock: The text of its lock.
    """
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component("application", name, VERSION, f"pkg:generic/{name}@{VERSION}")},
        "components": [
            _component("library", package, version, f"pkg:pypi/{package}@{version}")
            for package, version in _PINNED.findall(lock)
        ],
    }
    return json.dumps(bill, indent=2) + "\n"


def _component(kind: str, name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
