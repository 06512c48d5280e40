"""What other linters may say of our certificates, each by its lint's name with the reason: everything else fails.

The linters know the rules of the public web. Ours is a private PKI: its relying parties are Calico's components, which
trust one root, know each other by fixed names inside a cluster, and ask nobody for revocation.
"""

from collections.abc import Mapping
from typing import Final

NO_REVOCATION: Final = "there is no revocation: the remedy is to rotate the CA, and the README says so"
NO_POLICIES: Final = "policies name a public CA's practice statement; nobody looks for one here"
INTERNAL_NAMES: Final = "names inside a cluster are what is certified; they are checked against the profile"
COMMON_NAME: Final = "Calico's components know each other by the common name"
KEY_IDENTIFIER: Final = "RFC 5280 §4.2.1.2 recommends it; without it chains cannot be told apart in a rotation"
NO_ORGANISATION: Final = "the operator chooses the subject; a private root need not name a company"
TLS_ONLY: Final = "a root for TLS alone is worth less to a thief: design, section 9"
LEAVES_ONLY: Final = "path length 0: the root issues leaves only"
NO_OCSP: Final = "the CA's key signs no OCSP answers"

PKILINT_LEAF: Final[Mapping[str, str]] = {
    "pkix.invalid_domain_name_syntax": "pkilint wants a dot in a name; `typha-client` is RFC 1034's preferred syntax",
}
"""RFC 5280."""

PKILINT_LEAF_WEB: Final[Mapping[str, str]] = {
    "cabf.internal_domain_name": INTERNAL_NAMES,
    "cabf.internal_ip_address": INTERNAL_NAMES,
    "cabf.serverauth.dv.common_name_attribute_present": COMMON_NAME,
    "cabf.serverauth.subscriber.authority_info_access_extension_absent": NO_REVOCATION,
    "cabf.serverauth.subscriber.certificate_policies_extension_absent": NO_POLICIES,
    "cabf.serverauth.subscriber.revocation_information_absent": NO_REVOCATION,
    "cabf.serverauth.subscriber.subject_key_identifier_extension_present": KEY_IDENTIFIER,
    "cabf.serverauth.subscriber_rsa_digitalsignature_and_keyencipherment_present": (
        "Calico's clients and TLS 1.2 suites without forward secrecy may need both; design, section 8"
    ),
    "msft.end_entity.revocation_information_absent": NO_REVOCATION,
}
"""TLS Baseline Requirements, as for a domain-validated certificate."""

ZLINT_LEAF: Final[Mapping[str, str]] = {
    "e_dnsname_not_valid_tld": INTERNAL_NAMES,
    "e_ext_san_contains_reserved_ip": INTERNAL_NAMES,
    "n_san_iana_pub_suffix_empty": INTERNAL_NAMES,
    "w_subject_common_name_included": COMMON_NAME,
    "w_ext_subject_key_identifier_not_recommended_subscriber": KEY_IDENTIFIER,
    "e_missing_crl_distrib_point": NO_REVOCATION,
    "e_sub_cert_aia_missing": NO_REVOCATION,
    "w_sub_cert_aia_does_not_contain_issuing_ca_url": "the chain comes with the leaf, nobody need fetch it",
    "e_sub_cert_cert_policy_empty": NO_POLICIES,
    "e_sub_cert_certificate_policies_missing": NO_POLICIES,
    "n_ct_sct_policy_count_unsatisfied": "certificates of a private PKI go into no public log",
}
"""Everything that zlint has."""

PKILINT_ROOT: Final[Mapping[str, str]] = {}
"""RFC 5280."""

PKILINT_ROOT_WEB: Final[Mapping[str, str]] = {
    "cabf.ca_certificate_no_digital_signature_bit": NO_OCSP,
    "cabf.serverauth.ca.country_attribute_absent": NO_ORGANISATION,
    "cabf.serverauth.ca.organization_name_attribute_absent": NO_ORGANISATION,
    "cabf.serverauth.root.authority_key_identifier_extension_absent": "RFC 5280 §4.2.1.1: a root may leave it out",
    "cabf.serverauth.root.extended_key_usage_extension_present": TLS_ONLY,
    "cabf.serverauth.root_basic_constraints_pathlenconstraint_present": LEAVES_ONLY,
}
"""TLS Baseline Requirements, as for a root."""

ZLINT_ROOT: Final[Mapping[str, str]] = {
    "e_ca_country_name_missing": NO_ORGANISATION,
    "e_ca_organization_name_missing": NO_ORGANISATION,
    "e_root_ca_extended_key_usage_present": TLS_ONLY,
    "n_ca_digital_signature_not_set": NO_OCSP,
    "w_root_ca_basic_constraints_path_len_constraint_field_present": LEAVES_ONLY,
}
"""Everything that zlint has."""
