"""Any input in a file or an option leads to a result, a usage error or a one-line error, never to a traceback."""

import base64
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.signerctl.authorities import Corporate, foreign
from tests.unit.signerctl.stage import Stage

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def seeds() -> list[bytes]:
    """Returns valid files in every format, which the tests then change."""
    corporate = Corporate()
    found = [foreign("Seed"), corporate.intermediate, corporate.root]
    nameless = found[0].public_bytes(Encoding.DER).replace(b"Seed", b"S\xff\xfed")  # the subject is not UTF-8
    return [
        b"".join(each.public_bytes(Encoding.PEM) for each in found),
        found[0].public_bytes(Encoding.DER),
        nameless,
        x509.load_der_x509_certificate(nameless).public_bytes(Encoding.PEM),
        pkcs7.serialize_certificates(found, Encoding.DER),
        pkcs7.serialize_certificates(found, Encoding.PEM),
    ]


@st.composite
def nearly_right(draw: st.DrawFn) -> bytes:
    """Draws a valid file with some bytes changed, removed or inserted; for PEM also inside the DER."""
    content = bytearray(draw(st.sampled_from(seeds())))
    armoured = content.startswith(b"-----")
    if armoured and draw(st.booleans()):
        lines = content.split(b"\n")
        content = bytearray(base64.b64decode(b"".join(lines[1 : lines.index(next(x for x in lines if b"END" in x))])))
    else:
        armoured = False
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content) - 1))
        match draw(st.sampled_from(("change", "cut", "insert"))):
            case "change":
                content[place] = draw(st.integers(0, 255))
            case "cut":
                del content[place : place + draw(st.integers(1, 20))]
            case _:
                content[place:place] = draw(st.binary(max_size=8))
        content = content or bytearray(b"\0")
    if armoured:
        return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(content) + b"-----END CERTIFICATE-----\n"
    return bytes(content)


def assert_clean(exit_code: int, stdout: str, stderr: str) -> None:
    """Asserts that the command printed a result or an error line, and only printable characters."""
    assert exit_code in (0, 1)
    assert all(each.isprintable() or each == "\n" for each in stdout + stderr)
    if exit_code == 1 and not stdout:
        assert stderr.splitlines()[-1].startswith("error: ")


@QUICK
@given(content=nearly_right() | st.binary(max_size=300))
@example(content=b"")
@example(content=b"-----BEGIN CERTIFICATE-----")
@example(content=b"-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n")
@example(content=b"\x30\x80\x00\x00")
@example(content=seeds()[2])
def test_show_accepts_any_file(stage: Stage, content: bytes) -> None:
    """Both the table and the JSON output handle any content."""
    for more in ((), ("--json",)):
        result = stage.run("show", "-", *more, stdin=content)
        assert_clean(result.exit_code, result.stdout, result.stderr)


@QUICK
@given(content=nearly_right() | st.binary(max_size=300))
@example(content=seeds()[3])
def test_import_refuses_any_foreign_answer(stage: Stage, content: bytes) -> None:
    """None of the files answers our request, so the command writes nothing."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        outputs = ("--out-certificate", folder / "a.pem", "--out-trust-bundle", folder / "b.pem")
        result = stage.run("import", "--key-version", stage.key(), *outputs, "-", stdin=content)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert not list(folder.iterdir())


@QUICK
@given(content=nearly_right() | st.binary(max_size=300))
@example(content=seeds()[3])
def test_verify_accepts_any_certificate(stage: Stage, content: bytes) -> None:
    """The command reports a result for any content."""
    with TemporaryDirectory() as name:
        path = Path(name) / "ca.pem"
        path.write_bytes(content)
        files = ("--certificate", path, "--trust-bundle", path, "--key-version", stage.key())
        result = stage.run("verify", *files)
        assert_clean(result.exit_code, result.stdout, result.stderr)


@QUICK
@given(content=nearly_right() | st.binary(max_size=300))
@example(content=seeds()[3])
def test_bundle_and_cross_sign_accept_any_certificate(stage: Stage, content: bytes) -> None:
    """`bundle` prints a patch or an error, `cross-sign` an error; nothing is signed."""
    with TemporaryDirectory() as name:
        path = Path(name) / "ca.pem"
        path.write_bytes(content)
        result = stage.run("bundle", "--certificate", path, "--signer-name", "example.com/calico")
        assert_clean(result.exit_code, result.stdout, result.stderr)
        out, before = Path(name) / "cross.pem", stage.signatures()
        files = ("--signing-certificate", path, "--certificate", path, "--out", out)
        keys = ("--key-version", stage.key(), "--new-key-version", stage.key(number=2))
        result = stage.run("cross-sign", *keys, *files)
        assert result.exit_code == 1
        assert stage.signatures() == before


_WORDS = st.sampled_from(
    ["kind", "Installation", "items", "spec", "certificateManagement", "caCert", "signerName", "keyAlgorithm", "a", ""]
)
_VALUES = st.recursive(
    _WORDS | st.text(max_size=10) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def root_file(shared_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid root."""
    return shared_stage.create(tmp_path_factory.mktemp("garbage") / "ca.pem")


@QUICK
@given(text=st.builds(repr, _VALUES).map(str.encode) | st.binary(max_size=100) | st.text(max_size=60).map(str.encode))
@example(text=b"spec: {certificateManagement: {caCert: [], signerName: 1}}")
@example(text=b"spec: {certificateManagement: {caCert: '\xff', signerName: a}}")
@example(text=b"? {a: b}\n: c")
@example(text=b"%YAML 9.9\n---\n")
@example(text=b"!!python/object/apply:os.system [id]")
def test_verify_refuses_any_foreign_installation(stage: Stage, root_file: Path, text: bytes) -> None:
    """None of the inputs is an Installation with our CA, so the command reports an error."""
    files = ("--certificate", root_file, "--trust-bundle", root_file, "--key-version", stage.key())
    result = stage.run("verify", *files, "--installation", "-", stdin=text)
    assert result.exit_code == 1
    assert_clean(result.exit_code, result.stdout, result.stderr)
    assert "errors: 1, " in result.stdout or "errors: 2, " in result.stdout


@QUICK
@given(text=st.text(max_size=40))
@example(text="\udcff")
@example(text="\x1b]0;title\x07")
def test_any_option_value_ends_in_an_error(stage: Stage, text: str) -> None:
    """The command fails with a usage error or an error line, never with a traceback."""
    for option in ("--key-version", "--common-name", "--permit-dns", "--organization", "--days", "--kms-endpoint"):
        given_options = ("--key-version", stage.key(), "--common-name", "a", "--out", "absent/ca.pem")
        result = stage.run("create", *given_options, f"{option}={text}")
        assert result.exit_code in (1, 2)
