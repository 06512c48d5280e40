"""Options that several commands share, and the validation of their values."""

import functools
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import click

from csr_signer.ca.algorithm import SIGNATURE_HASHES
from csr_signer.ca.checks import OPERATORS_PREFIX
from csr_signer.ca.issuer import PROTECTION_LEVELS
from csr_signer.configuration.validation import KEY_VERSION, KMS_HOSTS, RESERVED_DOMAINS, SIGNER_NAME, is_loopback
from csr_signer.rfc1123 import IS_DNS_NAME, IS_SUBDOMAIN
from csr_signer.violation import quote
from signerctl.guards.guarded import ACCOUNT, Exporter
from signerctl.key import KmsOptions

Command = Callable[..., None]
Option = Callable[[Command], Command]

COMMON_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._:-]{0,62}[A-Za-z0-9._:-])?")
_LONGEST_USERNAME: Final = 512
_LONGEST_ORGANIZATION: Final = 64  # ub-organization-name, RFC 5280 appendix A.1


def key_version(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Validates a key version's full resource name."""
    if value is not None and not KEY_VERSION.fullmatch(value):
        raise _invalid(value, "must be projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N")
    return value


def _common_name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not COMMON_NAME.fullmatch(value):
        raise _invalid(value, "must have 1 to 64 letters, digits, spaces and . _ : -")
    if value.startswith(("system:", OPERATORS_PREFIX)):
        raise _invalid(
            value,
            f"must not start with system:, which Kubernetes reserves, or with {OPERATORS_PREFIX}, which the tigera"
            " operator uses for its own CAs",
        )
    return value


def _organization(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if len(value) > _LONGEST_ORGANIZATION or not value.isprintable() or value != value.strip():
        must = f"must have at most {_LONGEST_ORGANIZATION} printable characters, without spaces at the ends"
        raise _invalid(value, must)
    return value


def _dns_names(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not IS_DNS_NAME.fullmatch(value):
            raise _invalid(value, "must be a DNS name in lower case without wildcard; it includes all names below it")
    if len(set(values)) != len(values):
        raise _invalid(", ".join(values), "must name each DNS name once")
    return values


def signer_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Validates a signerName by the rules of the function's configuration."""
    if value is None:
        return None
    domain = value.partition("/")[0]
    if not SIGNER_NAME.fullmatch(value):
        raise _invalid(value, "must be DOMAIN/NAME with a dot in DOMAIN")
    if any(domain == reserved or domain.endswith(f".{reserved}") for reserved in RESERVED_DOMAINS):
        raise _invalid(value, "must be outside Kubernetes' own domains, for which the function never signs")
    return value


def username(
    _context: click.Context, _parameter: click.Parameter, value: str | tuple[str, ...]
) -> str | tuple[str, ...]:
    """Validates one or several usernames at the API server."""
    for each in (value,) if isinstance(value, str) else value:
        if not 1 <= len(each) <= _LONGEST_USERNAME or not each.isascii() or not each.isprintable():
            raise _invalid(each, f"must have 1 to {_LONGEST_USERNAME} printable ASCII characters")
    return value


def secret_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Validates the name of a Secret; the empty name is none."""
    if value and not IS_SUBDOMAIN.fullmatch(value):
        raise _invalid(value, "must be the name of a Secret in the exporter's namespace")
    return value or None


def _part(_context: click.Context, _parameter: click.Parameter, value: str) -> Fraction:
    """Validates a part of a lifetime."""
    try:
        found = Fraction(value)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 0 < found < 1:
        raise _invalid(value, "must be a part of the lifetime, such as 1/3 or 0.25")
    return found


def _exporter(_context: click.Context, _parameter: click.Parameter, value: str) -> Exporter:
    match = ACCOUNT.fullmatch(value)
    if match is None:
        raise _invalid(value, "must be NAMESPACE/NAME of a service account")
    return Exporter(namespace=match[1], service_account=match[2])


def _kms_host(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not KMS_HOSTS.fullmatch(value):
        raise _invalid(value, "must be a host below googleapis.com, because signerctl sends it your token")
    return value


def _loopback(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_loopback(value):
        raise _invalid(value, "must be HOST:PORT on the loopback address")
    return value


def _invalid(value: str, must: str) -> click.BadParameter:
    return click.BadParameter(f"{quote(value)}: {must}")


INPUT: Final = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
DOCUMENT: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT: Final = click.Path(dir_okay=False, path_type=Path)

ACTIONS: Final = {"deny": ("Deny",), "audit": ("Audit",), "warn": ("Warn", "Audit")}
"""By option: the validationActions of the guards' bindings."""

exporter_option: Final[Option] = click.option(
    "--exporter",
    default="kms-csr-signer/csr-exporter",
    show_default=True,
    callback=_exporter,
    metavar="NAMESPACE/NAME",
    help="The exporter's service account.",
)

approver_option: Final[Option] = click.option(
    "--approver",
    "approvers",
    multiple=True,
    callback=username,
    help="Username of another principal that may approve and deny. May be given several times.",
)
key_version_option: Final[Option] = click.option(
    "--key-version", required=True, callback=key_version, help="The KMS key version, by its full resource name."
)
new_key_version_option: Final[Option] = click.option(
    "--new-key-version", required=True, callback=key_version, help="The new CA's KMS key version, by its full name."
)
force_option: Final[Option] = click.option("--force", is_flag=True, help="Overwrite files that exist.")
audit_log_option: Final[Option] = click.option(
    "--audit-log",
    type=OUTPUT,
    help="Append the audit records to this file; without it, they go to standard error.",
)


def subject_options(command: Command) -> Command:
    """Adds the options of a CA's name: `common_name` and `organization`."""
    for option in (
        click.option("--organization", default="", callback=_organization, help="Organization in the subject."),
        click.option(
            "--common-name",
            required=True,
            callback=_common_name,
            help="Common name in the subject. Use a new one at each rotation: Calico tells CAs apart by it.",
        ),
    ):
        command = option(command)
    return command


permit_dns_option: Final[Option] = click.option(
    "--permit-dns",
    "permitted_dns_names",
    multiple=True,
    metavar="NAME",
    callback=_dns_names,
    help="Name constraint: only this DNS name and names below it. May be given several times.",
)


def kms_options(command: Command) -> Command:
    """Adds the options for Cloud KMS; the command gets them as the argument `kms`."""

    @functools.wraps(command)
    def with_kms(
        *,
        protection_level: str,
        signature_hash: str | None,
        kms_endpoint: str | None,
        unsafe_plaintext_kms_endpoint: str | None,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        if kms_endpoint is not None and unsafe_plaintext_kms_endpoint is not None:
            raise click.UsageError("--kms-endpoint: Forbidden: together with --unsafe-plaintext-kms-endpoint")
        command(
            kms=KmsOptions(
                endpoint=kms_endpoint,
                unsafe_plaintext_endpoint=unsafe_plaintext_kms_endpoint,
                protection_level=protection_level,
                signature_hash=signature_hash,
            ),
            **others,
        )

    with_options: Command = with_kms
    for option in (
        click.option(
            "--unsafe-plaintext-kms-endpoint",
            hidden=True,
            callback=_loopback,
            help="HOST:PORT of a double on the loopback address.",
        ),
        click.option(
            "--kms-endpoint",
            callback=_kms_host,
            metavar="HOST",
            help="Another endpoint of Cloud KMS, for example a regional one.",
        ),
        click.option(
            "--signature-hash",
            type=click.Choice(list(SIGNATURE_HASHES)),
            help="The hash, only for RSA_SIGN_RAW_PKCS1_... keys: all other keys have a fixed hash.",
        ),
        click.option(
            "--protection-level",
            default="HSM",
            show_default=True,
            type=click.Choice(PROTECTION_LEVELS),
            help="The lowest protection level that the key may have.",
        ),
    ):
        with_options = option(with_options)
    return with_options


def remaining_option(help_text: str) -> Option:
    """Adds `--remaining`, the part of a lifetime below which a certificate is due.

    Args:
        help_text: What the command does then.
    """
    return click.option("--remaining", default="1/3", show_default=True, callback=_part, metavar="PART", help=help_text)
