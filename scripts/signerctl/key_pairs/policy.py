"""The admission policies for the CronJob: RBAC limits neither the Secrets that it creates nor the tokens that it gets.

Without them, its rights would equal those of every service account in the Secrets' namespaces: a Secret of the type
kubernetes.io/service-account-token gets a token of any account in its namespace.
"""

from collections.abc import Collection, Iterable, Sequence

from signerctl.guards.admission import Policy, forbid, literal, policy, rule
from signerctl.key_pairs.catalog import KeyPair
from signerctl.key_pairs.need import ANNOTATION, TYPES

_LONGEST_TOKEN = 600


def policies(pairs: Sequence[KeyPair], *, username: str) -> tuple[Policy, ...]:
    """Returns the policies.

    Args:
        pairs: The key pairs that the CronJob provides.
        username: The CronJob's user.
    """
    accounts = sorted({f"system:serviceaccount:{pair.namespace}:{pair.service_account}" for pair in pairs})
    signer_names = sorted({pair.signer_name for pair in pairs})
    return _secrets(pairs, username), _tokens(username), _csrs(accounts, signer_names)


def _secrets(pairs: Iterable[KeyPair], username: str) -> Policy:
    paths = sorted({pair.path for pair in pairs})
    return policy(
        "key-pairs",
        rules=[rule("", ["secrets"], ["CREATE", "UPDATE"])],
        conditions={"by-the-cronjob": f"request.userInfo.username == {literal(username)}"},
        variables=[
            {"name": "old", "expression": "oldObject == null ? {} : dyn(oldObject.metadata)"},
            {"name": "annotations", "expression": "object.metadata.?annotations.orValue({})"},
            {"name": "before", "expression": "variables.old.?annotations.orValue({})"},
        ],
        validations=[
            forbid(
                f"(request.namespace + '/' + request.name) in {literal(paths)}",
                "the CronJob csr-key-pairs may write only the key pairs of the profile",
            ),
            forbid(
                f"object.type in (oldObject == null ? {literal(list(TYPES[:1]))} : {literal(list(TYPES))})"
                " && object.data.all(key, key in ['tls.crt', 'tls.key'])",
                "the CronJob csr-key-pairs may write only Secrets of type kubernetes.io/tls",
            ),
            # No renewal could ever replace an immutable Secret.
            forbid(
                "!object.?immutable.orValue(false)",
                "the CronJob csr-key-pairs may not make a Secret immutable",
            ),
            forbid(
                f"{literal(ANNOTATION)} in variables.annotations"
                f" && (oldObject == null || {literal(ANNOTATION)} in variables.before)",
                f"the CronJob csr-key-pairs may write only Secrets with the annotation {ANNOTATION}",
            ),
            forbid(
                f"variables.annotations.all(key, key == {literal(ANNOTATION)}"
                " || (key in variables.before && variables.before[key] == variables.annotations[key]))"
                + "".join(
                    f" && object.metadata.?{field}.orValue({empty}) == variables.old.?{field}.orValue({empty})"
                    for field, empty in (("labels", "{}"), ("finalizers", "[]"), ("ownerReferences", "[]"))
                ),
                "the CronJob csr-key-pairs may add no other annotation, and change no label, finalizer or owner",
            ),
        ],
    )


def _tokens(username: str) -> Policy:
    return policy(
        "key-pairs-tokens",
        rules=[rule("", ["serviceaccounts/token"], ["CREATE"])],
        conditions={"by-the-cronjob": f"request.userInfo.username == {literal(username)}"},
        validations=[
            forbid(
                "object.spec.?boundObjectRef.?kind.orValue('') == 'Pod'"
                " && object.spec.?boundObjectRef.?uid.orValue('') != ''",
                "the CronJob csr-key-pairs may get only tokens that are bound to a pod",
            ),
            forbid(
                f"object.spec.?expirationSeconds.orValue(3600) <= {_LONGEST_TOKEN}",
                f"the CronJob csr-key-pairs may get only tokens that expire within {_LONGEST_TOKEN} seconds",
            ),
        ],
    )


def _csrs(accounts: Collection[str], signer_names: Collection[str]) -> Policy:
    """The components' accounts may file and delete CSRs only because of this signer; the guards limit the names."""
    return policy(
        "key-pairs-csrs",
        rules=[rule("certificates.k8s.io", ["certificatesigningrequests"], ["CREATE", "DELETE"])],
        conditions={"by-a-component": f"request.userInfo.username in {literal(list(accounts))}"},
        variables=[
            {
                "name": "signerName",
                "expression": "request.operation == 'DELETE' ? oldObject.spec.signerName : object.spec.signerName",
            }
        ],
        validations=[
            forbid(
                f"variables.signerName in {literal(list(signer_names))}",
                "a component without a client may file and delete only CSRs of this signer",
            ),
        ],
    )
