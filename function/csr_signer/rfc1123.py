"""Names of RFC 1123 as Kubernetes validates them (apimachinery `IsDNS1123Label`, `IsDNS1123Subdomain`)."""

import re
from typing import Final

LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""A label, as a part of other patterns; one of ECMA-262 too."""
SUBDOMAIN: Final = rf"{LABEL}(?:\.{LABEL})*"
"""Labels with dots between them, without the bound of their whole length."""
IS_LABEL: Final = re.compile(LABEL)
IS_SUBDOMAIN: Final = re.compile(rf"(?=.{{1,253}}$){SUBDOMAIN}")
