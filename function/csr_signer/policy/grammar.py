r"""Patterns for the texts in a profile. A placeholder stands for one value of the requester or of the cluster.

Each pattern is valid in Python and in ECMA-262, which JSON Schema uses: no \A, \Z, \d or named groups.
"""

import re
from typing import Annotated, Final, Literal

from csr_signer.document import Allowed, matching
from csr_signer.rfc1123 import DNS_NAME, LABEL

PLACEHOLDER: Final = re.compile(r"\{[^}]*\}")
_HOLE: Final = r"\{(?:namespace|cluster_domain)\}"
# A placeholder counts as one character of its label. A pod's creator chooses its name, so {pod} must be a whole label,
# and never the last one.
_PART: Final = rf"(?:[a-z0-9]|{_HOLE})(?:(?:[a-z0-9-]|{_HOLE}){{0,61}}(?:[a-z0-9]|{_HOLE}))?"
_INNER: Final = rf"(?:\{{pod\}}|{_PART})"
_LAST: Final = rf"(?=[0-9-]*[a-z{{]){_PART}"  # with a letter, so that an address does not count as a name

RELEASE: Final = r"[0-9]{1,4}\.[0-9]{1,4}"

Release = Annotated[str, matching(RELEASE, 'must be MAJOR.MINOR in quotes, for example "3.31"')]
"""A release of the software that a profile is for."""

Account = Annotated[str, matching(rf"{LABEL}/{DNS_NAME}", "must be NAMESPACE/NAME of a service account")]
"""A service account."""

RequestName = Annotated[
    str,
    matching(
        r"(?:[A-Za-z0-9._:-]|\{(?:pod|namespace)\}){1,253}",
        "must be 1 to 253 letters, digits and . _ : -, with placeholders {pod} and {namespace}",
    ),
]
"""The name of a CSR object."""

CommonName = Annotated[
    str,
    matching(
        rf"(?!system:)(?:\{{pod\}}\.)?(?:[A-Za-z0-9]|{_HOLE})(?:[A-Za-z0-9 ._:-]|{_HOLE}){{0,63}}",
        "must be 1 to 64 letters, digits, spaces and . _ : -, not starting with system:, with placeholders {namespace}"
        " and {cluster_domain}, and {pod} only as the first of several labels, because the pod's creator chooses it",
    ),
]
"""The common name of a certificate's subject."""

DnsName = Annotated[
    str,
    matching(
        rf"(?=.{{1,253}}$)(?:{_INNER}\.)*{_LAST}",
        "must be a DNS name in lower case without a wildcard, with placeholders {namespace} and {cluster_domain}, and"
        " {pod} only as a whole label that is not the last, because the pod's creator chooses it",
    ),
]
"""A dNSName of a certificate."""

AttributeType = Annotated[
    str,
    matching(
        r"(?!2\.5\.4\.3$)[0-2](?:\.[0-9]{1,9}){1,15}", "must be an OID other than 2.5.4.3, which is the common name"
    ),
]
"""The type of an attribute of a subject."""

Usage = Literal["digital signature", "key encipherment", "key agreement", "server auth", "client auth"]
"""All usages that a profile may allow; never cert sign, crl sign, any or ocsp signing."""

Purpose = Literal["serverAuth", "clientAuth"]
"""An extended key usage that a certificate may have."""

Text = Annotated[str, matching(r"[^\u0000-\u001f\u007f]{1,200}", "must be 1 to 200 characters in one line")]
"""A text for people and audit records."""

Part = Annotated[
    float,
    Allowed(
        holds=lambda part: 0 < part < 1,
        must="must be a number between 0 and 1",
        keywords={"exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ),
]
"""A fraction, such as 0.5."""
