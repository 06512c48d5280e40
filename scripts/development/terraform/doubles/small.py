"""Schemas of the small providers, as far as we use them, from their documentation.

archive 2.7, time 0.13 and google-beta 8.7.
"""

from typing import Any, Final

from development.terraform.doubles.schema import EMPTY


def _attribute(kind: Any, how: str) -> dict[str, Any]:  # noqa: ANN401 - Terraform's types as JSON
    return {
        "type": kind,
        "required": how == "required",
        "optional": "optional" in how,
        "computed": "computed" in how,
    }


_SOURCE: Final = {
    "attributes": {"content": _attribute("string", "required"), "filename": _attribute("string", "required")},
    "blocks": {},
}
ARCHIVE: Final[dict[str, Any]] = {
    "provider": EMPTY,
    "resource": {},
    "data": {
        "archive_file": {
            "attributes": {
                "type": _attribute("string", "required"),
                "output_path": _attribute("string", "required"),
                "output_file_mode": _attribute("string", "optional"),
                "excludes": _attribute(["set", "string"], "optional"),
                "source_content": _attribute("string", "optional"),
                "source_content_filename": _attribute("string", "optional"),
                "source_dir": _attribute("string", "optional"),
                "source_file": _attribute("string", "optional"),
                "id": _attribute("string", "computed"),
                "output_base64sha256": _attribute("string", "computed"),
                "output_md5": _attribute("string", "computed"),
                "output_sha256": _attribute("string", "computed"),
                "output_size": _attribute("number", "computed"),
            },
            "blocks": {"source": {"nesting": "set", "min": 0, "max": 0, "block": _SOURCE}},
        }
    },
}
TIME: Final[dict[str, Any]] = {
    "provider": EMPTY,
    "resource": {
        "time_sleep": {
            "attributes": {
                "create_duration": _attribute("string", "optional"),
                "destroy_duration": _attribute("string", "optional"),
                "triggers": _attribute(["map", "string"], "optional"),
                "id": _attribute("string", "computed"),
            },
            "blocks": {},
        }
    },
    "data": {},
}
GOOGLE_BETA: Final[dict[str, Any]] = {
    "provider": EMPTY,
    "resource": {
        "google_project_service_identity": {
            "attributes": {
                "project": _attribute("string", "optional computed"),
                "service": _attribute("string", "required"),
                "email": _attribute("string", "computed"),
                "id": _attribute("string", "computed"),
                "member": _attribute("string", "computed"),
            },
            "blocks": {},
        }
    },
    "data": {},
}
"""The only type that we use from this provider; the provider `google` does not have it."""
