"""Files: whole or not there, never overwritten unasked, nothing left beside them."""

from pathlib import Path

import pytest

from signerctl import files
from signerctl.program import CommandError


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    """Until it is written there is nothing under its name; afterwards nothing beside it."""
    out = tmp_path / "a.pem"
    with files.outputs(out, force=False) as outputs:
        assert not out.exists()
        outputs.write(out, b"content")
        assert out.read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """Neither the file nor the one that held its place."""
    with pytest.raises(ZeroDivisionError), files.outputs(tmp_path / "a", tmp_path / "b", force=False):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_file_that_somebody_else_makes_meanwhile_is_kept(tmp_path: Path) -> None:
    """Between the question whether it exists and the answer of KMS time passes."""
    out = tmp_path / "a.pem"
    with files.outputs(out, force=False) as outputs:
        out.write_bytes(b"theirs")
        with pytest.raises(CommandError, match="cannot be written: File exists"):
            outputs.write(out, b"ours")
    assert out.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]


def test_force_replaces_whatever_it_is(tmp_path: Path) -> None:
    """A link is replaced and what it points to is kept."""
    target, out = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"kept")
    out.symlink_to(target)
    with pytest.raises(CommandError, match="exists"), files.outputs(out, force=False):
        pass
    with files.outputs(out, force=True) as outputs:
        outputs.write(out, b"new")
    assert (target.read_bytes(), out.read_bytes(), out.is_symlink()) == (b"kept", b"new", False)


def test_a_link_to_nowhere_is_an_existing_file(tmp_path: Path) -> None:
    """It would decide where the file goes."""
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    with pytest.raises(CommandError, match="exists"), files.outputs(tmp_path / "link", force=False):
        pass


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """One line, with the reason."""
    with pytest.raises(CommandError, match=r"absent: cannot be read: No such file"):
        files.read(tmp_path / "absent")
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        files.read(tmp_path)


def test_an_empty_pkcs7_holds_no_certificate(tmp_path: Path) -> None:
    """A well-formed message of nothing is told to be that."""
    # ContentInfo of signedData: version 1, no digests, data, and nothing else (RFC 2315 §9.1).
    empty = bytes.fromhex("3023 06092a864886f70d010702 a016 3014 020101 3100 300b 06092a864886f70d010701 3100")
    path = tmp_path / "empty.p7b"
    path.write_bytes(empty)
    with pytest.raises(CommandError, match="no certificate"):
        files.read_certificates(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Before anything is done: here the folder is a file."""
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot be written: Not a directory"):  # noqa: SIM117
        with files.outputs(tmp_path / "file" / "a", force=False):
            pass
