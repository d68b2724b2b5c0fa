"""The door to images imports fast and without torch."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINE = """
import sys
from mammolibs import MMdataset
assert {'read_mammogram', 'read_facts', 'read_stored'} <= set(MMdataset.__all__)
before = set(sys.modules)
assert all(callable(getattr(MMdataset, n)) for n in ('read_mammogram', 'read_facts', 'read_stored'))
heavy = {'torch', 'scipy', 'sklearn', 'matplotlib', 'pyarrow', 'cv2'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert not {'numpy', 'pydicom'} & before, before
"""


def test_the_door_is_light():
    subprocess.run([sys.executable, "-c", LINE], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
