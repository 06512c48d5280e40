"""Creates a pod and runs Calico's client in it once: `python -m sandbox.calico --kubeconfig FILE ...`.

Use it to try a signer by hand. Files go to `--directory`; pod, accounts and CSR stay in the cluster.
"""

import argparse
import random
import sys
from pathlib import Path

from sandbox.api import Api
from sandbox.calico import client
from sandbox.calico.components import Component, components
from sandbox.calico.fleet import node_plan, pod_addresses, pod_name
from sandbox.calico.render import CertificateManagement, component_pod, resolved, variables
from sandbox.calico.world import Pod, World


def main() -> int:
    """Runs the client, and returns its exit status."""
    options = _options()
    rows = {row.workload: row for row in components(options.release)}
    component = rows.get(options.component)
    if component is None:
        print(
            f'--component: Unsupported value: "{options.component}": supported values: {", ".join(rows)}',
            file=sys.stderr,
        )
        return 2
    management = CertificateManagement(
        signer_name=options.signer_name,
        authority_pem=options.ca.read_bytes() if options.ca else b"",
        key_algorithm=options.key_algorithm,
        signature_algorithm=options.signature_algorithm,
    )
    with Api.from_kubeconfig(options.kubeconfig) as api, World(api) as world:
        pod = _pod(world, component, management, options.pod)
        return _run(world, component, management, pod, options.directory)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.calico", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="of an administrator")
    parser.add_argument("--signer-name", default="csr-signer.example.com/calico")
    parser.add_argument("--component", default="calico-node", help="DaemonSet or Deployment")
    parser.add_argument("--pod", help="the pod's name; by default a new one")
    parser.add_argument("--release", default="3.31", help="Calico's release")
    parser.add_argument("--key-algorithm", default="", help="as in certificateManagement.keyAlgorithm")
    parser.add_argument("--signature-algorithm", default="", help="as in certificateManagement.signatureAlgorithm")
    parser.add_argument("--ca", type=Path, help="as certificateManagement.caCert: written to ca.crt, not looked at")
    parser.add_argument("--directory", type=Path, required=True, help="where the files go")
    return parser.parse_args()


def _pod(world: World, component: Component, management: CertificateManagement, name: str | None) -> Pod:
    chance = random.SystemRandom()
    number = chance.randrange(30_000, 60_000)
    node = node_plan(number)
    plan = component_pod(
        component,
        management,
        name=name or pod_name(component, chance),
        node=node,
        addresses=pod_addresses(number),
    )
    world.create([component])
    world.add_nodes([node])
    return world.add_pods([plan], [node])[0]


def _run(world: World, component: Component, management: CertificateManagement, pod: Pod, directory: Path) -> int:
    told = resolved(variables(component, management), name=pod.name, namespace=pod.namespace, address=pod.addresses[0])
    environment = client.Environment.from_variables(told | {"CERTIFICATE_PATH": str(directory)})
    token = world.token(pod.namespace, pod.service_account, pod)
    print(f"asking for {environment.request_name} as {pod.namespace}/{pod.service_account}", file=sys.stderr)
    try:
        wrote_files = client.run(environment, world.api.with_token(token))
    except client.ClientError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"files in {directory}" if wrote_files else "the watch ended; no files", file=sys.stderr)
    return 0 if wrote_files else 1


if __name__ == "__main__":
    sys.exit(main())
