"""What docs/data.md says to type to open our shards elsewhere does open them: each block runs in an interpreter of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammolibs.shards import write_shards
from mammolibs.storage import LocalStore

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "data.md"
SECTION = MANUAL.read_text().partition("## Our shards in other tools\n")[2].partition("\n## ")[0]
NO_PART = "is not installed; it is no part of this library"
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
# What a block has opened, handed over in a form of numpy; a mask that is not there is empty.
HAND_OVER = """
import numpy, sys
assert not [name for name in sys.modules if name.startswith("mammolibs")]
parts = {}
for name, (image, mask) in seen.items():
    parts |= {f"{name} image": image, f"{name} mask": numpy.zeros(0) if mask is None else mask}
numpy.savez("seen.npz", **parts)
"""


def block(tool: str) -> str:
    [found] = [text for text in BLOCKS if re.search(rf"^(import|from) .*\b{tool}\b", text, re.MULTILINE)]
    return found


def run(code: str, folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def written(samples, contract, tmp_path):
    """Seven samples in two lanes and several shards, where the manual looks for them; a mask on every third."""
    made = [replace(sample, image_id=f"s-{number}") for number, sample in enumerate(samples(7))]
    write_shards(LocalStore(tmp_path / "shards" / "train"), made, contract=contract, lanes=2, shard_bytes=6000)
    return made


def opened(code: str, folder: Path) -> dict[str, np.ndarray]:
    run(code + HAND_OVER, folder)
    with np.load(folder / "seen.npz") as found:
        return dict(found)


def test_with_tarfile_and_imagecodecs_alone(written, tmp_path):
    found = opened(block("tarfile"), tmp_path)
    assert len(found) == 2 * len(written)
    for sample in written:
        np.testing.assert_array_equal(found[f"{sample.image_id} image"], sample.image)
        np.testing.assert_array_equal(found[f"{sample.image_id} mask"], np.zeros(0) if sample.mask is None else sample.mask)


def test_by_the_index_from_files_in_memory(written, tmp_path):
    [code] = [text for text in BLOCKS if "memmap" in text]
    found = opened(code, tmp_path)
    ill = [sample for sample in written if sample.has_lesion == 1]
    assert {name for name in found if name.endswith("image")} == {f"{sample.image_id} image" for sample in ill} and len(ill) == 3
    for sample in ill:
        np.testing.assert_array_equal(found[f"{sample.image_id} image"], sample.image)


@pytest.mark.skipif(importlib.util.find_spec("webdataset") is None, reason=f"webdataset {NO_PART}")
def test_as_a_webdataset(written, tmp_path):
    found = opened(block("webdataset"), tmp_path)
    for sample in written:
        np.testing.assert_array_equal(found[f"{sample.image_id} image"], sample.image)


@pytest.mark.skipif(importlib.util.find_spec("streaming") is None, reason=f"mosaicml-streaming {NO_PART}")
def test_as_a_set_of_mosaicml_streaming(written, tmp_path):
    # This one reads through our own door.
    run(f"import sys; sys.path.insert(0, {str(MANUAL.parents[1])!r})\n" + block("streaming"), tmp_path)
    found = "{row['image_id']: row['image'] for row in LocalDataset('mds')}"
    run(f"from streaming import LocalDataset; import numpy; numpy.savez('seen.npz', **{found})", tmp_path)
    with np.load(tmp_path / "seen.npz") as found:
        assert len(found) == len(written)
        for sample in written:
            np.testing.assert_array_equal(found[sample.image_id], sample.image)


def test_all_blocks_are_run_here():
    tools = [block("tarfile"), block("webdataset"), block("streaming")]
    assert len(BLOCKS) == 4 and len(set(tools)) == 3
