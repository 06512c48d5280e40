"""The module `certificate` reads the end of a CA certificate."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.infra.terraform.conftest import initialised
from tests.unit.function.authorities import Ca, named, permitted

if TYPE_CHECKING:
    import pytest

MODULE = "infra/modules/certificate"
LAST_OF_UTC = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
FIRST_OF_GENERALIZED = datetime(2050, 1, 1, tzinfo=UTC)


def authorities() -> list[Ca]:
    """CAs with encodings of different lengths and with both kinds of time."""
    ends = (LAST_OF_UTC, FIRST_OF_GENERALIZED)
    short = [Ca("A" * length, end=end) for length in range(1, 5) for end in ends]
    subject = named("Example", ORGANIZATION_NAME="Ünïcode & <Söhne>", COUNTRY_NAME="DE")
    names = permitted(*(x509.DNSName(f"{index}.example.com") for index in range(100)))
    large = Ca(subject, key=rsa.generate_private_key(public_exponent=65537, key_size=2048), extensions=names)
    return [*short, large, Ca("Before", begin=datetime(1999, 5, 6, 7, 8, 9, tzinfo=UTC))]


def test_the_module_reads_the_certificates_not_after(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The result equals pyca's notAfter for certificates of several sizes and both kinds of time."""
    runs = [
        f"""run "number_{index}" {{
  command = plan
  variables {{
    pem = {json.dumps(ca.pem.decode())}
  }}
  assert {{
    condition     = output.not_after == "{ca.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    error_message = "got ${{coalesce(output.not_after, "nothing")}}"
  }}
}}
"""
        for index, ca in enumerate(authorities())
    ]
    with initialised(tmp_path_factory, MODULE) as workspace:
        test = workspace.tree / MODULE / "tests" / "ends.tftest.hcl"
        test.write_text("\n".join(runs), encoding="utf-8")
        answer = workspace.run(MODULE, "test", "-no-color", "-filter=tests/ends.tftest.hcl")
    assert answer.status == 0, answer.output
