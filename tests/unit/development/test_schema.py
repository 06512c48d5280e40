"""function/csr_signer/profiles/schema.json: it is what the types say."""

from pathlib import Path

import pytest

from development import schema


def test_the_schema_is_what_the_types_say() -> None:
    """The committed file is the generated one."""
    assert schema.main(["--check"]) == 0


@pytest.mark.parametrize("content", ["{}\n", None])
def test_a_stale_schema_is_found(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that says something else, or is not there, fails the check, names the command, and is mended by it."""
    copy = tmp_path / "schema.json"
    if content is not None:
        copy.write_text(content)
    monkeypatch.setattr(schema, "SCHEMA", copy)
    assert schema.main(["--check"]) == 1
    assert "development.schema" in capsys.readouterr().out
    assert schema.main([]) == 0
    assert schema.main(["--check"]) == 0
