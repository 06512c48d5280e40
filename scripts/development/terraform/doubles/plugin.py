"""The doubles of all providers in one process: `python -m development.terraform.doubles.plugin FOLDER`.

It implements the part of Terraform's plugin protocol 6 that our tests need: it returns the schema, accepts every
configuration, plans and applies. Terraform attaches to the sockets that the first line of output names, as to a
provider in a debugger: starting the providers for each command would take a third of the CPU time. The program ends
when its input ends. It runs in the virtual environment of scripts/requirements-terraform.txt, and imports modules from
there by name.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any, Final

from development.terraform.doubles import google
from development.terraform.doubles.resources import Resources

PROVIDERS: Final = ("archive", "google", "google-beta", "time")
_MEBIBYTE: Final = 1 << 20


def block(pb: Any, content: dict[str, Any]) -> Any:  # noqa: ANN401 - generated protobuf classes
    """Converts a schema's block to the protocol's form."""
    nesting = pb.Schema.NestedBlock
    kinds = {"single": nesting.SINGLE, "list": nesting.LIST, "set": nesting.SET}
    attributes = [
        pb.Schema.Attribute(name=name, **{**attribute, "type": json.dumps(attribute["type"]).encode()})
        for name, attribute in content["attributes"].items()
    ]
    nested = [
        nesting(
            type_name=name,
            nesting=kinds[inner["nesting"]],
            min_items=inner["min"],
            max_items=inner["max"],
            block=block(pb, inner["block"]),
        )
        for name, inner in content["blocks"].items()
    ]
    return pb.Schema.Block(version=0, attributes=attributes, block_types=nested)


def provider(pb: Any, rpc: Any, schema: dict[str, Any], projects: google.Projects) -> Any:  # noqa: ANN401 - protobuf classes
    """Returns a gRPC servicer for a schema."""
    resources = Resources(schema, projects)

    def schemas(kind: str) -> dict[str, Any]:
        return {name: pb.Schema(version=0, block=block(pb, content)) for name, content in schema[kind].items()}

    def whole(*_: object) -> Any:  # noqa: ANN401
        return pb.GetProviderSchema.Response(
            provider=pb.Schema(version=0, block=block(pb, schema["provider"])),
            resource_schemas=schemas("resource"),
            data_source_schemas=schemas("data"),
        )

    answers: dict[str, Callable[..., Any]] = {
        "GetProviderSchema": whole,
        "ValidateProviderConfig": lambda *_: pb.ValidateProviderConfig.Response(),
        "ValidateResourceConfig": lambda *_: pb.ValidateResourceConfig.Response(),
        "ValidateDataResourceConfig": lambda *_: pb.ValidateDataResourceConfig.Response(),
        "ConfigureProvider": lambda *_: pb.ConfigureProvider.Response(),
        "GetResourceIdentitySchemas": lambda *_: pb.GetResourceIdentitySchemas.Response(),
        "UpgradeResourceState": resources.upgrade,
        "PlanResourceChange": resources.plan,
        "ApplyResourceChange": resources.apply,
        "ReadResource": resources.read,
        "ReadDataSource": resources.data,
        "ImportResourceState": resources.import_,
    }
    return type("Provider", (rpc.ProviderServicer,), {name: staticmethod(made) for name, made in answers.items()})()


def serve(folder: Path) -> None:
    """Serves until the input ends.

    Args:
        folder: Has the providers' schemas; gets their sockets, and the file of what exists at Google.
    """
    grpc = importlib.import_module("grpc")
    pb, rpc = (importlib.import_module(f"tf.gen.{name}") for name in ("tfplugin_pb2", "tfplugin_pb2_grpc"))
    projects = google.Projects(folder / google.FILE)
    attached, servers = {}, []
    for name in PROVIDERS:
        schema = json.loads((folder / f"{name}-schema.json").read_text(encoding="utf-8"))
        server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", 64 * _MEBIBYTE)])
        rpc.add_ProviderServicer_to_server(provider(pb, rpc, schema, projects), server)
        address = {"Network": "unix", "String": str(folder / f"{name}.socket")}
        server.add_insecure_port(f"unix://{address['String']}")
        server.start()
        servers.append(server)
        process = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True}
        attached[f"hashicorp/{name}"] = process | {"Addr": address}
    print(json.dumps(attached), flush=True)
    sys.stdin.read()
    for server in servers:
        server.stop(None)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
