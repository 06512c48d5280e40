"""All rows: one or more for each rule, from tests/function/tables.py, and what the modules of this package add.

Everything is written anew; nothing is copied. A row's `source` names the test, or the section of a standard, that it is
made after. The projects: kubernetes/kubernetes, tigera/operator, projectcalico/calico (key-cert-provisioner),
letsencrypt/boulder, cert-manager/cert-manager and cert-manager/approver-policy, smallstep/certificates, sigstore/fulcio,
openshift/cluster-machine-approver, postfinance/kubelet-csr-approver, kontena/kubelet-rubber-stamp.

What their tests ask and no row here does, with the place that does:

    conditions and status.certificate per subresource, field selectors    tests/contract/kubernetes
    admission of approval and signing by signerName                       tests/infra/cluster
    two CSRs, a poisoned CSR among many, a new pod during signing         tests/function/ports, tests/scenarios
    serial numbers, wrong issuer, lint failure, TBS mismatch              tests/function/test_certificate.py, test_lint.py
    configuration without profile, states of an issuer                    tests/function/test_configuration.py
    transient and permanent errors of other services                      tests/function/ports

What the function has no part of: approvers' regular expressions, DNS lookups and skip-deny; a list of leaked keys;
re-use of another pod's key, which would need state.
"""

from typing import Final

from tests.function import tables
from tests.function.builders import Case
from tests.function.requests import (
    components,
    curves,
    extensions,
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
)
