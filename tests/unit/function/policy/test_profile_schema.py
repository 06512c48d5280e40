"""The published JSON Schema of a profile: it accepts what is right and refuses what it can say is wrong."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.document import read
from csr_signer.errors import ConfigurationError
from csr_signer.policy import grammar
from csr_signer.policy.profile import SHIPPED, Profile
from tests.paths import EXAMPLE_PROFILES
from tests.unit.function.policy.broken_profiles import BROKEN, Broken, component, profile

EXAMPLES = EXAMPLE_PROFILES
PROFILES = [*sorted(SHIPPED.glob("*.yaml")), *sorted(EXAMPLES.glob("*.yaml"))]


@cache
def schema() -> dict[str, Any]:
    """The committed schema."""
    committed: dict[str, Any] = json.loads((SHIPPED / "schema.json").read_text(encoding="utf-8"))
    return committed


@cache
def validator() -> jsonschema.Draft202012Validator:
    """Of the committed schema."""
    return jsonschema.Draft202012Validator(schema())


def violations_of(content: object) -> list[str]:
    """What the schema says against a profile."""
    return [error.message for error in validator().iter_errors(content)]


def test_it_is_a_schema_that_names_no_host() -> None:
    """Its identifier is a name, not an address that somebody else could own."""
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$id"] == "urn:kms-csr-signer:profile"


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_of_the_project_are_valid(path: Path) -> None:
    """Shipped and example profiles, each read by the types as well."""
    assert not violations_of(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert read(Profile, path).components


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_names_the_schema(path: Path) -> None:
    """The first line leads an editor to it, from where the example lies."""
    line = path.read_text(encoding="utf-8").splitlines()[0]
    assert (path.parent / line.removeprefix("# yaml-language-server: $schema=")).resolve() == SHIPPED / "schema.json"


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_refused_is(broken: Broken) -> None:
    """Whatever a single text or list has wrong; what only `load` can say is accepted, so that the table tells which."""
    assert bool(violations_of(broken.content)) == broken.schema


def test_every_object_is_closed() -> None:
    """An unknown key is an error in an editor, too, at every depth."""
    objects = [schema(), *schema()["$defs"].values()]
    assert all(entry["additionalProperties"] is False for entry in objects)
    assert violations_of(profile(subject={"commonName": "x"}))
    assert violations_of(profile(components=[component(dns_names=[{"name": "web", "wildcard": True}])]))


def test_every_key_is_described() -> None:
    """An editor shows it."""
    for entry in (schema(), *schema()["$defs"].values()):
        assert entry["description"]
        assert all(key["description"] for key in entry["properties"].values())


def test_defaults_are_as_one_would_write_them() -> None:
    """Lengths of time have units; so a default can be copied into a profile. The maximum must be written."""
    lifetime = schema()["$defs"]["Lifetime"]
    assert lifetime["properties"]["minimum"]["default"] == "10m"
    assert "default" not in lifetime["properties"]["maximum"]
    assert set(lifetime["required"]) == {"default", "maximum"}


def loads(folder: Path, content: dict[str, Any]) -> bool:
    """Whether the types read it."""
    (folder / "own.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        read(Profile, folder / "own.yaml")
    except ConfigurationError:
        return False
    return True


PIECES = st.sampled_from(
    [
        *"aZ09.-_:/ *\n\u0663\u00e9",
        "{pod}",
        "{namespace}",
        "{cluster_domain}",
        "{node}",
        "system:",
        "svc",
        "a" * 60,
        "{",
        "}",
    ]
)


@settings(max_examples=100)
@given(
    text=st.lists(PIECES, max_size=6).map("".join), key=st.sampled_from(["common_name", "dns", "request", "account"])
)
def test_types_and_schema_agree_on_any_text(text: str, key: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One pattern for both. A last line's end is the exception: where Python reads the schema, `$` overlooks it."""
    text = text.rstrip("\n")
    changes: dict[str, dict[str, Any]] = {
        "common_name": {"common_name": text},
        "dns": {"dns_names": [{"name": text}]},
        "request": {"request_names": [{"name": text}]},
        "account": {"service_accounts": [text]},
    }
    content = profile(components=[component(**changes[key])])
    assert loads(tmp_path_factory.getbasetemp(), content) == (not violations_of(content))


def test_patterns_are_of_both_languages() -> None:
    r"""ECMA-262 has neither \A nor \Z, nor Python's named groups, nor possessive quantifiers."""
    text = (SHIPPED / "schema.json").read_text(encoding="utf-8")
    assert not [token for token in ("\\\\A", "\\\\Z", "(?P", "(?>", "++", "*+", "\\\\d") if token in text]
    since = schema()["$defs"]["Releases"]["properties"]["since"]["anyOf"][0]
    assert since["pattern"] == f"^(?:{grammar.RELEASE})$"
