"""All of it once: everything issued, every stack asked, every answer compared with what it must be."""

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from csr_signer.errors import SignerError
from csr_signer.profile import Profile
from development.matrix import requesters
from development.matrix.authorities import Authority, authorities
from development.matrix.certificates import Certified, NotPermittedError, certify
from development.matrix.controls import CONTROLS, Good
from development.matrix.process import StackError
from development.matrix.questions import Inquiry, Questions
from development.matrix.reasons import REASONS
from development.matrix.requesters import Requester
from development.matrix.stacks import Answers, Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One certificate of the matrix.

    Attributes:
        issuer, key, digest: its place.
        fault: why there is none; empty where there is one.
        accepted: questions that every stack must say yes to.
    """

    issuer: str
    key: str
    digest: str
    fault: str
    accepted: tuple[int, ...]

    @property
    def request(self) -> str:
        """Key and hash of the request."""
        return f"{self.key} {self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One control under one issuer.

    Attributes:
        issuer, name: its place.
        refused: the question that every stack must say no to.
        accepted: the one that differs in one thing.
    """

    issuer: str
    name: str
    refused: int
    accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of it.

    Attributes:
        stacks: that were asked.
        missing: that are not here, each with what to install.
        cells, controls: all.
        answers: by the name of a stack.
        questions: how many each stack was asked.
        seconds: by what they were spent on; stacks work side by side.
    """

    stacks: tuple[Stack, ...]
    missing: Mapping[str, str]
    cells: tuple[Cell, ...]
    controls: tuple[Control, ...]
    answers: Mapping[str, Answers]
    questions: int
    seconds: Mapping[str, float]

    def refusal(self, cell: Cell, stack: Stack) -> str:
        """Why a stack does not accept a certificate; empty where it does."""
        if cell.fault:
            return f"not issued: {cell.fault}"
        return "; ".join(filter(None, (self.answers[stack.name][number] for number in cell.accepted)))

    def failure(self, control: Control, stack: Stack) -> str:
        """What is wrong with a stack's answers to a control; empty where nothing is."""
        refused, accepted = (self.answers[stack.name][each] for each in (control.refused, control.accepted))
        if accepted:
            return f"what differs in one thing is refused too: {accepted}"
        if not refused:
            return "accepted"
        expected = REASONS[stack.name][control.name]
        return "" if re.search(expected, refused) else f"refused for another reason than {expected!r}: {refused}"

    def complaints(self) -> Iterator[str]:
        """Everything that keeps the matrix from being full."""
        for cell in self.cells:
            if cell.fault:
                yield f"{cell.issuer}, {cell.request}: not issued: {cell.fault}"
        for stack in self.stacks:
            for cell in self.cells:
                if not cell.fault and (refusal := self.refusal(cell, stack)):
                    yield f"{stack.name}: {cell.issuer}, {cell.request}: {refusal}"
            for control in self.controls:
                if failure := self.failure(control, stack):
                    yield f"{stack.name}: {control.issuer}, {control.name}: {failure}"


def run(issuers: Sequence[str], stacks: Sequence[Stack]) -> Run:
    """Issues everything under these issuers and asks those of the stacks that are here.

    Raises:
        AuthorityError: a CA cannot be made.
        SignerError, NotPermittedError: a control cannot be issued.
        StackError: a stack that is here cannot do its work.
    """
    missing = {stack.name: why for stack in stacks if (why := stack.missing())}
    present = tuple(stack for stack in stacks if stack.name not in missing)
    with tempfile.TemporaryDirectory(prefix="csr-signer-matrix-") as folder:
        started = time.monotonic()
        questions = Questions(Path(folder))
        cells, controls = _issue(issuers, questions)
        seconds = {"issuing": time.monotonic() - started}
        answers = {}
        with ThreadPoolExecutor(max_workers=max(len(present), 1)) as pool:
            for stack, (answer, spent) in zip(
                present, pool.map(lambda each: _ask(each, questions), present), strict=True
            ):
                answers[stack.name], seconds[stack.name] = answer, spent
    return Run(
        stacks=present,
        missing=missing,
        cells=cells,
        controls=controls,
        answers=answers,
        questions=len(questions.asked),
        seconds=seconds,
    )


def _ask(stack: Stack, questions: Questions) -> tuple[Answers, float]:
    started = time.monotonic()
    answers = stack.answer(questions)
    unanswered = len(questions.asked) - len(answers)
    if unanswered or set(answers) != set(range(len(questions.asked))):
        raise StackError(f"{stack.name} leaves {unanswered} of {len(questions.asked)} questions open")
    return answers, time.monotonic() - started


def _issue(issuers: Sequence[str], questions: Questions) -> tuple[tuple[Cell, ...], tuple[Control, ...]]:
    created, profile = datetime.now(UTC).replace(microsecond=0), requesters.profile()
    everyone = list(requesters.requesters(created))
    cells: list[Cell] = []
    controls: list[Control] = []
    with authorities(issuers, questions.folder) as all_authorities:
        for turn, authority in enumerate(all_authorities):
            found = [_cell(requester, authority, profile, questions) for requester in everyone]
            cells += [cell for cell, _ in found]
            # Another requester's certificate for each issuer, so that controls too see every key.
            good = [each for _, each in found if each is not None]
            controls += _controls(good[turn % len(good)], questions) if good else []
    return tuple(cells), tuple(controls)


def _cell(
    requester: Requester, authority: Authority, profile: Profile, questions: Questions
) -> tuple[Cell, Good | None]:
    try:
        certified, fault = certify(requester, authority, profile), ""
    except (SignerError, NotPermittedError) as error:
        certified, fault = None, str(error)
    inquiries = [] if certified is None else list(_inquiries(certified, authority))
    cell = Cell(
        issuer=authority.name,
        key=requester.kind,
        digest=requester.digest,
        fault=fault,
        accepted=tuple(map(questions.ask, inquiries)),
    )
    if certified is None:
        return cell, None
    good = Good(
        requester=requester, authority=authority, profile=profile, chain=certified.chain, host=certified.hosts[0]
    )
    return cell, good


def _inquiries(certified: Certified, authority: Authority) -> Iterator[Inquiry]:
    """Is it every host's server, and a client?"""
    for host in certified.hosts:
        yield Inquiry(chain=certified.chain, root=authority.root, host=host, purpose="server")
    yield Inquiry(chain=certified.chain, root=authority.root, host="", purpose="client")


def _controls(good: Good, questions: Questions) -> Iterator[Control]:
    for name, make in CONTROLS.items():
        pair = make(good)
        yield Control(
            issuer=good.authority.name,
            name=name,
            refused=questions.ask(pair.refused),
            accepted=questions.ask(pair.accepted),
        )
