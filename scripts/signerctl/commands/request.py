"""`signerctl ca request`: makes a request to a corporate CA."""

import hashlib
from pathlib import Path
from typing import Final

import click
from cryptography.hazmat.primitives.serialization import Encoding

from csr_signer.violation import bounded, quote
from signerctl import files, records
from signerctl.ca import certificate as ca_certificate
from signerctl.ca import certification_request
from signerctl.ca import lint as ca_lint
from signerctl.ca.certification_request import RequestTemplate
from signerctl.interface.program import Command
from signerctl.interface.text import table
from signerctl.key import KmsOptions, opened
from signerctl.options import (
    OUTPUT,
    audit_log_option,
    force_option,
    key_version_option,
    kms_options,
    permit_dns_option,
    subject_options,
)

PURPOSE: Final = "signerctl=ca-request"


@click.command(cls=Command)
@key_version_option
@subject_options
@permit_dns_option
@click.option("--out", required=True, type=OUTPUT, help="The file for the PKCS#10 request, PEM.")
@force_option
@audit_log_option
@kms_options
def request(
    *,
    key_version: str,
    common_name: str,
    organization: str,
    permitted_dns_names: tuple[str, ...],
    out: Path,
    force: bool,
    audit_log: Path | None,
    kms: KmsOptions,
) -> None:
    r"""Ask a corporate CA to certify the key.

    You need it if your organisation's root issues the certificate of the issuing CA: once at the start and once for
    each new key version. Relying parties then trust the corporate root.

    The request is a PKCS#10 file, signed by the key in KMS as proof of possession. It asks for a CA with path length 0
    for server and client authentication. The corporate CA decides what it grants: `ca import` checks the answer.

    \b
    Example:
      signerctl ca request \
        --key-version projects/p/locations/l/keyRings/r/cryptoKeys/calico/cryptoKeyVersions/1 \
        --common-name 'Calico CA 2026' --organization Example --out calico-2026.csr

    Next: send the file to the corporate CA, then give its answer to `ca import`.
    """
    with files.outputs(out, force=force, audit_log=audit_log) as outputs:
        key = opened(key_version, kms)
        template = RequestTemplate(
            purpose=PURPOSE,
            subject=ca_certificate.name(common_name, organization),
            subject_public_key_info=key.subject_public_key_info,
            algorithm=key.algorithm,
            permitted_dns_names=permitted_dns_names,
        )
        facts = {
            "subject": bounded(template.subject.rfc4514_string()),
            "permitted_dns_names": list(permitted_dns_names),
            "public_key_sha256": hashlib.sha256(key.subject_public_key_info).hexdigest(),
        }
        with records.signed(
            ca_lint.lint_request(certification_request.build(template), template),
            key,
            records.audit(audit_log),
            what=f"the request for {quote(common_name)}",
            facts=facts,
            assemble=certification_request.assemble,
        ) as made:
            outputs.write({out: made.public_bytes(Encoding.PEM)})
    table(
        "created a certification request",
        [
            ("subject", template.subject.rfc4514_string()),
            ("asks for", "CA:TRUE, path length 0, serverAuth and clientAuth"),
            *([("permitted", ", ".join(permitted_dns_names))] if permitted_dns_names else []),
            ("key version", key_version),
            ("written to", str(out)),
        ],
    )
