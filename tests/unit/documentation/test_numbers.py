"""Times and counts in the pages are those of the code. Other tests hold the numbers of the generated tables."""

import dataclasses
import re
from datetime import timedelta

import click
import pytest

from csr_exporter import __main__ as exporter
from csr_exporter import pages
from csr_exporter.queue.fair_queue import RateLimit
from csr_signer.configuration.schema import SignerConfiguration
from sandbox.acceptance import removal
from sandbox.calico import stories
from sandbox.demo import options as demo
from signerctl.commands.key_pairs import key_pairs
from signerctl.commands.renew import renew
from tests.paths import INFRA, ROOT


def default(command: click.Command, option: str) -> object:
    """Returns the default of a command's option."""
    return next(each.default for each in command.params if each.name == option)


def field(name: str, file: str) -> str:
    """Returns the value of a field of a CronJob in the example folder."""
    text = (INFRA / "cluster" / "examples" / "demo" / file).read_text(encoding="utf-8")
    (found,) = re.findall(rf"^ +{name}: (.*)$", text, re.MULTILINE)
    return str(found).strip('"')


def auto_close() -> set[str]:
    """Returns after which time an incident about single log entries closes itself."""
    text = (INFRA / "modules" / "audit" / "alerts.tf").read_text(encoding="utf-8")
    return set(re.findall(r'auto_close = "(\w+)"', text))


def deferral_limit() -> object:
    """Returns the default of a signer's `deferral_limit`."""
    return next(each.default for each in dataclasses.fields(SignerConfiguration) if each.name == "deferral_limit")


ROWS = [
    ("docs/renew.md", "within `--timeout` (10 minutes)", default(renew, "timeout"), "10m"),
    ("docs/renew.md", "less than a third of its lifetime left (`--remaining`)", default(renew, "remaining"), "1/3"),
    ("docs/renew.md", "a CronJob that runs daily", field("schedule", "renewal.yaml"), "17 6 * * *"),
    ("docs/renew.md", "after six hours", field("activeDeadlineSeconds", "renewal.yaml"), "21600"),
    ("docs/key-pairs.md", "(`--timeout`, 90 seconds)", default(key_pairs, "timeout"), "90s"),
    (
        "docs/key-pairs.md",
        "less than a third of the lifetime left (`--remaining`)",
        default(key_pairs, "remaining"),
        "1/3",
    ),
    ("docs/key-pairs.md", "a CronJob that runs every 15 minutes", field("schedule", "key-pairs.yaml"), "*/15 * * * *"),
    ("docs/acceptance.md", "If one is left after 90 seconds", removal.GONE_SECONDS, 90),
    ("docs/troubleshooting.md", "it ends itself after a minute", exporter.DEAD_SECONDS, 60),
    ("docs/troubleshooting.md", "After five minutes (`deferral_limit`)", deferral_limit(), timedelta(minutes=5)),
    ("docs/monitoring.md", "at most eight connections of ten seconds each", pages.MAX_CONNECTIONS, 8),
    ("docs/key-pairs.md", "may stay open for a day", auto_close(), {"86400s"}),
    ("docs/tutorial.md", "5. 19 attackers", len(stories.STORIES), 19),
    ("README.md", "19 attackers are refused", len(stories.STORIES), 19),
    ("README.md", "60 pods of calico-node, Typha", demo.PODS, 60),
    (
        "docs/cost.md",
        "six CSRs at once and then one every 30 seconds",
        (RateLimit().burst, RateLimit().seconds),
        (6, 30),
    ),
]


@pytest.mark.parametrize(("page", "words", "found", "expected"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_a_number_of_a_page_is_the_codes(page: str, words: str, found: object, expected: object) -> None:
    """Whoever changes one must change the other."""
    assert words in " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert found == expected
