"""pkilint has nothing to say of our certificates but what is waived, by RFC 5280 and by the rules of the public web."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from pkilint import finding_filter, loader
from pkilint.cabf import serverauth
from pkilint.cabf.serverauth.serverauth_constants import CertificateType
from pkilint.pkix import certificate, extension, name
from pkilint.validation import ValidationFindingSeverity

from tests.linters.certificates import Linted
from tests.linters.waivers import PKILINT_LEAF, PKILINT_LEAF_WEB, PKILINT_ROOT, PKILINT_ROOT_WEB


def pkix_findings(linted: Iterable[Linted]) -> Mapping[str, list[str]]:
    """Findings by RFC 5280: each with the certificates that it is about."""
    validator = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    return _findings(linted, validator)


def web_findings(linted: Iterable[Linted], kind: CertificateType) -> Mapping[str, list[str]]:
    """Findings by the TLS Baseline Requirements, without those of RFC 5280 that they replace."""
    validator = certificate.create_pkix_certificate_validator_container(
        serverauth.create_decoding_validators(), serverauth.create_validators(kind)
    )
    return _findings(linted, validator, serverauth.create_serverauth_finding_filters(kind))


def _findings(linted: Iterable[Linted], validator: Any, filters: Iterable[Any] = ()) -> Mapping[str, list[str]]:
    found = defaultdict(list)
    for each in linted:
        results = validator.validate(loader.load_certificate(each.encoded, each.name).root)
        kept, _ = finding_filter.filter_results(list(filters), results)
        for description in (description for result in kept for description in result.finding_descriptions):
            if description.finding.severity <= ValidationFindingSeverity.NOTICE:  # 0 is FATAL
                found[description.finding.code].append(f"{each.name}: {description.message}")
    return found


def assert_only(found: Mapping[str, list[str]], waived: Mapping[str, str]) -> None:
    """Every finding is waived, and every waiver is needed."""
    assert {code: about[:3] for code, about in found.items() if code not in waived} == {}
    assert set(waived) - set(found) == set(), "waivers that nothing needs any more"


def test_leaves_by_rfc_5280(every_leaf: list[Linted]) -> None:
    """Every issuer algorithm, every kind of key, with and without addresses."""
    assert len(every_leaf) == 15 * 7 * 2
    assert_only(pkix_findings(every_leaf), PKILINT_LEAF)


def test_leaves_by_the_rules_of_the_web(every_leaf: list[Linted]) -> None:
    """Where we differ, we differ on purpose."""
    assert_only(web_findings(every_leaf, CertificateType.DV_FINAL_CERTIFICATE), PKILINT_LEAF_WEB)


def test_roots_by_rfc_5280(every_root: list[Linted]) -> None:
    """A root on a key version of every algorithm, made by `signerctl ca create`."""
    assert len(every_root) == 15
    assert_only(pkix_findings(every_root), PKILINT_ROOT)


def test_roots_by_the_rules_of_the_web(every_root: list[Linted]) -> None:
    """Where we differ, we differ on purpose."""
    assert_only(web_findings(every_root, CertificateType.ROOT_CA), PKILINT_ROOT_WEB)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda leaf: leaf.replace(b"\x55\x1d\x13", b"\x55\x1d\x12"), "itu.invalid_asn1_syntax"),
        (lambda leaf: _with_bit(leaf, leaf.index(b"\x02\x14") + 2, 0x80), "pkix.certificate_serial_number"),
        (lambda leaf: _with_bit(leaf, leaf.index(b"\x17\x0d") + 14, 0x01), "pkix.utctime_incorrect_syntax"),
    ],
    ids=["basicConstraints that is something else", "a negative serial number", "a time without Z"],
)
def test_a_fault_would_be_found(every_leaf: list[Linted], spoil: Callable[[bytes], bytes], code: str) -> None:
    """The linter reads the bytes: what is wrong in one of them is a finding that nothing waives."""
    found = pkix_findings([Linted(name="spoilt", encoded=spoil(every_leaf[0].encoded))])
    assert any(each.startswith(code) for each in set(found) - set(PKILINT_LEAF)), sorted(found)


def _with_bit(encoded: bytes, place: int, bit: int) -> bytes:
    return encoded[:place] + bytes([encoded[place] ^ bit]) + encoded[place + 1 :]
