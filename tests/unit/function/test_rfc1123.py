"""Names of RFC 1123, as DNS and as Kubernetes have them."""

import re

import pytest

from csr_signer.rfc1123 import IS_DNS_NAME, IS_LABEL, IS_SUBDOMAIN

EVERY = (IS_LABEL, IS_DNS_NAME, IS_SUBDOMAIN)


@pytest.mark.parametrize(
    ("text", "matched_by"),
    [
        ("a", EVERY),
        ("0-9", EVERY),
        ("n" * 63, EVERY),
        ("n" * 64, (IS_SUBDOMAIN,)),
        ("a.b", (IS_DNS_NAME, IS_SUBDOMAIN)),
        ("n." * 126 + "n", (IS_DNS_NAME, IS_SUBDOMAIN)),
        ("n." * 126 + "nn", ()),
        ("n" * 253, (IS_SUBDOMAIN,)),
        ("n" * 254, ()),
        ("", ()),
        ("A", ()),
        ("-a", ()),
        ("a-", ()),
        ("a..b", ()),
        (".a", ()),
        ("a.", ()),
        ("a.-b", ()),
        ("a_b", ()),
        ("a\n", ()),
        ("\u00e9", ()),
    ],
)
def test_a_name_is_matched_by(text: str, matched_by: tuple[re.Pattern[str], ...]) -> None:
    """63 characters in a label of DNS, 253 in all; Kubernetes bounds the whole name alone."""
    assert tuple(each for each in EVERY if each.fullmatch(text)) == matched_by
