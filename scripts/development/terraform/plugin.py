"""The double of a provider's program: `python -m development.terraform.plugin SCHEMA.json`.

It implements the part of Terraform's plugin protocol 6 that `validate` and tests with mocked providers need. It returns
the schema, and accepts every configuration. It cannot plan or read. It runs in the virtual environment of
scripts/requirements-terraform.txt, so it imports modules from there by name.
"""

import base64
import importlib
import json
import os
import shutil
import sys
import tempfile
from concurrent import futures
from pathlib import Path
from typing import Any, Final

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


def provider(pb: Any, rpc: Any, schema: dict[str, Any]) -> Any:  # noqa: ANN401 - generated protobuf classes
    """Returns a gRPC servicer for a schema."""

    def schemas(kind: str) -> dict[str, Any]:
        return {name: pb.Schema(version=0, block=block(pb, content)) for name, content in schema[kind].items()}

    def metadata(*_: object) -> Any:  # noqa: ANN401
        return pb.GetMetadata.Response(
            resources=[pb.GetMetadata.ResourceMetadata(type_name=name) for name in schema["resource"]],
            data_sources=[pb.GetMetadata.DataSourceMetadata(type_name=name) for name in schema["data"]],
        )

    def whole(*_: object) -> Any:  # noqa: ANN401
        return pb.GetProviderSchema.Response(
            provider=pb.Schema(version=0, block=block(pb, schema["provider"])),
            resource_schemas=schemas("resource"),
            data_source_schemas=schemas("data"),
        )

    answers = {
        "GetMetadata": metadata,
        "GetProviderSchema": whole,
        "ValidateProviderConfig": lambda *_: pb.ValidateProviderConfig.Response(),
        "ValidateResourceConfig": lambda *_: pb.ValidateResourceConfig.Response(),
        "ValidateDataResourceConfig": lambda *_: pb.ValidateDataResourceConfig.Response(),
        "ConfigureProvider": lambda *_: pb.ConfigureProvider.Response(),
        "GetFunctions": lambda *_: pb.GetFunctions.Response(),
        "GetResourceIdentitySchemas": lambda *_: pb.GetResourceIdentitySchemas.Response(),
        "StopProvider": lambda *_: pb.StopProvider.Response(),
    }
    return type("Provider", (rpc.ProviderServicer,), {name: staticmethod(made) for name, made in answers.items()})()


def serve(schema: dict[str, Any]) -> None:
    """Serves until Terraform stops it."""
    grpc, runner = importlib.import_module("grpc"), importlib.import_module("tf.runner")
    names = ("tfplugin_pb2", "tfplugin_pb2_grpc", "grpc_controller_pb2_grpc", "grpc_stdio_pb2_grpc")
    pb, rpc, controller, stdio = (importlib.import_module(f"tf.gen.{name}") for name in names)

    folder = Path(tempfile.mkdtemp(prefix="terraform-plugin-"))

    def leave(*_: object) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)  # Terraform waits for this line

    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", 64 * _MEBIBYTE)])
    rpc.add_ProviderServicer_to_server(provider(pb, rpc, schema), server)
    end = type("Controller", (controller.GRPCControllerServicer,), {"Shutdown": staticmethod(leave)})
    controller.add_GRPCControllerServicer_to_server(end(), server)
    quiet = type("Stdio", (stdio.GRPCStdioServicer,), {"StreamStdio": staticmethod(lambda *_: iter(()))})
    stdio.add_GRPCStdioServicer_to_server(quiet(), server)
    chain, credentials = runner._self_signed_cert()  # noqa: SLF001 - the version is pinned
    socket = folder / "socket"
    server.add_secure_port(f"unix://{socket}", credentials)
    server.start()
    print(f"1|6|unix|{socket}|grpc|{base64.b64encode(chain).decode().rstrip('=')}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
