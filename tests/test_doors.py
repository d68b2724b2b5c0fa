"""The three public doors: what they promise is there, and opening one wakes nothing heavy."""

import subprocess
import sys

import pytest

DOORS = ("MMdataset", "MMmodels", "MMutils")


@pytest.mark.parametrize("door", DOORS)
def test_every_promised_name_is_there(door):
    module = __import__(f"mammolibs.{door}", fromlist=["x"])
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert dir(module) == module.__all__
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = module.nothing_like_it


@pytest.mark.parametrize("door", DOORS)
def test_opening_a_door_wakes_nothing_heavy(door):
    heavy = "('torch', 'torch_xla', 'pydicom', 'cv2', 'scipy', 'sklearn', 'matplotlib', 'pyarrow', 'numpy')"
    code = f"import sys, mammolibs.{door}; print([n for n in {heavy} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_workers_that_read_need_no_torch():
    """What a pool calls is imported by every worker that it starts; torch would be most of the time to start one."""
    code = "import sys; import mammolibs.pipeline.source, mammolibs.ingest.reading, mammolibs.ingest.patches; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_a_mammogram_needs_no_torch():
    code = "import sys; from mammolibs.MMdataset import read_mammogram; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
