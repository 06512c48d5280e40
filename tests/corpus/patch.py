"""JSON merge patches (RFC 7396): how a case says only what differs from the honest one."""

from typing import Any

from sandbox.kubernetes.documents import merge


def apply(target: Any, patch: Any) -> Any:
    """The document that a patch makes of another; neither is changed."""
    return merge(target, patch)


def difference(target: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The smallest patch that makes `wanted` of `target`."""
    patch: dict[str, Any] = {key: None for key in target if key not in wanted}
    for key, value in wanted.items():
        old = target.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            nested = difference(old, value)
            if nested:
                patch[key] = nested
        elif key not in target or old != value:
            patch[key] = value
    return patch
