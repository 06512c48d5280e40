"""Runs the doubles of Google's identity services until a signal stops them."""

import argparse
import dataclasses
import json
import ssl
import time
from pathlib import Path

from sandbox.google.jwt import keys_of
from sandbox.google.model import Configuration, Project, example, gke_provider, oidc_provider
from sandbox.google.server import GoogleServer
from sandbox.lifecycle import StopSignals, say_ready


def main() -> None:
    """Serves, prints the addresses, and stops on SIGTERM or SIGINT."""
    options = _parser().parse_args()
    tls = None
    if options.tls_certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.tls_certificate, options.tls_key)
    server = GoogleServer(
        _configuration(options),
        run_target=options.run_target,
        port=options.port,
        metadata_port=options.metadata_port,
        run_port=options.run_port,
        tls=tls,
        clock=lambda: time.time() + options.clock_offset,
    )
    provider = next(iter(server.configuration.providers.values()))
    ready = {
        "part": "google",
        "metadata": server.metadata,
        "sts": server.sts,
        "iam_credentials": server.iam_credentials,
        "run": server.run,
        # A token exchange needs the two audiences of a provider.
        "sts_audience": provider.audience,
        "subject_audience": provider.subject_audience,
    }
    with StopSignals() as stop, server:
        say_ready(ready)
        stop.wait()


def _configuration(options: argparse.Namespace) -> Configuration:
    keys = keys_of(json.loads(options.jwks.read_text())) if options.jwks is not None else None
    make = gke_provider if options.gke else oidc_provider
    configuration = example(make(Project(), issuer=options.subject_issuer, keys=keys))
    return dataclasses.replace(
        configuration,
        attached=options.attached or configuration.attached,
        invokers=frozenset(options.invoker) or configuration.invokers,
        audiences=frozenset(options.audience),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.google", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of STS, IAM Credentials and keys; 0 for a free one")
    parser.add_argument("--metadata-port", type=int, default=0, help="port of the metadata server")
    parser.add_argument("--run-port", type=int, default=0, help="port of Cloud Run's front door")
    parser.add_argument("--run-target", help="URL of the service behind the front door; without it there is none")
    parser.add_argument("--audience", action="append", default=[], help="custom audience of the service; repeatable")
    parser.add_argument("--invoker", action="append", default=[], help="email that may call the service; repeatable")
    parser.add_argument("--attached", help="email of the account that the metadata server answers for")
    parser.add_argument("--gke", action="store_true", help="exchange tokens as for a cluster on GKE")
    parser.add_argument("--subject-issuer", help="the only issuer of the cluster's service account tokens")
    parser.add_argument("--jwks", type=Path, help="file with the keys that sign them; without it any signature passes")
    parser.add_argument("--clock-offset", type=float, default=0.0, help="seconds by which Google's clock is ahead")
    parser.add_argument("--tls-certificate", type=Path, help="PEM certificate for all but the metadata server")
    parser.add_argument("--tls-key", type=Path, help="PEM key of that certificate")
    return parser


if __name__ == "__main__":
    main()
