"""The key pairs that `signerctl key-pairs` provides: whether each live pod has one that its peers accept."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final

from signerctl.api_server import ApiServerError, Json
from signerctl.doctor import result
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.key_pairs import catalog, need
from signerctl.key_pairs.catalog import KeyPair

_PROVIDE: Final = (
    "provide the key pairs with `signerctl key-pairs`, or correct the Secret if another program made it:"
    " docs/key-pairs.md"
)
_MOUNT: Final = (
    "the tigera operator copies and mounts it when it reconciles; if it does not, read its log:"
    " kubectl --namespace tigera-operator logs deployment/tigera-operator"
)
_REMAINING: Final = Fraction(1, 6)
"""Half of the part at which the CronJob renews: less is left only if it has failed for long."""


def provided(examination: Examination) -> Result:
    """Checks the key pairs of all components that do not request their own certificates."""
    pairs = _all(examination)
    if not pairs:
        return result.not_applicable("no profile has components that do not request their own certificates")
    found = checked(examination, pairs)
    return result.ok("no component waits for a key pair") if found.level == "not_applicable" else found


def of_account(examination: Examination, account: str) -> list[KeyPair]:
    """Returns the key pairs of a service account's pods.

    Args:
        examination: The configuration, loaded.
        account: NAMESPACE/NAME.
    """
    return [each for each in _all(examination) if f"{each.namespace}/{each.service_account}" == account]


def checked(examination: Examination, pairs: Iterable[KeyPair]) -> Result:
    """Checks key pairs. Of a Secret, it keeps the certificate only; the API server also sends the key.

    Args:
        examination: The configuration, loaded.
        pairs: At least one key pair.
    """
    chosen = list(pairs)
    namespaces = dict.fromkeys(pair.namespace for pair in chosen)
    pods = {each: list(examination.api.list(f"/api/v1/namespaces/{each}/pods", need.POD)) for each in namespaces}
    found = [each for pair in chosen for each in _of_pair(examination, pair, pods[pair.namespace])]
    return result.worst(found) if found else result.not_applicable("no live pod needs one of these key pairs")


def _all(examination: Examination) -> list[KeyPair]:
    return [
        pair
        for signer in examination.signers
        for pair in catalog.of({signer.signer_name: signer.profile}, cluster_domain=signer.cluster_domain)
    ]


def _of_pair(examination: Examination, pair: KeyPair, pods: Sequence[Json]) -> Iterator[Result]:
    waiting = need.waiting(pair, pods)
    empty = [f"pod {pair.namespace}/{each['metadata']['name']}: volume {pair.secret} is empty" for each in waiting]
    mounting = need.mounting(pair, pods)
    if not waiting and not mounting:
        return
    try:
        secret = _secret(examination, pair.secret_namespace, pair)
        mounted = _secret(examination, pair.namespace, pair) if mounting else secret
    except ApiServerError as error:
        if not error.is_forbidden:
            raise
        yield from (result.warning(each, _PROVIDE) for each in empty)
        yield result.unknown(f"Secret {pair.path}: {error.message}", "run it with a user that may get this Secret")
        return
    pod = f"pod {pair.namespace}/{mounting[0]['metadata']['name']}" if mounting else ""
    if mounting and mounted is None:
        found = f"{pod} mounts Secret {pair.namespace}/{pair.secret}, which does not exist"
        is_copy = secret is not None
        yield result.warning(
            f"{found}, although {pair.path} does" if is_copy else found, _MOUNT if is_copy else _PROVIDE
        )
    if secret is None:
        yield from (result.warning(each, _PROVIDE) for each in empty)
        return
    (signer,) = (each for each in examination.signers if each.signer_name == pair.signer_name)
    anchors, now = signer.issuer.trust_bundle, examination.now
    if problem := need.misfit(pair, secret, anchors=anchors, remaining=_REMAINING, now=now):
        yield result.warning(problem, _PROVIDE)
    elif waiting:
        yield from (result.warning(f"{each}, although Secret {pair.path} exists", _MOUNT) for each in empty)
    elif mounted is not None and need.certificates_of(mounted) != need.certificates_of(secret):
        found = f"{pod} mounts Secret {pair.namespace}/{pair.secret}, whose certificate is not the one in {pair.path}"
        yield result.warning(found, _MOUNT)
    else:
        end = need.certificates_of(secret)[0].not_valid_after_utc
        yield result.ok(f"the certificate in Secret {pair.path} is valid until {end:%Y-%m-%d}")


def _secret(examination: Examination, namespace: str, pair: KeyPair) -> Json | None:
    return examination.api.get(f"/api/v1/namespaces/{namespace}/secrets/{pair.secret}", need.SECRET)
