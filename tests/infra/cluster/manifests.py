"""Where the manifests are."""

from tests.paths import INFRA

CLUSTER = INFRA / "cluster"
