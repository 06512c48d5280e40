"""Names of RFC 1123: patterns for use in other patterns (also valid in ECMA-262), and regular expressions."""

import re
from typing import Final

LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""A DNS label; Kubernetes validates names of namespaces with it (apimachinery `IsDNS1123Label`)."""
DNS_NAME: Final = rf"{LABEL}(?:\.{LABEL})*"
"""DNS labels with dots between them, without the limit for the whole length."""
IS_LABEL: Final = re.compile(LABEL)
IS_DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}$){DNS_NAME}")
# Kubernetes does not limit the length of labels.
_PART: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
IS_SUBDOMAIN: Final = re.compile(rf"(?=.{{1,253}}$){_PART}(?:\.{_PART})*")
"""The name of a pod or of a service account (apimachinery `IsDNS1123Subdomain`)."""
