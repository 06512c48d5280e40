"""Requests as files, since their bytes matter: what other programs write, and what only a search found.

The mutants are of tests/interoperability/test_view.py: an honest request with one change in its structure, signed
again. Go's parser reads each of them; for each the function has a reason to refuse it.
"""

from typing import Final

from tests.paths import GOLDEN
from tests.unit.function.requests.malformed import UNREADABLE_SUBJECT
from tests.unit.function.requests.table import invalid, permitted, refused, row, table

FOLDER: Final = GOLDEN / "requests"
_MUTANT: Final = "tests/interoperability/test_view.py: a mutant that Go reads"


def _read(name: str) -> bytes:
    return (FOLDER / f"{name}.csr").read_bytes()


CASES: Final = table(
    permitted("Go 1.26 crypto/x509, as Calico's client calls it; OpenSSL 3", "request", of=_read),
    row("the honest request as Go writes it", "go"),
    row("the honest request as OpenSSL writes it", "openssl"),
    refused("OpenSSL 3: options -text and -newhdr", "request", "request.pem", of=_read),
    row("OpenSSL's text before the block", "openssl-text"),
    invalid("OpenSSL's old label", "openssl-newhdr"),
    refused(_MUTANT, "request", "request.der", of=_read),
    row("a version whose two bytes are an empty sequence", "version-12288"),
    row("a CertificationRequestInfo that ends in half an element", "information-that-ends-in-half-an-element"),
    refused(_MUTANT, "request", "request.attribute", "san.dns.missing", of=_read),
    row("an attribute whose values are out of order", "attribute-values-out-of-order"),
    row("an attribute without a type", "attribute-without-a-type"),
    refused(_MUTANT, "request", *UNREADABLE_SUBJECT, of=_read),
    row("an RDN whose attributes are out of order", "rdn-out-of-order"),
    row("a common name in a sequence", "common-name-in-a-sequence"),
    refused(_MUTANT, "request", "san.type", of=_read),
    row("a set among the names", "set-among-the-names"),
    row("a name in a name", "name-in-a-name", "san.dns.missing"),
    refused(_MUTANT, "request", "request.extension", of=_read),
    row("basic constraints of no bytes", "basic-constraints-of-no-bytes"),
    row("basic constraints with a long length", "basic-constraints-with-a-long-length"),
    row("basic constraints with a sequence in them", "basic-constraints-with-a-sequence"),
    row("a key usage in a sequence", "key-usage-in-a-sequence"),
    row("a key usage of 42 padding bits", "key-usage-of-42-padding-bits"),
    row("a purpose with a padded arc", "purpose-with-a-padded-arc"),
    row("an extended key usage of indefinite length", "extended-key-usage-of-indefinite-length"),
    row("an extended key usage that ends in half an element", "extended-key-usage-that-ends-in-half-an-element"),
    refused(_MUTANT, "request", "key_usage.not_allowed", "request.disagreement", of=_read),
    row("a key usage whose only bit is encipher only, with its padding", "key-usage-of-encipher-only"),
)
