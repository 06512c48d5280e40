"""All breakdowns: docs/troubleshooting.md shows them, and a test compares each with a deployment that has it.

Lines of the tools have `...` for text that varies.
"""

from collections.abc import Callable
from typing import Final

from sandbox.breakdowns.row import Breakdown, Line, Tool


def _csr(state: str) -> Line:
    return Line(tool=Tool.CSR, text=f"node-certs:calico-node-... csr-signer.example.com/calico ... {state}")


def _says(tool: Tool) -> Callable[[str], Line]:
    """Returns what makes lines of a tool."""
    return lambda text: Line(tool=tool, text=text)


_events, _log, _ready, _metric, _doctor, _explain = map(
    _says, (Tool.EVENTS, Tool.LOG, Tool.READY, Tool.METRICS, Tool.DOCTOR, Tool.EXPLAIN)
)

_MISCONFIGURED: Final = (
    _ready(
        '200 {"ok": true, "reasons": ["csr-signer.example.com/calico: the function\'s configuration, key or'
        " permissions are wrong: an operator must act; the function's log says which"
    ),
    _metric('csr_exporter_retries_total{reason="configuration"}'),
    _log('"severity":"ERROR","message":"the function\'s configuration, key or permissions are wrong: an operator'),
)


BREAKDOWNS: Final = (
    Breakdown(
        name="key-disabled",
        title="The CA key is disabled",
        symptom="New pods stay in `Init`, and the Event on their CSRs says that the state of the key is DISABLED.",
        cause="""
The key version in `issuer.key_version` is disabled, scheduled for destruction, or destroyed. If the function's instance
had used the key before, CSRs are Approved instead of Pending.""",
        remedy="""
First find out who disabled it, and why: the alert `key_administration` names the principal. If the key was stolen or
misused, do not enable it: follow [rotation.md](rotation.md#if-the-key-is-stolen-or-misused). Otherwise enable it:
`gcloud kms keys versions enable VERSION --project KEY_PROJECT --location LOCATION --keyring RING --key KEY`. If it is
scheduled for destruction, first run `gcloud kms keys versions restore` with the same arguments. A destroyed version
does not come back: follow [recovery.md](recovery.md). The function asks KMS again at the next event, and issues all
waiting CSRs.""",
        says=(
            _csr("Pending"),
            _events(
                "Warning WaitingForOperator certificatesigningrequest/node-certs:calico-node-... key version ...:"
                " its state is DISABLED: enable it (gcloud kms keys versions enable), or configure another key version"
            ),
            *_MISCONFIGURED,
            _doctor(
                "error kms-key key version ...: its state is DISABLED: enable it (gcloud kms keys versions enable)"
            ),
            _explain("why key version ...: its state is DISABLED: enable it (gcloud kms keys versions enable)"),
            _explain("turn operator"),
        ),
    ),
    Breakdown(
        name="wrong-rbac-user",
        title="The function's roles are bound to another user",
        symptom="CSRs are Pending without any Event, and the exporter's `/readyz` names a wrong configuration.",
        cause="""
The bindings name another user than the API server sees. In GKE, the username is the email of the Google service
account that the function impersonates, not its unique id.""",
        remedy="""
The function's record with `labels.event="fault"` names the user that the API server sees. Render the cluster's folder
again with `signerctl cluster manifests`, and apply it: `kubectl apply -k FOLDER`.""",
        says=(
            _csr("Pending"),
            Line(
                tool=Tool.RECORDS,
                text='API server: Forbidden: user "csr-access-demo@example-project.iam.gserviceaccount.com" must have'
                " the right to get certificatesigningrequests.certificates.k8s.io",
            ),
            *_MISCONFIGURED,
            _doctor(
                "error rights csr-access-demo@example-project.iam.gserviceaccount.com lacks 8 of 8 rights: ...;"
                ' ClusterRoleBinding kms-csr-signer:sign names "117..."; to do: write function.yaml again with'
                " `signerctl cluster manifests`, and kubectl apply -k the cluster's folder"
            ),
            _explain("why ...but rights: csr-access-demo@example-project.iam.gserviceaccount.com lacks 8 of 8 rights"),
            _explain("turn operator"),
        ),
    ),
    Breakdown(
        name="function-unreachable",
        title="The exporter does not reach the function",
        symptom="CSRs are Pending without any Event, and the exporter logs `slow` without `code`.",
        cause="""
`function.url` of the exporter's configuration is wrong, or a firewall, a proxy or the DNS keeps the exporter's pods
from Cloud Run.""",
        remedy="""
Compare `function.url` with `gcloud run services describe SERVICE --region REGION --format 'value(status.url)'`. Then
allow the exporter's pods to reach it by https: egress firewall, NAT, Private Google Access, NetworkPolicy.""",
        says=(
            _csr("Pending"),
            _metric('csr_exporter_retries_total{reason="slow"}'),
            _log('"message":"CSRs of several requesters fail","reason":"NewConnectionError...Connection refused'),
            _doctor(
                "error function http...: no answer: ...; to do: check that the service runs and that function.url is"
                " its URL: gcloud run services describe; then firewall, DNS and ingress"
            ),
            _explain("doctor function: http...: no answer: ...; to do: check that the service runs"),
        ),
    ),
    Breakdown(
        name="wrong-audience",
        title="The exporter's ID token is for another service",
        symptom="CSRs are Pending without any Event, and the exporter's log has `code` 401.",
        cause="""
`function.audience` of the exporter's configuration is not the URL of the Cloud Run service, which is the audience that
Cloud Run expects.""",
        remedy="""
Terraform's output has the right audience. Render the folder again with `signerctl cluster manifests`, and apply it:
`kubectl apply -k FOLDER`.""",
        says=(
            _csr("Pending"),
            _metric('csr_exporter_retries_total{reason="credential"}'),
            _log('"message":"CSRs of several requesters fail","code":401,"reason":"401: check that the audience'),
            _doctor(
                "error invoker http... answers 401: it does not accept the ID token's audience ...; to do:"
                " function.audience must be the service's URI: run `signerctl cluster manifests`"
            ),
            _explain("doctor invoker: http... answers 401: it does not accept the ID token's audience"),
        ),
    ),
    Breakdown(
        name="kms-quota",
        title="The KMS quota is exhausted",
        symptom="Some pods wait for minutes; their CSRs are Approved without a certificate.",
        cause="The project of the key has used its quota of asymmetric requests for this minute.",
        remedy="""
Wait: the exporter slows down, and the function issues the waiting CSRs as the quota allows. If this lasts, find the
other users of the quota in *IAM & Admin > Quotas*, and request a higher quota for the metric in the message. A key of
protection level HSM has a smaller quota than one of level SOFTWARE.""",
        says=(
            _csr("Approved"),
            _events(
                "Warning WaitingForService certificatesigningrequest/node-certs:calico-node-... key version ...:"
                " the quota of KMS is exhausted: RESOURCE_EXHAUSTED"
            ),
            _metric('csr_exporter_retries_total{reason="overloaded"}'),
            _log('"message":"overloaded",...,"code":429,"retry_after":5,"reason":"fault QuotaError"'),
            _doctor(
                'error waiting 2 CSRs wait; an Event on ... says WaitingForService: "key version ...: the quota of'
                " KMS is exhausted"
            ),
            _explain('why ...but an Event says: "key version ...: the quota of KMS is exhausted'),
            _explain("turn service"),
        ),
    ),
    Breakdown(
        name="clock-off",
        title="The cluster's clock is wrong",
        symptom="New pods stay in `Init`; the exporter is not ready.",
        cause="""
The clock of the control plane differs from Google's by more than a minute, so that STS refuses the exporter's service
account token: it is not valid yet, or no longer valid.""",
        remedy="""
Set the clocks of the control plane's machines by NTP: `timedatectl status` says whether one is synchronized, and
`chronyc tracking` by how much it is wrong. The exporter then gets a token by itself.""",
        says=(
            _csr("Pending"),
            _ready('503 {"ok": false, "reasons": ["no ID token yet"'),
            _metric('csr_exporter_token_refresh_errors_total{kind="id"}'),
            _log('"message":"no ID token","error":"STS, audience ...: 400 invalid_grant: the ID token is valid from'),
            _doctor(
                "error sts STS answers 400 for audience ...: ...the ID token is valid from ...; to do: if it says that"
                " the token is not valid yet, or no more, set the cluster's clock"
            ),
            _doctor(
                "error clock compared with this machine: API server ... s, function -60...; to do:"
                " synchronize the clocks"
            ),
            _explain("why ...but sts: STS answers 400 for audience ...: ...the ID token is valid from"),
            _explain("to do if it says that the token is not valid yet, or no more, set the cluster's clock"),
        ),
    ),
    Breakdown(
        name="ca-mismatch",
        title="The CA certificate does not belong to the key",
        symptom="New pods stay in `Init`, and the Event on their CSRs names the CA certificate.",
        cause="`issuer.certificate` is the certificate of another key than the one in `issuer.key_version`.",
        remedy="""
In `main.tf`, set `ca_certificate` and `key_version` of the signer to values that belong together, and run `terraform
apply`. Then write `documents` again ([install.md](install.md#check)): `signerctl ca verify` compares the two.""",
        says=(
            _csr("Pending"),
            _events(
                "Warning WaitingForOperator certificatesigningrequest/node-certs:calico-node-... key version ...:"
                " its public key must be that of the CA certificate ...: configure the certificate of this key version"
            ),
            *_MISCONFIGURED,
            _doctor(
                "error kms-key key version ...: its public key must be that of the CA certificate ...: configure the"
                " certificate of this key version"
            ),
            _explain("why key version ...: its public key must be that of the CA certificate"),
            _explain("turn operator"),
        ),
    ),
    Breakdown(
        name="wrong-release",
        title="The profile is for another release of Calico",
        symptom="New pods stay in `Init`, and all CSRs are Denied.",
        cause="`profile.release` is not the release that runs: its components use other names or namespaces.",
        remedy="""
In `main.tf`, set `profile.release` of the signer to the release that runs, and run `terraform apply`. Then render the
cluster's folder again with `signerctl cluster manifests`, and apply it with `kubectl apply -k FOLDER`, because the
guards depend on the release. Denied CSRs stay Denied: delete the waiting pods, or wait for their next try.""",
        says=(
            _csr("Denied"),
            _events(
                "Warning NameNotAllowed certificatesigningrequest/node-certs:calico-node-... request_name.not_allowed:"
                " metadata.name: Unsupported value: ...: supported values: ..."
            ),
            _events("Warning NameNotAllowed pod/calico-node-... request_name.not_allowed: metadata.name:"),
            _log('"message":"acknowledged",...,"reason":"refused NameNotAllowed"'),
            _doctor(
                'error release Calico "v3.31.5" runs, but profile.release is "3.27"; to do: if you installed that'
                " release, write it into the configuration, run `terraform apply`, and apply the cluster's manifests"
            ),
            _explain(
                "why the function set Denied, NameNotAllowed: request_name.not_allowed: metadata.name:"
                " Unsupported value"
            ),
        ),
    ),
    Breakdown(
        name="pod-address-missing",
        title="The pod's address is not visible",
        symptom="A pod stays in `Init`, and the Event on its CSR says that an address is not visible as the pod's.",
        cause="""
The profile certifies addresses, and the requested address is not in the pod's status, where kubelet should report it.
The shipped profiles certify no address, so this happens only with a profile of your own.""",
        remedy="""
Compare `kubectl get pod POD -o jsonpath='{.status.podIPs}'` with the Event. If kubelet has not reported it, the
node's kubelet or CNI plugin is at fault. If the pod asks for an address that is not its own, correct the request. After
five minutes (`deferral_limit`), the function denies the CSR with `pod.address_missing`.""",
        says=(
            Line(tool=Tool.CSR, text="calico-apiserver-certs:... csr-signer.example.com/calico ... Pending"),
            _events(
                "Warning WaitingForRequester certificatesigningrequest/calico-apiserver-certs:... addresses ... are not"
                " visible as the pod's"
            ),
            _log('"message":"later",...,"code":425,"retry_after":2,"reason":"deferred'),
            _doctor(
                'warning waiting 2 CSRs wait; an Event on ... says WaitingForRequester: "addresses ... are not visible'
                " as the pod's"
            ),
            _explain("why addresses ... are not visible as the pod's"),
            _explain("turn requester"),
            _explain("to do the status of the pod must show the addresses: kubectl get pod -o wide"),
        ),
        workload="calico-apiserver",
        companion="calico-apiserver",
    ),
    Breakdown(
        name="exporter-dead",
        title="The exporter does not run",
        symptom="CSRs are Pending without any Event, and the exporter's pods do not run.",
        cause="The exporter's pods do not run: they are not scheduled, crash, or were deleted.",
        remedy="""
Run `kubectl --namespace kms-csr-signer describe pods`, and read
`kubectl --namespace kms-csr-signer logs csr-exporter-0 --previous`, and the same for `csr-exporter-1`. After its start,
the exporter sends all waiting CSRs: none is lost.""",
        says=(
            _csr("Pending"),
            _ready("no answer"),
            _doctor("error exporter http.../readyz: nothing listens there: the exporter does not run, or ..."),
            _explain("doctor exporter: http.../readyz: nothing listens there: the exporter does not run, or ..."),
        ),
    ),
    Breakdown(
        name="exporter-rights-missing",
        title="The exporter is not allowed to watch CSRs",
        symptom="CSRs are Pending without any Event; the exporter runs, and is not ready.",
        cause="Its ClusterRoleBinding `kms-csr-signer:export` was deleted or changed.",
        remedy="""
Apply the cluster's folder again: `kubectl apply -k FOLDER`. The exporter then lists all CSRs, and sends the waiting
ones: none is lost. Find out in the API server's audit log who changed the binding.""",
        says=(
            _csr("Pending"),
            _doctor(
                "error exporter-rights system:serviceaccount:...:csr-exporter is not allowed to list or watch CSRs; to"
                " do: kubectl apply -k the cluster's folder"
            ),
            _explain("why ...but exporter-rights: system:serviceaccount:...:csr-exporter is not allowed to list"),
            _explain("turn operator"),
        ),
    ),
    Breakdown(
        name="other-ca-trusted",
        title="Calico trusts another CA",
        symptom="CSRs are Approved,Issued, but Calico's pods do not become Ready: their TLS handshakes fail.",
        cause="`caCert` of the Installation is not the CA that signs: each component refuses the others' certificates.",
        remedy="""
Write the patch with `signerctl ca bundle`, and apply it. During a rotation, the order is that of
[rotation.md](rotation.md): Calico trusts the new CA before the function signs with it.""",
        says=(
            _csr("Approved,Issued"),
            _doctor("error installation Installation default: Calico would refuse the function's certificates"),
            _explain(
                "why the certificate is in the CSR's status; but installation: Installation default: Calico would"
            ),
            _explain("turn operator"),
            _explain("to do `signerctl ca bundle` writes the right patch"),
        ),
    ),
    Breakdown(
        name="guards-missing",
        title="A guard is missing or changed",
        symptom="Nothing fails. Only `signerctl doctor` reports it.",
        cause="""
A ValidatingAdmissionPolicy or its binding was deleted or changed. Without it, the API server no longer enforces what
[guards.md](guards.md) promises.""",
        remedy="""
Apply the cluster's folder again: `kubectl apply -k FOLDER`. Then find out in the API server's audit log who deleted the
guard, and list the CSRs of that time: `signerctl list`.""",
        says=(
            _csr("Approved,Issued"),
            _doctor(
                "error guards ValidatingAdmissionPolicyBinding kms-csr-signer-create: Not found; to do: kubectl apply"
                " -k the cluster's folder"
            ),
            _explain("why the certificate is in the CSR's status"),
        ),
    ),
    Breakdown(
        name="ca-about-to-end",
        title="The CA certificate expires soon",
        symptom="New pods stay in `Init`, and all CSRs are Failed with `lifetime.too_late`.",
        cause="""
No certificate outlives its CA. Once the CA has less than half of the profile's lifetime left, the function refuses:
a certificate of Calico must outlive its pod.""",
        remedy="""
Rotate the CA now: [rotation.md](rotation.md). The function warns 90 days before certificates get shorter, and every day
from then on (`labels.event="issuer_expiry"`).""",
        says=(
            _csr("Failed"),
            _events(
                "Warning TooLate certificatesigningrequest/node-certs:calico-node-... lifetime.too_late: lifetime:"
                " Invalid value: ... seconds are left: must be 50% or more; the issuer's chain ends"
            ),
            _log('"message":"acknowledged",...,"reason":"refused TooLate"'),
            Line(tool=Tool.RECORDS, text='"severity":"ERROR",..."message":"CA ... ends ..., in 19 days'),
            _doctor(
                "error issuer CA ... ends ..., in 19 days: ...; rotate the issuing CA; to do: rotate the CA:"
                " docs/rotation.md"
            ),
            _explain("why the function set Failed, TooLate: lifetime.too_late: ...; the issuer's chain ends"),
            _explain("to do if the issuer's chain ends soon, rotate the CA: docs/rotation.md"),
        ),
    ),
)
"""All breakdowns in the order of the document."""
