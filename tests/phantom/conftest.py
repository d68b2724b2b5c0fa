import os
import shutil
import subprocess
import sys

import pytest

from mammolibs.phantom import TRAPS, make_phantoms


@pytest.fixture(scope="session")
def trapped(tmp_path_factory):
    """One exam per trap, small; the whole list of traps is planted."""
    folder = tmp_path_factory.mktemp("trapped")
    return make_phantoms(folder, exams=len(TRAPS), rows=512, seed=5, workers=2, progress=False)


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Four exams without a trap."""
    return make_phantoms(tmp_path_factory.mktemp("plain"), exams=4, rows=512, seed=5, workers=1, traps=False, progress=False)


@pytest.fixture(scope="session")
def validator_errors():
    """The error lines of dciodvfy for a file."""
    tool = shutil.which("dciodvfy", path=os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""))
    assert tool, "dciodvfy is missing: pip install -r requirements.txt"

    def errors(path):
        done = subprocess.run([tool, str(path)], capture_output=True, text=True)
        return [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]

    return errors
