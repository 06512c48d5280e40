"""The command line of the demo."""

from pathlib import Path

import pytest

from sandbox.demo.options import PODS, parse


def test_defaults() -> None:
    """Without options: the double of everything, plain lines where nobody watches."""
    options = parse([])
    assert (options.plane, options.kms, options.pods, options.serve, options.live) == (
        "embedded",
        None,
        PODS,
        False,
        False,
    )


def test_planes() -> None:
    """One control plane: a real one, or one that runs."""
    assert parse(["--real"]).plane == "real"
    assert parse(["--kubeconfig", "admin.conf"]).plane == Path("admin.conf")


def test_key_pairs() -> None:
    """Goldmane and Whisker get key pairs, but not where an operator may run, which would mount the Secrets."""
    assert parse([]).key_pairs
    assert parse(["--kubeconfig", "admin.conf"]).key_pairs
    assert not parse(["--no-key-pairs"]).key_pairs
    assert not parse(["--kubeconfig", "admin.conf", "--force"]).key_pairs


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--real", "--kubeconfig", "admin.conf"], "--kubeconfig: not allowed with argument --real"),
        (["--kubernetes", "v1.36.3"], "--kubernetes needs --real"),
        (["--force"], "--force needs --kubeconfig"),
        (["--pods", "-1"], "--pods: Invalid value: -1: must be 0 to 20000"),
        (["--pods", "100000"], "--pods: Invalid value: 100000: must be 0 to 20000"),
        (["--pods", "many"], "--pods: invalid int value: 'many'"),
        (["--kms", "foo"], '--kms: Invalid value: "foo": must be HOST:PORT on the loopback address'),
        (["--kms", "localhost:65536"], '--kms: Invalid value: "localhost:65536": must be HOST:PORT on the loopback'),
    ],
    ids=str,
)
def test_conflicting_options_and_bad_values_are_refused(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo ends with usage, the option, its value and what is allowed, and status 2."""
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert error in capsys.readouterr().err
