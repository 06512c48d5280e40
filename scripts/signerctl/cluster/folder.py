"""Compares rendered files with an operator's folder, and replaces only files that the command wrote."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from csr_signer import field_error
from signerctl import files
from signerctl.cluster.chosen_options import KUSTOMIZATION, comment_of
from signerctl.cluster.rendering import CONFIGURATION, HEADER, MARK
from signerctl.interface.program import CommandError

# kustomize refuses a folder with two of its names.
_OTHER_KUSTOMIZATIONS: Final = ("kustomization.yml", "Kustomization")
_UNFINISHED: Final = """\
# The command was interrupted. This file names a missing file, so that kubectl applies no mixture of files.
resources: [interrupted-run-signerctl-cluster-manifests-again]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file of the folder that is not as rendered.

    Attributes:
        path: The file.
        before: Its text; None if it does not exist.
        after: The rendered text; None if the file is no longer rendered.
    """

    path: Path
    before: str | None
    after: str | None

    def diff(self) -> str:
        """Returns the change as a unified diff."""
        absent = "/dev/null"
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            (self.after or "").splitlines(keepends=True),
            fromfile=absent if self.before is None else str(self.path),
            tofile=absent if self.after is None else str(self.path),
        )
        return "".join(lines)


def compare(folder: Path, rendered: Mapping[str, str]) -> tuple[Change, ...]:
    """Returns the changes that make a folder equal to the rendered files, sorted by name.

    Raises:
        CommandError: The folder is not a folder, or holds a file that the command did not write under a rendered name.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise CommandError(field_error.invalid("--out", str(folder), "must be a folder, or a path that does not exist"))
    try:
        present = dict(_present(folder, rendered))
    except OSError as error:
        raise CommandError(f"{folder}: cannot read the folder: {error.strerror}") from error
    for name, text in present.items():
        if (text is None or text != rendered.get(name)) and not _is_ours(name, present):
            what = _foreign(folder / name, text)
            remedy = "choose another folder, or move it away and run the command again"
            raise CommandError(field_error.forbidden(str(folder / name), f"{what}: {remedy}"))
    return tuple(
        Change(path=folder / name, before=present.get(name), after=rendered.get(name))
        for name in sorted({*present, *rendered})
        if present.get(name) != rendered.get(name)
    )


def write(folder: Path, changes: tuple[Change, ...], rendered: Mapping[str, str]) -> None:
    """Writes the changes.

    Until all other files are in place, the kustomization refers to a missing file. So after a crash, `kubectl apply -k`
    fails instead of applying a mixture. It remembers the options, so that the next run completes the folder with them.

    Raises:
        CommandError: A file cannot be written.
    """
    kustomization = folder / KUSTOMIZATION
    contents = {each.path: each.after.encode() for each in changes if each.after is not None}
    contents.pop(kustomization, None)
    contents[kustomization] = rendered[KUSTOMIZATION].encode()  # the last one to be placed
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder}: cannot make the folder: {error.strerror}") from error
    with files.outputs(*contents, force=True) as outputs:
        with files.outputs(kustomization, force=True) as unfinished:
            text = HEADER + comment_of(rendered[KUSTOMIZATION]) + _UNFINISHED
            unfinished.write({kustomization: text.encode()})
        for each in changes:
            if each.after is None:
                each.path.unlink()
        outputs.write(contents)


def _present(folder: Path, rendered: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yields the rendered files that exist, other kustomizations, and files of the command that are not rendered."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        known = path.name in rendered or path.name in _OTHER_KUSTOMIZATIONS
        if known or path.suffix == ".yaml":
            text = _text(path)
            if known or (text is not None and text.startswith(MARK)):
                yield path.name, text


def _text(path: Path) -> str | None:
    """Returns a file's text; None if it is no text file. Reading a named pipe would wait for a writer."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeError):
        return None


def _foreign(path: Path, text: str | None) -> str:
    """Says why the command does not take a file for its own."""
    if path.is_dir():
        return "it is a folder"
    if not path.exists():
        return "it is a link to a missing file"
    if text is None:
        return "it is not readable as UTF-8 text"
    if path.name == CONFIGURATION:
        return f"signerctl wrote no {KUSTOMIZATION} beside it, so another program wrote this file"
    return "it lacks the first line that signerctl writes, so another program wrote or changed this file"


def _is_ours(name: str, present: Mapping[str, str | None]) -> bool:
    # JSON has no comments. The command writes the configuration only beside a kustomization with the mark.
    text = present.get(KUSTOMIZATION if name == CONFIGURATION else name)
    return text is not None and text.startswith(MARK)
