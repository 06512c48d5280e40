"""Names of RFC 1123, each as a pattern (of ECMA-262 too) for use in others, and as an expression for whole texts."""

import re
from typing import Final

LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""A DNS label; Kubernetes validates the names of namespaces with it (apimachinery `IsDNS1123Label`)."""
DNS_NAME: Final = rf"{LABEL}(?:\.{LABEL})*"
"""Labels with dots between them, as in DNS, without the bound of their whole length."""
IS_LABEL: Final = re.compile(LABEL)
IS_DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}$){DNS_NAME}")
# Kubernetes does not bound the parts between the dots.
_PART: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
IS_SUBDOMAIN: Final = re.compile(rf"(?=.{{1,253}}$){_PART}(?:\.{_PART})*")
"""The name of a pod or of a service account (apimachinery `IsDNS1123Subdomain`)."""
