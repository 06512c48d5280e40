"""All rows: those of tests/unit/function/tables.py, at least one per rule, and those of this package's modules.

Every row is written anew. Its `source` names the test, or the section of a standard, that gave the idea. The projects:
kubernetes/kubernetes, tigera/operator, projectcalico/calico (key-cert-provisioner), letsencrypt/boulder,
cert-manager/cert-manager and cert-manager/approver-policy, smallstep/certificates, sigstore/fulcio,
openshift/cluster-machine-approver, postfinance/kubelet-csr-approver, kontena/kubelet-rubber-stamp.

What their tests ask and no row does, with the tests that do:

    conditions and status.certificate by subresource, field selectors   tests/contract/kubernetes
    admission of approval and signing by signerName                     tests/infra/cluster
    two CSRs, a poisoned CSR among many, a new pod during signing       tests/unit/function/ports, tests/end_to_end
    errors of other services, transient and permanent                   tests/unit/function/ports
    serial numbers, wrong issuer, lint failure, TBS mismatch            tests/unit/function/issuance
    a configuration without profile, an issuer that is not ready        tests/unit/function/configuration

The function has no regular expressions, DNS lookups or resolvers, keeps no list of leaked keys, and does not see that
two pods use one key, which would need state.
"""

from typing import Final

from tests.unit.function import tables
from tests.unit.function.builders import Case
from tests.unit.function.requests import (
    components,
    curves,
    extensions,
    golden,
    keys,
    names,
    pem,
    pods,
    requesters,
    signatures,
    structure,
    subjects,
    times,
    usages,
)

CASES: Final[tuple[Case, ...]] = (
    *tables.CASES,
    *pem.CASES,
    *structure.CASES,
    *extensions.CASES,
    *subjects.CASES,
    *names.CASES,
    *usages.CASES,
    *keys.CASES,
    *curves.CASES,
    *signatures.CASES,
    *requesters.CASES,
    *pods.CASES,
    *times.CASES,
    *components.CASES,
    *golden.CASES,
)
