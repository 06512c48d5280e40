"""The packages that the function imports at a cold start; each package costs CPU time and memory."""

import subprocess
import sys
from typing import Final

from tests.paths import FUNCTION

PACKAGES: Final = {
    "aiohappyeyeballs",
    "aiohttp",
    "aiosignal",
    "anyio",
    "attr",
    "blinker",
    "certifi",
    "charset_normalizer",
    "click",
    "cloudevents",
    "cryptography",
    "csr_signer",
    "deprecation",
    "flask",
    "frozenlist",
    "functions_framework",
    "google",
    "google_crc32c",
    "grpc",
    "grpc_status",
    "idna",
    "ijson",
    "itsdangerous",
    "jinja2",
    "main",
    "markupsafe",
    "multidict",
    "opentelemetry",
    "packaging",
    "propcache",
    "proto",
    "pydantic",
    "pydantic_core",
    "requests",
    "starlette",
    "typing_extensions",
    "typing_inspection",
    "urllib3",
    "werkzeug",
    "yaml",
    "yarl",
}
"""The function needs these packages to issue, or one of them imports it. `kubernetes` and `badkeys` must be absent."""

PROGRAM: Final = """
import sys
import main
loaded = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(*sorted(name for name in loaded if not name.startswith(("_", "cython_"))))
"""


def test_a_start_loads_these_packages_and_no_others() -> None:
    """An additional package is a decision: import it later, or add it here with the reason."""
    started = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=FUNCTION, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert set(started.stdout.split()) == PACKAGES
