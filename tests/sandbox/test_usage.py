"""What a process takes, by the kernel's own books."""

import subprocess
import sys

from sandbox.usage import MEBIBYTE, Usage

PROGRAM = "held = bytearray({size}); del held; print('ready', flush=True); input()"


def test_a_peak_that_is_over_is_still_known() -> None:
    """Memory that was given back long ago counts as the most that there was, not as what is resident."""
    program = PROGRAM.format(size=64 * MEBIBYTE)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        usage = Usage.of(process.pid)
        process.communicate(b"\n")
    assert usage.peak > 64 > usage.largest
    assert usage.threads == 1
    assert usage.descriptors >= 3
    assert usage.seconds > 0
