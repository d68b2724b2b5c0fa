from __future__ import annotations

import numpy as np
import pytest

from mammolibs.records import Sample
from mammolibs.shards import write_shards
from mammolibs.storage import open_store

SHAPE = (48, 32)
BREAST = (0, 3, 20, 45)


class FakeContract:
    def hash(self) -> str:
        return "c0ffee"

    def to_dict(self) -> dict:
        return {}


def make_sample(number: int, shape=SHAPE) -> Sample:
    """Tissue inside the breast box, air outside; every third image has a lesion, row 1 has no mask and no word on lesions."""
    rng = np.random.default_rng(number)
    x0, y0, x1, y1 = BREAST
    image, mask = np.zeros(shape, np.uint16), np.zeros(shape, np.uint8)
    image[y0:y1, x0:x1] = rng.integers(1, 65536, (y1 - y0, x1 - x0))
    image[y0, x0] = 65535
    has_lesion = -1 if number == 1 else int(number % 3 == 0)
    if has_lesion == 1:
        mask[10:16, 5:12] = 1
    return Sample(
        image=image,
        mask=mask if has_lesion == 1 else None,
        breast=BREAST,
        placement=None,
        image_id=f"{'ab'[number % 2]}:{number}",
        patient_id=str(number),
        exam_id=str(number),
        source="ab"[number % 2],
        laterality="L",
        view="CC",
        pathology="malignant" if number % 6 == 0 else "unknown",
        label=1 if number % 6 == 0 else -1 if number == 1 else 0,
        has_lesion=has_lesion,
        split="train",
    )


@pytest.fixture
def sample():
    return make_sample


@pytest.fixture
def make_shards(tmp_path):
    def make(rows: int = 21, lanes: int = 4, samples=None):
        samples = samples or map(make_sample, range(rows))
        write_shards(open_store(tmp_path), samples, contract=FakeContract(), lanes=lanes, shard_bytes=20_000)
        return tmp_path

    return make


@pytest.fixture
def shards(make_shards):
    return make_shards()
