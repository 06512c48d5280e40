"""Output files appear completely or not at all; no command overwrites a file by accident or leaves temporary files."""

import errno
import os
from pathlib import Path

import pytest

from signerctl import files
from signerctl.interface.program import CommandError


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    """The file does not exist before it is written, and no temporary file remains afterwards."""
    out = tmp_path / "a.pem"
    with files.outputs(out, force=False) as outputs:
        assert not out.exists()
        outputs.write({out: b"content"})
        assert out.read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """Neither the output nor its temporary file remains."""
    with pytest.raises(ZeroDivisionError), files.outputs(tmp_path / "a", tmp_path / "b", force=False):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_file_that_another_process_creates_meanwhile_is_kept(tmp_path: Path) -> None:
    """The other process creates it after the first check, for example while KMS signs."""
    out = tmp_path / "a.pem"
    with files.outputs(out, force=False) as outputs:
        out.write_bytes(b"theirs")
        with pytest.raises(CommandError, match="cannot write the file: File exists"):
            outputs.write({out: b"ours"})
    assert out.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]


def test_force_replaces_a_link_and_keeps_its_target(tmp_path: Path) -> None:
    """Without --force, the link counts as an existing file."""
    target, out = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"kept")
    out.symlink_to(target)
    with pytest.raises(CommandError, match="exists"), files.outputs(out, force=False):
        pass
    with files.outputs(out, force=True) as outputs:
        outputs.write({out: b"new"})
    assert (target.read_bytes(), out.read_bytes(), out.is_symlink()) == (b"kept", b"new", False)


def test_a_broken_link_is_an_existing_file(tmp_path: Path) -> None:
    """Otherwise the link would decide where the command writes."""
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    with pytest.raises(CommandError, match="exists"), files.outputs(tmp_path / "link", force=False):
        pass


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """The error is one line with the reason."""
    with pytest.raises(CommandError, match=r"absent: cannot read the file: No such file"):
        files.read(tmp_path / "absent")
    with pytest.raises(CommandError, match="cannot read the file: Is a directory"):
        files.read(tmp_path)


def test_an_empty_pkcs7_holds_no_certificate(tmp_path: Path) -> None:
    """The error says that a well-formed PKCS #7 message has no certificate."""
    # ContentInfo of signedData: version 1, no digests, data, no certificates (RFC 2315 §9.1).
    empty = bytes.fromhex("3023 06092a864886f70d010702 a016 3014 020101 3100 300b 06092a864886f70d010701 3100")
    path = tmp_path / "empty.p7b"
    path.write_bytes(empty)
    with pytest.raises(CommandError, match="no certificate"):
        files.read_certificates(path)


def test_an_unwritable_folder_is_an_error_before_the_work_begins(tmp_path: Path) -> None:
    """Here the folder is a file."""
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot write the file: Not a directory"):  # noqa: SIM117
        with files.outputs(tmp_path / "file" / "a", force=False):
            pass


def no_hard_links(_source: Path, _target: Path) -> None:
    """Fails as the kernel does on a file system without hard links."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_outputs_work_on_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command keeps the signed result, and still replaces no file of another process."""
    monkeypatch.setattr(os, "link", no_hard_links)
    out = tmp_path / "a.pem"
    with files.outputs(out, force=False) as outputs:
        outputs.write({out: b"content"})
    assert out.read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]
    out.unlink()
    with files.outputs(out, force=False) as outputs:
        out.write_bytes(b"theirs")
        with pytest.raises(CommandError, match="cannot write the file: File exists"):
            outputs.write({out: b"ours"})
    assert out.read_bytes() == b"theirs"


def test_two_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    """If another process creates the second file meanwhile, the first is deleted again."""
    first, second = tmp_path / "a", tmp_path / "b"
    with files.outputs(first, second, force=False) as outputs:
        second.write_bytes(b"theirs")
        with pytest.raises(CommandError, match="b: cannot write the file: File exists"):
            outputs.write({first: b"1", second: b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert second.read_bytes() == b"theirs"


def test_forced_files_are_all_written_before_one_is_replaced(tmp_path: Path) -> None:
    """If the second file's content cannot be written, the first file does not change."""
    first, second = tmp_path / "a", tmp_path / "b"
    for path in (first, second):
        path.write_bytes(b"old")
    with files.outputs(first, second, force=True) as outputs:
        place = outputs.temporaries[second]
        place.unlink()
        place.mkdir()
        with pytest.raises(CommandError, match="b: cannot write the file: Is a directory"):
            outputs.write({first: b"1", second: b"2"})
        place.rmdir()
    assert (first.read_bytes(), second.read_bytes()) == (b"old", b"old")


@pytest.mark.parametrize("name", ["file", "./file", "symbolic", "hard", "folder/../file"])
@pytest.mark.parametrize("part", ["an input", "the audit log", "two outputs"])
def test_one_file_has_one_role(tmp_path: Path, name: str, part: str) -> None:
    """Even with --force and under another name, a command must not overwrite its inputs or its records."""
    file = tmp_path / "file"
    file.write_bytes(b"kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "symbolic").symlink_to(file)
    (tmp_path / "hard").hardlink_to(file)
    other = f"{tmp_path}/{name}"
    paths = [file, Path(other)] if part == "two outputs" else [file]
    inputs = [Path(other)] if part == "an input" else []
    log = Path(other) if part == "the audit log" else None
    with pytest.raises(CommandError, match=part), files.outputs(*paths, force=True, inputs=inputs, audit_log=log):
        pass
    assert file.read_bytes() == b"kept"


@pytest.mark.parametrize("name", ["./file", "symbolic", "folder/../file"])
def test_a_file_that_does_not_exist_yet_has_one_role(tmp_path: Path, name: str) -> None:
    """Otherwise the command would create the log first, and then overwrite it with the certificate."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "symbolic").symlink_to(tmp_path / "file")
    log = Path(f"{tmp_path}/{name}")
    with (
        pytest.raises(CommandError, match="the same file as the audit log and an output"),
        files.outputs(tmp_path / "file", force=True, audit_log=log),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "symbolic"]


def test_the_log_is_no_input_and_a_dash_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command appends no records to a certificate. As an input, `-` does not name a file."""
    monkeypatch.chdir(tmp_path)
    file, out = tmp_path / "file", tmp_path / "out"
    with (
        pytest.raises(CommandError, match="the same file as the audit log and an input"),
        files.outputs(out, force=False, inputs=[file], audit_log=file),
    ):
        pass
    with files.outputs(Path("-"), force=False, inputs=[files.STANDARD_INPUT]) as outputs:
        outputs.write({Path("-"): b"content"})
    assert (tmp_path / "-").read_bytes() == b"content"
