"""The options of a walk, which `explain` has too."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from csr_signer.violation import quote
from signerctl.cluster.rendering import NO_GUARDS
from signerctl.doctor.examination import Options
from signerctl.doctor.exporter_document import URL
from signerctl.guards.guarded import Exporter
from signerctl.options import ACTIONS, DOCUMENT, approver_option, exporter_option, username


def _base_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (URL.fullmatch(value) and value.startswith("http://")):
        raise click.BadParameter(
            f"{quote(value)}: must be http://HOST:PORT, because the exporter serves it without TLS"
        )
    return value


_OPTIONS: Final = (
    click.option(
        "--configuration",
        required=True,
        type=DOCUMENT,
        help="The function's configuration document, in the folder with its certificates and profiles.",
    ),
    click.option("--cluster", help="The cluster's key in the document. Default: the only one."),
    click.option(
        "--exporter-configuration",
        type=DOCUMENT,
        help="The exporter's configuration.json. Default: the ConfigMap that its pods mount.",
    ),
    click.option(
        "--exporter-url",
        metavar="URL",
        callback=_base_url,
        help="Where the exporter serves /readyz, for example through kubectl port-forward. Default: its pods'"
        " readiness, as the API server tells it.",
    ),
    click.option(
        "--function-user",
        callback=lambda context, parameter, value: value and username(context, parameter, value),
        help="The function's username at the API server. Default: as the configuration says, where it does.",
    ),
    approver_option,
    click.option(
        "--guards",
        default="deny",
        show_default=True,
        type=click.Choice([*ACTIONS, NO_GUARDS]),
        help="The action with which the guards were written; none: the cluster has no guards.",
    ),
    exporter_option,
)


def walk_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; with those of `cluster_options`, the command gets them as `options`."""

    @functools.wraps(command)
    def with_options(
        *,
        configuration: Path,
        cluster: str | None,
        kubeconfig: Path | None,
        context: str | None,
        exporter: Exporter,
        exporter_configuration: Path | None,
        exporter_url: str | None,
        function_user: str | None,
        approvers: tuple[str, ...],
        guards: str,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        options = Options(
            configuration=configuration,
            cluster=cluster,
            kubeconfig=kubeconfig,
            context=context,
            exporter=exporter,
            exporter_configuration=exporter_configuration,
            exporter_url=exporter_url,
            function_user=function_user,
            approvers=approvers,
            guards=guards,
        )
        command(options=options, **others)

    wrapped: Callable[..., None] = with_options
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
