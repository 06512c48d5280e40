"""Validates the values of the options of `signerctl cluster manifests`."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from csr_signer.violation import quote
from signerctl.cluster import chosen_options, monitoring, placement
from signerctl.options import username

# A repository as in the OCI distribution specification, with the registry's host and port; no tag.
_REPOSITORY: Final = re.compile(r"(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", re.ASCII)
_TAG: Final = re.compile(r"(.*):([^:/]*)", re.DOTALL)
_ALGORITHM: Final = "sha256:"
_DIGITS: Final = 64

Values = tuple[str, ...]


def image(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Validates the name of an image, with its digest and without a tag; the empty name is none."""
    if value is None or (not value and not parameter.required):
        return None
    if wrong := "; ".join(_wrong_parts(value)):
        must = f"must be REPOSITORY@sha256:DIGEST: {wrong}; docker push prints the digest"
        raise click.BadParameter(f"{quote(value)}: {must}")
    return value


def _wrong_parts(image: str) -> Iterator[str]:
    """Yields what is wrong with each part of an image's name."""
    repository, at, digest = image.partition("@")
    if tagged := _TAG.fullmatch(repository):
        repository = tagged[1]
        yield f"remove the tag {quote(tagged[2])}, which can point to other code after its review"
    if not _REPOSITORY.fullmatch(repository):
        yield f"the repository {quote(repository)} must be HOST[:PORT]/NAME, with NAME in lower case"
    if not at:
        yield "the digest is missing"
    elif not digest.startswith(_ALGORITHM):
        yield f"the digest must start with {_ALGORITHM}"
    elif len(digits := digest.removeprefix(_ALGORITHM)) != _DIGITS:
        yield f"the digest must have {_DIGITS} characters after {_ALGORITHM}, and has {len(digits)}"
    elif not re.fullmatch("[0-9a-f]*", digits):
        yield "the digest must have only the characters 0 to 9 and a to f"


def approvers(context: click.Context, parameter: click.Parameter, values: Values) -> Values:
    """Validates usernames; a single empty one is none."""
    return tuple(username(context, parameter, _given(values)))


def function_user(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Validates a username; the empty text counts as none, so the command says which one it requires."""
    return str(username(context, parameter, value)) if value else None


def out(context: click.Context, _parameter: click.Parameter, value: str) -> Path:
    """Makes the options of the folder's last run the defaults of the other options."""
    if not value:
        raise click.BadParameter('"": must be a folder; . is the current one')
    path = Path(value)
    context.default_map = dict(chosen_options.read(path))
    return path


def endpoint(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Validates ADDRESS:PORT; the empty text is none."""
    return _valid(value, monitoring.endpoint) if value else None


def node_selectors(_context: click.Context, _parameter: click.Parameter, values: Values) -> Values:
    """Validates labels of nodes, each key once; a single empty one is none."""
    found = tuple(_valid(each, placement.label) for each in _given(values))
    if len({each.partition("=")[0] for each in found}) < len(found):
        raise click.BadParameter(f"{quote(found)}: must have each key once")
    return found


def tolerations(_context: click.Context, _parameter: click.Parameter, values: Values) -> Values:
    """Validates taints of nodes; a single empty one is none."""
    return tuple(_valid(each, placement.toleration) for each in _given(values))


def _given(values: Values) -> Values:
    return () if values == ("",) else values


def _valid(value: str, parse: Callable[[str], object]) -> str:
    try:
        parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{quote(value)}: {error}") from error
    return value
