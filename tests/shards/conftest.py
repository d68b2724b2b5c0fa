from __future__ import annotations

import numpy as np
import pytest

from mammolibs.records import Placement, Sample


class FakeContract:
    """Stands in for the contract of `prepare`, which shards do not know."""

    def hash(self) -> str:
        return "c0ffee"

    def to_dict(self) -> dict:
        return {"canvas": [32, 16]}


def make_sample(number: int, shape=(32, 16), **changes) -> Sample:
    rng = np.random.default_rng(number)
    facts = {
        "image": rng.integers(0, 65536, shape).astype(np.uint16),
        "mask": (rng.random(shape) < 0.2).astype(np.uint8) if number % 3 == 0 else None,
        "breast": (0, 2, 11, 30),
        "placement": Placement(original=(400, 300), crop=(5, 6, 300, 390), mirrored=True, scale=1 / 13, canvas=shape),
        "image_id": f"mias:mdb{number:03d}.L/CC",
        "patient_id": f"mias:{number // 2}",
        "exam_id": f"mias:{number // 2}.1",
        "source": "mias" if number % 2 else "phantom",
        "laterality": "L",
        "view": "CC",
        "pathology": "malignant" if number % 6 == 0 else "normal",
        "label": int(number % 6 == 0),
        "has_lesion": int(number % 3 == 0),
        "split": "train",
        "extra": {"age": 61, "spacing_mm": 0.1, "words": ["dense", "grün"], "none": None},
    }
    return Sample(**facts | changes)


@pytest.fixture
def contract() -> FakeContract:
    return FakeContract()


@pytest.fixture
def sample():
    return make_sample


@pytest.fixture
def samples():
    return lambda n, **changes: [make_sample(i, **changes) for i in range(n)]
