"""Faults that the project's history mended, and how to plant them again.

A planted fault is a change of one module's source. Only the code of functions and plain constants are exchanged, in the
live module, so that importers need no reload and nothing has to be restored but these.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Final

from tests.simulation.modes import Mode

_PLAIN: Final = (int, float, str, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One mended fault.

    Attributes:
        commit: the commit that mended it.
        line: what was wrong before.
        module: where the same fault is planted today.
        old, new: the part of the module's source that changes; `old` is there once.
        mode: which simulation shows it.
        seeds: one of the first so many seeds shows it.
        seed: shows it today; another one may do after a change of the plans.
    """

    commit: str
    line: str
    module: str
    old: str
    new: str
    mode: Mode = Mode.WHOLE
    seeds: int = 100
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.commit} {self.line}"


PIPELINE: Final = "csr_signer.pipeline"
WORK_QUEUE: Final = "csr_exporter.queue.work_queue"
FAIR_QUEUE: Final = "csr_exporter.queue.fair_queue"
RETRY_POLICY: Final = "csr_exporter.queue.retry_policy"
LIMITER: Final = "csr_exporter.delivery.limiter"
FAULTS: Final = (
    Fault(
        commit="3cf7e18",
        line="an intent that came to nothing had no outcome",
        module=PIPELINE,
        old='        await trail.record("abandoned", severity, "signing or writing failed after the intent", facts)\n',
        new="",
        seed=6,
    ),
    Fault(
        commit="3cf7e18",
        line="a certificate whose CSR was gone was ignored, and its intent had no outcome",
        module=PIPELINE,
        old='"abandoned", "INFO", "the CSR is gone',
        new='"ignored", "INFO", "the CSR is gone',
        seed=27,
    ),
    Fault(
        commit="99e7901",
        line="the outcome of a failed intent did not count the requests to KMS",
        module=PIPELINE,
        old='facts = {"kms_attempts": attempts.count, **facts, ',
        new="facts = {**facts, ",
        seed=5,
    ),
    Fault(
        commit="99e7901",
        line="records described another CSR of the same name",
        module=PIPELINE,
        old="if reason is IgnoreReason.GONE:",
        new="if False:",
        seed=97,
    ),
    Fault(
        commit="4c7dab5",
        line="a request that was cancelled at shutdown left its intent without an outcome",
        module=PIPELINE,
        old="except BaseException as error:",
        new="except Exception as error:",
        seed=18,
    ),
    Fault(
        commit="f62cb79",
        line="the key was used for a pod that was read long before",
        module=PIPELINE,
        old="FRESH_SECONDS: Final = 5.0",
        new="FRESH_SECONDS: Final = 3600.0",
        seed=72,
    ),
    Fault(
        commit="428ffe9",
        line="an address that was not visible yet was refused if another one was visible",
        module="csr_signer.policy.decision",
        old="return _defer(csr, unconfirmed, signer, now)",
        new="return _defer(csr, unconfirmed, signer, csr.created + timedelta(days=bool(attestation.addresses)))",
        seed=31,
    ),
    Fault(
        commit="4ccf933",
        line="the pod of a requester outside the profile was read, which the function must not",
        module="csr_signer.policy.attestation",
        old="    if not rows:\n",
        new="    if False:\n",
        seed=25,
    ),
    Fault(
        commit="1e776f7",
        line="a pod's name with a label of more than 63 characters was refused",
        module="csr_signer.policy.attestation",
        old="forms = {POD_NAME: IS_SUBDOMAIN,",
        new='forms = {POD_NAME: re.compile(r"[a-z0-9-]{1,63}(\\.[a-z0-9-]{1,63})*"),',
        seed=10,
    ),
    Fault(
        commit="4ffdfae",
        line="a CSR so large that its certificate did not fit into etcd was approved and signed",
        module="csr_signer.policy.rules",
        old="if csr.size > LARGEST_OBJECT:",
        new="if False:",
        seed=66,
    ),
    Fault(
        commit="c1e5871",
        line="the event of an approval waited for the delay that the answer to the earlier event demanded",
        module=WORK_QUEUE,
        old="tracked.due > soon:",
        new="tracked.due > soon and tracked.is_acknowledged:",
        mode=Mode.DELIVERY,
        seed=14,
    ),
    Fault(
        commit="c1e5871",
        line="what a full queue had left out waited for the next resync, however empty the queue was",
        module=WORK_QUEUE,
        old="returned = self._was_full and self._is_half_free",
        new="returned = False",
        mode=Mode.DELIVERY,
        seed=55,
    ),
    Fault(
        commit="c1e5871",
        line="one requester could fill the queue",
        module=WORK_QUEUE,
        old="is_scarce=not self._is_half_free",
        new="is_scarce=False",
        mode=Mode.DELIVERY,
        seed=20,
    ),
    Fault(
        commit="c1e5871",
        line="a CSR whose events were answered with 403 or 404 was sent again without a pause",
        module=RETRY_POLICY,
        old="    return max(full_jitter, answer.retry_after or 0.0)",
        new="    is_from_elsewhere = answer.verdict in {Verdict.CREDENTIAL, Verdict.ENDPOINT}\n"
        "    return 0.0 if is_from_elsewhere else max(full_jitter, answer.retry_after or 0.0)",
        mode=Mode.DELIVERY,
        seed=49,
    ),
    Fault(
        commit="c1e5871",
        line="events that hung kept their places until they timed out",
        module=LIMITER,
        old="STUCK = 3.0",
        new="STUCK = 60.0",
        mode=Mode.DELIVERY,
        seeds=200,
        seed=6,
    ),
    Fault(
        commit="874bbbb",
        line="a requester could cause any number of events",
        module=FAIR_QUEUE,
        old="record.full_at = max(now, record.full_at) + self._rate_limit.seconds",
        new="record.full_at = now",
        mode=Mode.DELIVERY,
        seed=2,
    ),
    Fault(
        commit="accaff3",
        line="retries of a requester's failing CSRs cost no tokens",
        module=FAIR_QUEUE,
        old=" and self._requesters[lane.requester].held == 1",
        new="",
        mode=Mode.DELIVERY,
        seed=2,
    ),
    Fault(
        commit="12ae986",
        line="403 and 404 paused all CSRs, although one requester alone got them",
        module=LIMITER,
        old="is_news = self.is_failing and",
        new="is_news = (self.is_failing or answer.verdict in {Verdict.CREDENTIAL, Verdict.ENDPOINT}) and",
        mode=Mode.DELIVERY,
        seed=63,
    ),
    Fault(
        commit="accaff3",
        line="503 paused all CSRs, although one requester alone got it",
        module=LIMITER,
        old="is_news = self.is_failing and",
        new="is_news = (self.is_failing or answer.verdict is Verdict.UNAVAILABLE) and",
        mode=Mode.DELIVERY,
        seeds=250,
        seed=236,
    ),
    Fault(
        commit="7902fb6",
        line="the back-off of a deferred CSR grew above the function's Retry-After from the first deferral on",
        module=RETRY_POLICY,
        old="grown = failures if answer.retry_after is None else max(0, failures - TRUSTED_RETRY_AFTERS)",
        new="grown = failures",
        mode=Mode.DELIVERY,
        seed=15,
    ),
    Fault(
        commit="8e3326b",
        line="a requester that always got a failure was as urgent as others if it filed a new CSR each time",
        module=FAIR_QUEUE,
        old="if record.failed_at is not None:",
        new="if lane.is_retry and record.failed_at is not None:",
        mode=Mode.DELIVERY,
        seed=72,
    ),
)
"""The faults: of the function first, then of the exporter."""


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Plants a fault, and takes it back in the end."""
    live = import_module(fault.module)
    namespace = _executed(live, _changed(live, fault))
    with ExitStack() as restored:
        for name, new in namespace.items():
            _exchange(live, name, new, restored)
        yield


def _changed(live: ModuleType, fault: Fault) -> str:
    source = Path(live.__file__ or "").read_text("utf-8")
    if source.count(fault.old) != 1:
        raise ValueError(
            f"{fault}: {fault.module} has {source.count(fault.old)} times, and must have once: {fault.old}"
        )
    return source.replace(fault.old, fault.new)


def _executed(live: ModuleType, source: str) -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": live.__name__, "__file__": live.__file__}
    exec(compile(source, live.__file__ or "", "exec"), namespace)  # noqa: S102 - the project's own source
    return {name: value for name, value in namespace.items() if not name.startswith("__")}


def _exchange(owner: ModuleType | type, name: str, new: object, restored: ExitStack) -> None:
    """Gives a module's or class's attribute what is different in `new`."""
    live = vars(owner).get(name)
    if isinstance(live, type) and isinstance(new, type):
        if live.__module__ == new.__module__ == owner.__name__:
            for part, value in vars(new).items():
                _exchange(live, part, value, restored)
    elif isinstance(new, _PLAIN) and type(new) is type(live) and isinstance(owner, ModuleType):
        _set(owner, name, new, restored)
    for function, changed in zip(_functions(live), _functions(new), strict=False):
        if function.__code__ != changed.__code__:
            _set(function, "__code__", changed.__code__, restored)


def _functions(value: object) -> Iterator[FunctionType]:
    """Returns the functions behind an attribute: its own, those of a property, and the one that a decorator wraps."""
    parts = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
    for part in parts:
        if isinstance(part, FunctionType):
            yield part
            yield from _functions(getattr(part, "__wrapped__", None))


def _set(owner: object, name: str, value: object, restored: ExitStack) -> None:
    restored.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
