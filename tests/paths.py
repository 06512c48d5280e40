"""Where the files are that tests read."""

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FUNCTION: Final = ROOT / "function"
DOCS: Final = ROOT / "docs"
INFRA: Final = ROOT / "infra"
EXAMPLE_PROFILES: Final = INFRA / "examples" / "profiles"
EXPORTER_MANIFEST: Final = INFRA / "cluster" / "examples" / "demo" / "exporter.yaml"
GOLDEN: Final = ROOT / "tests" / "golden"
CACHE: Final = (Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kms-csr-signer").absolute()
"""Where programs stay that tests build once for all clones."""
