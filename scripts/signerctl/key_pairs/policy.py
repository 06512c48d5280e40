"""The admission policy for the CronJob's Secrets: RBAC cannot limit the names of Secrets that it creates."""

from collections.abc import Iterable

from signerctl.guards.admission import Policy, forbid, literal, policy, rule
from signerctl.key_pairs.catalog import KeyPair
from signerctl.key_pairs.need import ANNOTATION


def secrets(pairs: Iterable[KeyPair], *, username: str) -> Policy:
    """Returns the policy.

    Args:
        pairs: The key pairs that the CronJob provides.
        username: The CronJob's user.
    """
    paths = sorted({pair.path for pair in pairs})
    return policy(
        "key-pairs",
        rules=[rule("", ["secrets"], ["CREATE", "UPDATE"])],
        conditions={"by-the-cronjob": f"request.userInfo.username == {literal(username)}"},
        variables=[],
        validations=[
            forbid(
                f"(request.namespace + '/' + request.name) in {literal(paths)}",
                "the CronJob csr-key-pairs may write only the key pairs of the profile",
            ),
            forbid(
                f"object.metadata.?annotations[?{literal(ANNOTATION)}].hasValue()"
                f" && (oldObject == null || oldObject.metadata.?annotations[?{literal(ANNOTATION)}].hasValue())",
                f"the CronJob csr-key-pairs may write only Secrets with the annotation {ANNOTATION}",
            ),
            forbid(
                "object.data.all(key, key in ['tls.crt', 'tls.key'])",
                "the CronJob csr-key-pairs may write only tls.crt and tls.key",
            ),
        ],
    )
