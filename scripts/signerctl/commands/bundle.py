"""`signerctl ca bundle`: prints the patch of the cluster's Installation."""

from pathlib import Path

import click

from signerctl import files
from signerctl.ca import trust
from signerctl.installation import PAIRS, SIGNATURE_ALGORITHMS, SLOW, CertificateManagement, pair_violation, snippet
from signerctl.interface import clock
from signerctl.interface.program import Command, CommandError
from signerctl.interface.text import warn
from signerctl.options import INPUT, OUTPUT, force_option, signer_name


@click.command(cls=Command)
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    required=True,
    type=INPUT,
    help="CA certificates to trust: the signing CA's first. May be given several times, as for a rotation.",
)
@click.option("--signer-name", required=True, callback=signer_name, help="The signerName that the function serves.")
@click.option(
    "--key-algorithm",
    default="ECDSAWithCurve256",
    show_default=True,
    type=click.Choice(list(PAIRS)),
    help="Algorithm of the keys that Calico's pods generate.",
)
@click.option(
    "--signature-algorithm",
    default="ECDSAWithSHA256",
    show_default=True,
    type=click.Choice(SIGNATURE_ALGORITHMS),
    help="Algorithm of the pods' signatures; it must fit the key. The CA's own algorithm is independent of both.",
)
@click.option(
    "--out-trust-bundle", type=OUTPUT, help="Also write the certificates, PEM: the function's issuer.trust_bundle."
)
@force_option
def bundle(
    *,
    certificates: tuple[Path, ...],
    signer_name: str,
    key_algorithm: str,
    signature_algorithm: str,
    out_trust_bundle: Path | None,
    force: bool,
) -> None:
    r"""Print the patch of the Installation.

    The patch holds caCert, signerName, and a matching pair of algorithms. You need it whenever Calico's trusted CAs
    change: at the start, and in a rotation. In a rotation, add the new root before the function signs with it, and
    drop the old root at the end. Give the signing CA first: the tigera operator parses only the first, and distributes
    all. The command refuses a CA that is not valid now: drop an old root that expired during a rotation.

    Every change of caCert restarts Calico's pods, which then ask for new certificates.

    \b
    Example:
      signerctl ca bundle --certificate calico-2026.pem --certificate calico-2027.pem \
        --signer-name example.com/calico --out-trust-bundle trust.pem > installation.yaml
      kubectl patch installation default --type merge --patch-file installation.yaml

    Next: `ca verify --installation` compares the cluster's Installation with the function's configuration.
    """
    found = tuple(dict.fromkeys(each for path in certificates for each in files.read_certificates(path)))
    violations = list(trust.violations(found)) or list(trust.date_violations(found, clock.now()))
    if violations:
        raise CommandError("; ".join(violations))
    management = CertificateManagement(
        ca_cert=files.pem(found),
        signer_name=signer_name,
        key_algorithm=key_algorithm,
        signature_algorithm=signature_algorithm,
    )
    violation = pair_violation(management)
    if violation:
        raise click.UsageError(violation)
    for warning in trust.warnings(found):
        warn(warning)
    if key_algorithm in SLOW:
        warn(f"--key-algorithm: {key_algorithm} is slow: pods rarely generate such a key in Calico's 90 seconds")
    if out_trust_bundle is not None:
        with files.outputs(out_trust_bundle, force=force, inputs=certificates) as outputs:
            outputs.write({out_trust_bundle: management.ca_cert})
    click.echo(snippet(management), nl=False)
