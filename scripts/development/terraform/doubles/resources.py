"""The provider's part of `plan`, `apply`, `import` and `refresh`, in Terraform's plugin protocol 6.

Plans as the provider's SDK does: a computed attribute is unknown until the apply creates the resource, and a change of
an argument in `KINDS[...].force_new` replaces the resource. `google` keeps what exists.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from development.terraform.doubles import google
from development.terraform.doubles.google import Values
from development.terraform.doubles.kinds import KINDS
from development.terraform.doubles.schema import Block


class Resources:
    """Answers the calls about resources and data sources.

    Args:
        schema: The provider's schema.
        projects: What exists at Google.
    """

    def __init__(self, schema: Mapping[str, Mapping[str, Block]], projects: google.Projects) -> None:
        self._schema = schema
        self._projects = projects
        self._utils: Any = importlib.import_module("tf.utils")
        self._unknown: Any = importlib.import_module("tf.types").Unknown
        self._pb: Any = importlib.import_module("tf.gen.tfplugin_pb2")

    def upgrade(self, request: Any, _: object) -> Any:  # noqa: ANN401 - generated protobuf classes
        """Accepts the state as it is: the double has one version of each schema."""
        state = self._pb.DynamicValue(json=request.raw_state.json)
        return self._pb.UpgradeResourceState.Response(upgraded_state=state)

    def plan(self, request: Any, _: object) -> Any:  # noqa: ANN401 - generated protobuf classes
        """Plans one resource."""
        kind = request.type_name
        prior, proposed = self._read(request.prior_state), self._read(request.proposed_new_state)
        planned, replacing = proposed, []
        if proposed is not None and prior is None:
            planned = self._computed(self._schema["resource"][kind], proposed)
        elif proposed is not None:
            replacing = [path for path in KINDS[kind].force_new if google.at(prior, path) != google.at(proposed, path)]
        steps = [[self._pb.AttributePath.Step(attribute_name=path.partition(".")[0])] for path in replacing]
        return self._pb.PlanResourceChange.Response(
            planned_state=self._utils.to_dynamic_value(planned),
            requires_replace=[self._pb.AttributePath(steps=each) for each in steps],
            legacy_type_system=True,
        )

    def apply(self, request: Any, _: object) -> Any:  # noqa: ANN401 - generated protobuf classes
        """Creates, updates or deletes one resource."""
        prior, planned = self._read(request.prior_state), self._read(request.planned_state)
        response = self._pb.ApplyResourceChange.Response

        def apply() -> Any:  # noqa: ANN401
            state = self._projects.apply(request.type_name, prior, self._known(planned))
            return response(new_state=self._utils.to_dynamic_value(state), legacy_type_system=True)

        return self._answer(apply, response, new_state=request.prior_state)

    def read(self, request: Any, _: object) -> Any:  # noqa: ANN401 - generated protobuf classes
        """Returns the current values of one resource, or nothing if it does not exist any more."""
        state = self._projects.read(request.type_name, self._read(request.current_state))
        return self._pb.ReadResource.Response(new_state=self._utils.to_dynamic_value(state))

    def data(self, request: Any, _: object) -> Any:  # noqa: ANN401 - generated protobuf classes
        """Returns a data source's values."""
        state = google.data(request.type_name, self._read(request.config))
        return self._pb.ReadDataSource.Response(state=self._utils.to_dynamic_value(state))

    def import_(self, request: Any, _: object) -> Any:  # noqa: ANN401 - generated protobuf classes
        """Finds a resource by an ID in one of the formats that the provider accepts."""
        response = self._pb.ImportResourceState.Response

        def find() -> Any:  # noqa: ANN401
            state = self._projects.find(request.type_name, request.id)
            imported = self._pb.ImportResourceState.ImportedResource(
                type_name=request.type_name, state=self._utils.to_dynamic_value(state)
            )
            return response(imported_resources=[imported])

        return self._answer(find, response)

    def _answer(self, call: Callable[[], Any], response: Any, **otherwise: Any) -> Any:  # noqa: ANN401
        try:
            return call()
        except google.GoogleError as error:
            severity = self._pb.Diagnostic.ERROR
            return response(diagnostics=[self._pb.Diagnostic(severity=severity, summary=str(error))], **otherwise)

    def _read(self, value: Any) -> Any:  # noqa: ANN401 - Terraform's values
        return self._utils.read_dynamic_value(value)

    def _computed(self, block: Block, value: Values) -> Values:
        """Marks what only Google determines as unknown."""
        made = {
            name: self._unknown if value.get(name) is None and attribute["computed"] else value.get(name)
            for name, attribute in block["attributes"].items()
        }
        for name, inner in block["blocks"].items():
            found = value.get(name)
            if isinstance(found, list):
                found = [self._computed(inner["block"], each) for each in found]
            made[name] = found
        return made

    def _known(self, value: Any) -> Any:  # noqa: ANN401 - Terraform's values
        """Replaces unknown values by none: `google` fills in those that the configuration uses."""
        if isinstance(value, dict):
            return {name: self._known(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._known(each) for each in value]
        return None if value is self._unknown else value
