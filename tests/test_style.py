"""The code is as `ruff format` writes it and `ruff check` complains of nothing; the rules are in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("command", [("check", "--no-cache"), ("format", "--check", "--no-cache")], ids=lambda command: command[0])
def test_nothing_to_complain_of(command):
    done = subprocess.run([sys.executable, "-m", "ruff", *command, "."], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-2000:]}\nruff format . && ruff check --fix . does most of it"
