"""Service account tokens: JSON web tokens that live as long as what they are bound to."""

from __future__ import annotations

import base64
import calendar
import functools
import json
import time
import uuid
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from sandbox.kubernetes import core, schema, status
from sandbox.kubernetes.authentication import AUTHENTICATED, CREDENTIAL_ID, User
from sandbox.kubernetes.resource import Resource

if TYPE_CHECKING:
    from sandbox.api import Json
    from sandbox.kubernetes.store import Store

ISSUER = "https://kubernetes.default.svc"
_HALF = 32  # bytes of r and of s in an ES256 signature
_SECONDS = 3600
_MINIMUM_SECONDS = 600
_MAXIMUM_SECONDS = 2**32
_LEEWAY_SECONDS = 60  # how long a token outlives the deletionTimestamp of what it is bound to
_PREFIX = "authentication.kubernetes.io/"

REQUEST = Resource(
    group="authentication.k8s.io",
    plural="tokenrequests",
    kind="TokenRequest",
    document=schema.struct(
        {
            "spec": schema.struct(
                {
                    "audiences": schema.list_of(schema.text),
                    "expirationSeconds": schema.int64,
                    "boundObjectRef": schema.struct(
                        {
                            "kind": schema.text,
                            "apiVersion": schema.text,
                            "name": schema.text,
                            "uid": schema.text,
                        }
                    ),
                }
            )
        },
        defaults={"spec": {}},
    ),
)


class Tokens:
    """Issues and checks the tokens of one API server, with a P-256 key in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._claims = functools.lru_cache(maxsize=8192)(self._verified_claims)

    def issue(self, account: Json, spec: Json) -> Json:
        """Answer a TokenRequest.

        Args:
            account: the ServiceAccount.
            spec: the request's.

        Raises:
            status.StatusError: the token cannot be bound to that object, or not for that long.
        """
        seconds = spec.get("expirationSeconds", _SECONDS)
        if not _MINIMUM_SECONDS <= seconds <= _MAXIMUM_SECONDS:
            message = f"must be {_MINIMUM_SECONDS} to {_MAXIMUM_SECONDS}"
            cause = status.invalid_value("spec.expirationSeconds", str(seconds), message)
            raise status.invalid(REQUEST, "", [cause])
        metadata, reference = account["metadata"], spec.get("boundObjectRef")
        audiences = spec.get("audiences") or [ISSUER]
        private: Json = {"namespace": metadata["namespace"], "serviceaccount": _named(metadata)}
        if reference is not None:
            private |= self._bound(metadata, reference)
        token, expires = self._token(metadata, audiences, private, seconds)
        return {
            "kind": REQUEST.kind,
            "apiVersion": REQUEST.api_version,
            "metadata": {key: metadata[key] for key in ("name", "namespace", "uid", "creationTimestamp")},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
            "status": {"token": token, "expirationTimestamp": expires},
        }

    def user(self, token: str) -> User | None:
        """Say who bears the token; None where it does not hold, or what it is bound to is gone.

        The real API server remembers an answer for about 10 seconds; this one looks every time.
        """
        claims = self._claims(token)
        if claims is None or ISSUER not in claims["aud"] or not claims["nbf"] <= time.time() < claims["exp"]:
            return None
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        extra = {CREDENTIAL_ID: f"JTI={claims['jti']}"}
        if not self._exists(core.SERVICE_ACCOUNTS, namespace, account):
            return None
        for kind, resource, where in (("pod", core.PODS, namespace), ("node", core.NODES, "")):
            bound = private.get(kind)
            if bound is None:
                continue
            # A pod's token outlives the node's object.
            if not self._exists(resource, where, bound) and not (kind == "node" and "pod" in private):
                return None
            extra |= {f"{_PREFIX}{kind}-name": bound["name"]}
            extra |= {f"{_PREFIX}{kind}-uid": bound["uid"]} if "uid" in bound else {}
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        username = _username(namespace, account["name"])
        return User(username=username, uid=account["uid"], groups=groups, extra=extra)

    def _exists(self, resource: Resource, namespace: str, named: Json) -> bool:
        found = self._store.find(resource, namespace, named["name"])
        if found is None or found.object["metadata"]["uid"] != named["uid"]:
            return False
        deletion = found.object["metadata"].get("deletionTimestamp")
        return deletion is None or time.time() < _seconds(deletion) + _LEEWAY_SECONDS

    def _bound(self, account: Json, reference: Json) -> Json:
        kind, version = reference.get("kind", ""), reference.get("apiVersion", "")
        if (kind, version) not in {("Pod", "v1"), ("Node", "v1")}:
            raise status.bad_request(f"cannot bind token to object of type {version}, Kind={kind}")
        resource = core.PODS if kind == "Pod" else core.NODES
        namespace = account["namespace"] if resource.namespaced else ""
        name = reference.get("name", "")
        found = self._store.find(resource, namespace, name)
        if found is None:
            raise status.not_found(resource, name)
        target = found.object
        if reference.get("uid") not in {None, target["metadata"]["uid"]}:
            message = (
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise status.precondition_failed(resource, name, message)
        if kind == "Node":
            return {"node": _named(target["metadata"])}
        if target["spec"]["serviceAccountName"] != account["name"]:
            raise status.bad_request(
                f"cannot bind token for serviceaccount {status.quote(account['name'])} "
                "to pod running with different serviceaccount name."
            )
        return {"pod": _named(target["metadata"])} | self._node_of(target)

    def _node_of(self, pod: Json) -> Json:
        name = pod["spec"].get("nodeName")
        if name is None:
            return {}
        node = self._store.find(core.NODES, "", name)
        return {"node": {"name": name} if node is None else _named(node.object["metadata"])}

    def _token(self, account: Json, audiences: list[str], private: Json, seconds: int) -> tuple[str, str]:
        now = int(time.time())
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": now,
            "sub": _username(account["namespace"], account["name"]),
        }
        return self._signed(claims), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + seconds))

    def _signed(self, claims: Json) -> str:
        signed = f"{_encoded({'alg': 'ES256', 'typ': 'JWT'})}.{_encoded(claims)}"
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    def _verified_claims(self, token: str) -> Json | None:
        try:
            signed, _, encoded = token.rpartition(".")
            signature = _decoded(encoded)
            r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
            self._key.public_key().verify(utils.encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
            claims = json.loads(_decoded(signed.partition(".")[2]))
        except (ValueError, InvalidSignature):
            return None
        return claims if isinstance(claims, dict) else None


def _named(metadata: Json) -> Json:
    return {"name": metadata["name"], "uid": metadata["uid"]}


def _seconds(timestamp: str) -> int:
    return calendar.timegm(time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ"))


def _username(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def _encoded(value: Json) -> str:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
