"""A folder of drawn films as PNG files, and their rows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mammolibs.records import ImageRow, Lesion, Outline

SHAPE = (240, 200)


def draw_film(path, seed):
    """A half-ellipse of textured tissue on the left (even seed) or right, as 8-bit PNG."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    texture = cv2.GaussianBlur(np.random.default_rng(seed).random(SHAPE), (0, 0), 3)
    texture = (texture - texture.min()) / np.ptp(texture)
    film = np.where((x / 150) ** 2 + ((y - 120) / 100) ** 2 < 1, 90 + 140 * texture, 4).astype(np.uint8)
    cv2.imwrite(str(path), film if seed % 2 == 0 else film[:, ::-1])


def circle(name, x, y, radius=12.0, pathology="malignant"):
    return Lesion(lesion_id=name, kind="mass", pathology=pathology, outline=Outline(shape="circle", points=((x, y),), radius_px=radius))


@pytest.fixture
def rows(tmp_path):
    """Twelve films: six for training, three for validation, three for the test; every third with a lesion."""
    (tmp_path / "films").mkdir()
    made = []
    for number in range(12):
        path = tmp_path / "films" / f"f{number:02d}.png"
        draw_film(path, number)
        lesions, pathology = (), "normal"
        if number % 3 == 0:
            x = 60.0 if number % 2 == 0 else SHAPE[1] - 1 - 60.0
            pathology = "malignant" if number % 2 == 0 else "benign"
            lesions = (circle(f"l{number}", x, 130.0, pathology=pathology),)
        split = "train" if number < 6 else "validation" if number < 9 else "test"
        made.append(
            ImageRow(
                image_id=f"s-{number:02d}",
                source="s",
                patient_id=f"s/{number // 2}",
                exam_id=f"s/{number // 2}",
                path=str(path),
                pathology=pathology,
                lesions=lesions,
                split=split,
                spacing_mm=0.5,
            )
        )
    return made
