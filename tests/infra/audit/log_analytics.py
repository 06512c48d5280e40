"""Log Analytics: SQLite with GoogleSQL's functions runs the audit module's queries over entries."""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from tests.infra.audit.entries import Entry
from tests.infra.audit.query import rendered
from tests.infra.audit.test_filters import MODULE, said

VIEW: Final = "example-audit.europe-west1.csr-signer-audit._AllLogs"


def rows(file: str, values: Mapping[str, str], entries: Iterable[tuple[str, Entry]]) -> list[tuple[Any, ...]]:
    """What a query of the module finds.

    Args:
        file: the query's file.
        values: what Terraform fills it with, but for the view.
        entries: the entries that the query sees, each with its time in RFC 3339.
    """
    query = rendered(MODULE / file, {"view": VIEW, **values})
    query = re.sub(r"\bCAST\((.*) AS INT64\)", r"CAST_INT64(\1)", query)  # SQLite's own CAST never fails
    database = sqlite3.connect(":memory:")
    try:
        database.create_function("CAST_INT64", 1, _cast)
        database.create_function("REGEXP_EXTRACT", 2, _regexp_extract)
        database.create_function("JSON_VALUE", 2, _json_value)
        database.create_function("TO_JSON", 1, lambda value: value)
        database.create_function("CONCAT", -1, _concat)
        database.create_function("GREATEST", 2, max)
        database.create_function("FORMAT_TIMESTAMP", 2, lambda form, text: f"{datetime.fromisoformat(text):{form}}")
        database.create_aggregate("COUNTIF", 1, _CountIf)
        database.execute(f"CREATE TABLE `{VIEW}` (timestamp, insert_id, json_payload, proto_payload, resource)")
        for time, entry in entries:
            proto = entry.get("protoPayload")
            row = (
                time,
                entry.get("insertId"),
                json.dumps(entry["jsonPayload"]) if "jsonPayload" in entry else None,
                json.dumps({"audit_log": _snake(proto)}) if proto else None,
                json.dumps(entry["resource"]),
            )
            database.execute(f"INSERT INTO `{VIEW}` VALUES (?, ?, ?, ?, ?)", row)  # noqa: S608 - a name of ours
        return database.execute(query).fetchall()
    finally:
        database.close()


def _json_value(document: str | None, path: str) -> str | None:
    """As GoogleSQL: a scalar as a text, NULL where nothing is."""
    value = None if document is None else said(json.loads(document), *path.removeprefix("$.").split("."))
    return None if value is None or isinstance(value, dict | list) else str(value)


def _regexp_extract(value: str | None, pattern: str) -> str | None:
    """As GoogleSQL, for a pattern with one group."""
    found = None if value is None else re.search(pattern, value)
    return None if found is None else found[1]


def _cast(value: str | None) -> int | None:
    """As GoogleSQL: another text than a number is an error, of which the whole query ends."""
    return None if value is None else int(value)


def _concat(*values: str | None) -> str | None:
    """As GoogleSQL: NULL where one is NULL."""
    return None if None in values else "".join(map(str, values))


def _snake(value: Any) -> Any:
    """JSON of the API as Log Analytics names its fields."""
    if isinstance(value, dict):
        return {re.sub(r"(?<=[a-z])([A-Z])", r"_\1", key).lower(): _snake(inner) for key, inner in value.items()}
    return value


class _CountIf:
    """As GoogleSQL: the number of rows in which the condition is true."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, condition: object) -> None:
        self.count += bool(condition)

    def finalize(self) -> int:
        return self.count
