"""Violations: stable codes, and texts of other parties that are bounded and printable."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.violation import CODES, LONGEST_QUOTE, LONGEST_TEXT, Violation, describe, ordered, quote
from tests.unit.function.tables import CASES


def test_every_code_has_a_row() -> None:
    """Each code of CODES is given by at least one row of the tables, so none is dead and none is untested."""
    shown = {code for row in CASES for code in row.breaks}
    assert set(CODES) == shown


@pytest.mark.parametrize("code", CODES)
def test_codes_are_words_and_dots(code: str) -> None:
    """Codes go into queries and alert filters: lower case, two or three words, and a sentence of what is allowed."""
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+){1,2}", code)
    assert CODES[code].allowed
    assert not CODES[code].allowed.endswith(".")
    assert re.fullmatch(r"([A-Z][a-z]+){2,3}", CODES[code].reason)


def test_violations_of_the_requester_come_first() -> None:
    """A refusal's reason is that of its most important violation, in any order of discovery."""
    found = [Violation(code=code, message="") for code in ("usages.not_allowed", "request.pem", "pod.gone")]
    assert [violation.code for violation in ordered(found)] == ["pod.gone", "request.pem", "usages.not_allowed"]
    assert ordered(found)[0].reason == "PodGone"


def test_an_unknown_code_is_no_violation() -> None:
    """A mistyped code is found where it is written."""
    with pytest.raises(ValueError, match=r"'san\.dsn'"):
        Violation(code="san.dsn", message="")


def test_a_violation_reads_as_code_and_message() -> None:
    """Conditions, Events and records show it so."""
    assert str(Violation(code="request.pem", message="got garbage")) == "request.pem: got garbage"


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("plain", '"plain"'),
        ("it's", '"it\'s"'),
        ('a "b" \\ c', r'"a \"b\" \\ c"'),
        ("two\nlines", r'"two\nlines"'),
        ("\x1b[31mred\u202e", r'"\x1b[31mred\u202e"'),
        ("naïve 🔥", r'"na\xefve \U0001f525"'),
        ("\ud800", r'"\ud800"'),
        (b"\x00\xff", r'"\x00\xff"'),
        (None, "None"),
        (["a", "b"], '["a", "b"]'),
        ("x" * 126, '"' + "x" * 126 + '"'),
        ("x" * 127, '"' + "x" * 127 + "..."),
        ("x" * 10**6, '"' + "x" * 127 + "..."),
        (["é" * 10**4], '["' + r"\xe9" * 31 + r"\x..."),
    ],
    ids=range(14),
)
def test_quoted(value: object, quoted: str) -> None:
    """Text of another party is escaped and cut."""
    assert quote(value) == quoted


@settings(max_examples=60)
@given(st.text() | st.binary() | st.lists(st.text()) | st.none() | st.integers())
def test_quotes_are_bounded_and_printable(value: object) -> None:
    """Printable ASCII of at most LONGEST_QUOTE characters and three dots, whatever it was."""
    text = quote(value)
    assert len(text) <= LONGEST_QUOTE + 3
    assert text.isascii()
    assert text.isprintable()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(sorted(CODES)), st.text(max_size=400)), max_size=40))
def test_descriptions_are_bounded(parts: list[tuple[str, str]]) -> None:
    """All violations in one text of bounded length and printable ASCII, which says how many did not fit."""
    violations = [Violation(code=code, message=quote(message)) for code, message in parts]
    text = describe(violations)
    assert len(text) <= LONGEST_TEXT + 20
    assert text.isascii()
    assert text.isprintable()
    assert all(str(violation) in text for violation in violations) or text.endswith(" more")


def test_a_description_names_everything_in_order() -> None:
    """Sentences stand in the order in which they were found."""
    violations = [Violation(code="request.pem", message="one"), Violation(code="pod.gone", message="two")]
    assert describe(violations) == "request.pem: one; pod.gone: two"
    assert describe([]) == ""


def test_a_description_counts_what_did_not_fit() -> None:
    """Of two hundred violations the first are shown, and the rest is a number."""
    violations = [Violation(code="san.dns.not_allowed", message=f"got {number:03}") for number in range(200)]
    text = describe(violations)
    shown = text.count("got ")
    assert 0 < shown < 200
    assert text.endswith(f"; and {200 - shown} more")


def test_one_long_violation_is_cut_and_not_lost() -> None:
    """A description never names nothing, however long a message is."""
    text = describe([Violation(code="pod.gone", message="x" * 5000), Violation(code="pod.node", message="y")])
    assert text.startswith("pod.gone: xxx")
    assert "pod.node: y" in text
    assert len(text) <= LONGEST_TEXT
