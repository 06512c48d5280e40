"""The policy for the exporter's pods.

It enforces the Pod Security Standard `restricted`, except for the host network. A namespace label cannot enforce
`restricted` here, because the exporter's pods use the host network.
"""

from typing import Final

from signerctl.guards.admission import Policy, Validation, forbid, literal, policy, rule
from signerctl.guards.guarded import Guarded

# Containers and init containers have the same CEL type. Ephemeral containers do not; the policy forbids them.
_CONTAINERS: Final = "object.spec.containers + object.spec.?initContainers.orValue([])"
_VOLUMES: Final = ("configMap", "downwardAPI", "emptyDir", "projected")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")


def exporter_pods(guarded: Guarded) -> Policy:
    """Rule e: pods in the exporter's namespace use its service account, pinned images and `restricted` settings."""
    return policy(
        "exporter-pods",
        namespace=guarded.exporter.namespace,
        rules=[rule("", ["pods", "pods/ephemeralcontainers"], ["CREATE", "UPDATE"])],
        # Labels and finalizers of a pod that already breaks the rules can still change, so that the pod can be deleted.
        conditions={"spec": "request.operation == 'CREATE' || object.spec != oldObject.spec"},
        variables=[{"name": "containers", "expression": _CONTAINERS}],
        validations=[*_pod(guarded), *_containers()],
    )


def _pod(guarded: Guarded) -> list[Validation]:
    return [
        forbid(
            f"object.spec.?serviceAccountName.orValue('') == {literal(guarded.exporter.service_account)}",
            f"spec.serviceAccountName: Invalid value: must be {guarded.exporter.service_account}",
        ),
        forbid(
            "!object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false)",
            "spec: Forbidden: hostPID and hostIPC",
        ),
        _volumes(guarded.exporter.secret),
        forbid(
            "object.spec.?volumes.orValue([]).all(volume,"
            " volume.?projected.?sources.orValue([]).all(source, !has(source.secret)))"
            " && variables.containers.all(container, !container.?env.orValue([]).exists(each,"
            " each.?valueFrom.?secretKeyRef.hasValue())"
            " && !container.?envFrom.orValue([]).exists(each, has(each.secretRef)))",
            "spec: Forbidden: Secrets in projected volumes or environment variables",
        ),
        forbid(
            "size(object.spec.?ephemeralContainers.orValue([])) == 0",
            "spec.ephemeralContainers: Forbidden",
        ),
        forbid(
            "size(object.spec.?securityContext.?sysctls.orValue([])) == 0"
            " && !object.spec.?securityContext.?seLinuxOptions.hasValue()"
            " && !object.spec.?securityContext.?windowsOptions.hasValue()"
            " && object.spec.?securityContext.?appArmorProfile.?type.orValue('') != 'Unconfined'"
            " && object.spec.?securityContext.?runAsUser.orValue(1) != 0",
            "spec.securityContext: Forbidden: sysctls, SELinux and Windows options, AppArmor Unconfined and user 0",
        ),
    ]


def _volumes(secret: str | None) -> Validation:
    allowed, names = [f"has(volume.{kind})" for kind in _VOLUMES], ", ".join(_VOLUMES)
    if secret is not None:
        allowed.append(f"volume.?secret.?secretName.orValue('') == {literal(secret)}")
        names += f", and the Secret {secret}"
    every = f"object.spec.?volumes.orValue([]).all(volume, {' || '.join(allowed)})"
    return forbid(every, f"spec.volumes: Unsupported value: supported values: {names}")


def _containers() -> list[Validation]:
    context = "container.?securityContext.?{}".format
    of_pod = "object.spec.?securityContext.?{}".format
    every = "variables.containers.all(container, {})".format
    seccomp = "seccompProfile.?type"
    return [
        forbid(
            every("container.image.matches('^[^@[:space:]]+@sha256:[0-9a-f]{64}$')"),
            "image: Invalid value: must be pinned by its digest, NAME@sha256:...",
        ),
        forbid(
            every(f"!{context('privileged')}.orValue(false) && !{context('allowPrivilegeEscalation')}.orValue(true)"),
            "allowPrivilegeEscalation: Invalid value: must be false",
        ),
        forbid(
            every(
                f"'ALL' in {context('capabilities.?drop')}.orValue([])"
                f" && size({context('capabilities.?add')}.orValue([])) == 0"
            ),
            "capabilities: Invalid value: must drop ALL and add none",
        ),
        forbid(
            every(
                f"{context('runAsNonRoot')}.orValue({of_pod('runAsNonRoot')}.orValue(false))"
                f" && {context('runAsUser')}.orValue(1) != 0"
            ),
            "runAsNonRoot: Invalid value: must be true, and runAsUser must not be 0",
        ),
        forbid(
            every(f"{context(seccomp)}.orValue({of_pod(seccomp)}.orValue('')) in ['RuntimeDefault', 'Localhost']"),
            "seccompProfile: Unsupported value: supported values: RuntimeDefault, Localhost",
        ),
        forbid(
            every(
                f"{context('procMount')}.orValue('Default') == 'Default'"
                f" && !{context('seLinuxOptions')}.hasValue() && !{context('windowsOptions')}.hasValue()"
                f" && {context('appArmorProfile.?type')}.orValue('') != 'Unconfined'"
            ),
            "securityContext: Forbidden: procMount, SELinux and Windows options, and AppArmor Unconfined",
        ),
        forbid(
            every("container.?ports.orValue([]).all(port, port.?hostPort.orValue(0) == 0)"),
            "ports: Forbidden: hostPort; on the host network, Kubernetes makes every listed port a hostPort",
        ),
        forbid(
            every(
                "!container.?lifecycle.hasValue() && "
                + " && ".join(
                    f"container.?{probe}.?httpGet.?host.orValue('127.0.0.1') == '127.0.0.1'"
                    f" && !container.?{probe}.?tcpSocket.hasValue()"
                    for probe in _PROBES
                )
            ),
            "containers: Forbidden: lifecycle hooks, and probes that do not use HTTP on 127.0.0.1",
        ),
    ]
