"""All rows: those of tests/function/tables.py, one or more for each rule, and what the modules of this package add.

Every row is written anew. Its `source` names the test, or the section of a standard, that gave the idea. The projects:
kubernetes/kubernetes, tigera/operator, projectcalico/calico (key-cert-provisioner), letsencrypt/boulder,
cert-manager/cert-manager and cert-manager/approver-policy, smallstep/certificates, sigstore/fulcio,
openshift/cluster-machine-approver, postfinance/kubelet-csr-approver, kontena/kubelet-rubber-stamp.

What their tests ask and no row does, with the tests that do:

    conditions and status.certificate by subresource, field selectors   tests/contract/kubernetes
    admission of approval and signing by signerName                     tests/infra/cluster
    two CSRs, a poisoned CSR among many, a new pod during signing       tests/function/ports, tests/scenarios
    errors of other services, transient and permanent                   tests/function/ports
    serial numbers, wrong issuer, lint failure, TBS mismatch            tests/function/test_certificate.py, test_lint.py
    a configuration without profile, an issuer that is not ready        tests/function/test_configuration.py

The function has no regular expressions, DNS lookups or resolvers, keeps no list of leaked keys, and does not see that
two pods use one key, which would need state.
"""

from typing import Final

from tests.function import tables
from tests.function.builders import Case
from tests.function.requests import (
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
