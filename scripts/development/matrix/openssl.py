"""OpenSSL, by its command line: what it says of each leaf, and which error numbers it gives."""

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from development.matrix.process import StackError, run
from development.matrix.questions import Question, Questions, is_address

_SAYS: Final = re.compile(r"error (?P<file>.+): verification failed|(?P<reason>error \d+ at .+)")


def answer(questions: Questions) -> Mapping[int, str]:
    """`openssl verify` takes many leaves at a time, but one root, one set of intermediates, one host, one purpose."""
    answers: dict[int, str] = {}
    for batch in _batches(questions):
        answers |= _batch(questions.folder, batch)
    return answers


def _batches(questions: Questions) -> Iterator[list[Question]]:
    def alike(question: Question) -> tuple[str, bytes, str, str]:
        return str(question.root), question.intermediates(), question.host, question.purpose

    for _, batch in itertools.groupby(sorted(questions.asked, key=alike), key=alike):
        yield list(batch)


def _batch(folder: Path, batch: list[Question]) -> Mapping[int, str]:
    first, untrusted = batch[0], folder / "untrusted.pem"
    untrusted.write_bytes(first.intermediates())
    options = ["-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", str(first.root)]
    options += ["-purpose", f"ssl{first.purpose}"]
    if untrusted.stat().st_size:
        options += ["-untrusted", str(untrusted)]
    if first.host:
        options += ["-verify_ip" if is_address(first.host) else "-verify_hostname", first.host]
    done = run("openssl", "verify", *options, *(question.chain for question in batch), may_fail=True)
    accepted = set(done.stdout.splitlines())
    refused = dict(_refusals(done.stderr))
    answers = {
        question.number: "" if f"{question.chain}: OK" in accepted else refused.get(str(question.chain))
        for question in batch
    }
    unclear = [number for number, said in answers.items() if said is None]
    if unclear:
        raise StackError(f"openssl says nothing about questions {unclear}: {done.stdout}{done.stderr}")
    return {number: said or "" for number, said in answers.items()}


def _refusals(said: str) -> Iterator[tuple[str, str]]:
    """Files with the reasons that stand before them."""
    reasons: list[str] = []
    for match in filter(None, map(_SAYS.match, said.splitlines())):
        if match["file"] is None:
            reasons.append(match["reason"])
        else:
            yield match["file"], "; ".join(reasons)
            reasons = []
