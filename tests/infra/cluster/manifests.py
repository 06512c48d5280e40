"""Where the manifests are."""

from pathlib import Path

CLUSTER = Path(__file__).resolve().parents[3] / "infra" / "cluster"
