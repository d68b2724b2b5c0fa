"""scripts/kill_test.py at its smallest; the run with its hundred kills stands in docs/log.md."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_a_kill_changes_nothing():
    command = [sys.executable, str(ROOT / "scripts" / "kill_test.py"), "--kills", "1", "--it", "1", "--steps-per-it", "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"kills": 1' in done.stdout and '"different": 0' in done.stdout
