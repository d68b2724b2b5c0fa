"""A folder of laboratory images that every tool reads as it reads synthetic exams, and what is at each of their known places."""

from __future__ import annotations

import csv
import datetime
import io
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from mammolibs.errors import BadConfig, BadFile
from mammolibs.phantom.exam_files import Row, write_exam
from mammolibs.phantom.laboratory import Laboratory, Place
from mammolibs.phantom.make import PhantomSet, check_exams, csv_bytes, make_set
from mammolibs.phantom.makers import Maker
from mammolibs.phantom.plan import VIEWS, Difficulty, ExamPlan, ImagePlan, LesionPlan
from mammolibs.phantom.render import Rendered
from mammolibs.phantom.seeds import generator
from mammolibs.storage import write_atomic

FORMAT = 1
PLACES_NAME = "places.csv"
MEAN_GREY = 0.45
BREAST_MM = (110.0, 90.0)
"""Depth and half the height of the breast, half an ellipse."""
MARGIN_MM = 20.0
"""Of a place from skin and chest wall; half a patch is as much, and holds all but 2e-6 of d'."""
APART_MM = 12.0
LESION_SHARE = 0.3
COMMON_SHARE = 0.5
"""Of the tissue's variance that all images of a patient have in common."""
MAKER = Maker(
    name="LABORATORY", model="Gaussian", field_mm=(0.0, 0.0), bits=14, curve=1.0, toe=0.0, noise=0.0, edge_mm=0.0, equalise=0.0,
    window=(0.5, 1.0), window_name="NORMAL", syntax="explicit", old_codes=False, anode="TUNGSTEN", filter_material="RHODIUM", software="1",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class KnownPlace:
    """A place where a lesion is or is not, as everybody may know. x, y: in pixels of the stored image."""

    image_id: str
    patient_id: str
    place: int
    x: int
    y: int
    present: int


def make_laboratory(
    folder: str | Path, *, exams: int, seed: int = 0, contrast: float | None = None, workers: int | None = None, progress: bool = True
) -> PhantomSet:
    """As `make_phantoms`, but `exams` patients of the laboratory: four images each, two known places an image.

    At each place a lesion is there with probability 0.3, all else is noise of known covariance; half its variance is common to the
    images of a patient. `places.csv` says what is where. contrast: of a lesion, share of the display range. Raises as `make_phantoms`.
    """
    check_exams(exams)
    laboratory = Laboratory() if contrast is None else Laboratory(contrast=contrast)
    if not 0 < laboratory.contrast < 0.3:
        raise BadConfig(f"contrast {laboratory.contrast:g}: a share of the display range above 0 and below 0.3, such as 0.07")
    folder = Path(folder)
    settings = {"format": FORMAT, "laboratory": asdict(laboratory) | {"shape": list(laboratory.shape)}, "seed": seed, "exams": exams}
    if not (folder / "phantom.json").is_file():
        places = [asdict(place) for number in range(exams) for image in _images(seed, number) for place in _places(laboratory, seed, image)]
        write_atomic(folder / PLACES_NAME, csv_bytes(places))
    return make_set(folder, settings, partial(_write_patient, folder, laboratory, seed), workers, progress)


def laboratory_of(made: PhantomSet) -> Laboratory:
    """The physics of a set. Raises BadFile for one of ordinary phantoms."""
    if "laboratory" not in made.settings:
        raise BadFile(made.folder, "holds no laboratory phantoms", "make some with scripts/make_phantoms.py --laboratory")
    told = made.settings["laboratory"]
    return Laboratory(**told | {"shape": tuple(told["shape"])})


def read_places(made: PhantomSet) -> list[KnownPlace]:
    """The known places of a set, image by image."""
    records = csv.DictReader(io.StringIO((made.folder / PLACES_NAME).read_text()))
    numbers = ("place", "x", "y", "present")
    return [KnownPlace(**{name: int(value) if name in numbers else value for name, value in record.items()}) for record in records]


def tissue_of(laboratory: Laboratory, displayed: np.ndarray) -> np.ndarray:
    """Displayed values, H W in [0, 1], chest wall left, without their known mean: what an observer takes."""
    return np.where(breast_of(laboratory), displayed - MEAN_GREY, 0.0)


@cache
def breast_of(laboratory: Laboratory, margin_mm: float = 0.0) -> np.ndarray:
    """Half an ellipse on the chest wall at the left, as in all images: bool H W. margin_mm: so far from its edge."""
    y, x = (np.arange(n) * laboratory.step_mm for n in laboratory.shape)
    depth, half = (side - margin_mm for side in BREAST_MM)
    return (x[None] >= margin_mm) & ((x[None] / depth) ** 2 + ((y[:, None] - y[-1] / 2) / half) ** 2 < 1)


def _images(seed: int, number: int) -> list[ImagePlan]:
    exam = f"L{number + 1:04d}"
    return [ImagePlan(image_id=f"{exam}_{side}_{view}", laterality=side, view=view, traps=(), lesions=()) for side, view in VIEWS]


def _places(laboratory: Laboratory, seed: int, image: ImagePlan) -> list[KnownPlace]:
    """One in the upper part of the breast, one in the lower, far enough apart that neither patch shows the other's lesion whole."""
    draw = generator(seed, "laboratory places", image.image_id)
    ys, xs = np.nonzero(breast_of(laboratory, MARGIN_MM))
    above = (ys - (laboratory.shape[0] - 1) / 2) * laboratory.step_mm
    found = []
    for number, part in enumerate((above < -APART_MM, above > APART_MM)):
        chosen = draw.choice(np.flatnonzero(part))
        x, y = int(xs[chosen]), int(ys[chosen])
        shown = laboratory.shape[1] - 1 - x if image.laterality == "R" else x
        present = int(draw.random() < LESION_SHARE)
        patient_id = image.image_id.split("_")[0].replace("L", "P")
        found.append(KnownPlace(image_id=image.image_id, patient_id=patient_id, place=number, x=shown, y=y, present=present))
    return found


def _write_patient(folder: Path, laboratory: Laboratory, seed: int, number: int) -> tuple[list[Row], list[Row]]:
    places = {image.image_id: _places(laboratory, seed, image) for image in _images(seed, number)}
    common = laboratory.fields(generator(seed, "laboratory patient", number), 1)[0]
    images = tuple(_with_lesions(laboratory, image, places[image.image_id]) for image in _images(seed, number))
    exam = ExamPlan(
        seed=seed, number=number, exam_id=f"L{number + 1:04d}", patient_id=f"P{number + 1:04d}", second_exam=False, maker=MAKER, density="",
        date=datetime.date(2020, 1, 1), birth=datetime.date(1960, 1, 1), images=images, difficulty=Difficulty(),
    )  # fmt: skip
    return write_exam(folder, exam, lambda image: _drawn(laboratory, seed, image, common, places[image.image_id]))


def _with_lesions(laboratory: Laboratory, image: ImagePlan, places: list[KnownPlace]) -> ImagePlan:
    lesions = tuple(
        LesionPlan(
            lesion_id=f"{image.image_id}-{place.place}", kind="mass", detail="smooth", pathology="malignant", depth=0.0, across=(0.0, 0.0),
            size_mm=laboratory.lesion_mm, contrast=laboratory.contrast,
        )
        for place in places
        if place.present
    )  # fmt: skip
    return ImagePlan(image_id=image.image_id, laterality=image.laterality, view=image.view, traps=(), lesions=lesions)


def _drawn(laboratory: Laboratory, seed: int, image: ImagePlan, common: np.ndarray, places: list[KnownPlace]) -> Rendered:
    own = laboratory.fields(generator(seed, "laboratory image", image.image_id), 1)[0]
    grey = MEAN_GREY + np.sqrt(COMMON_SHARE) * common + np.sqrt(1 - COMMON_SHARE) * own
    shown = [canonical(laboratory, image.laterality, place) for place in places if place.present]
    for place in shown:
        grey += laboratory.lesion(place)
    inside = breast_of(laboratory)
    parts = [np.where(inside, grey, 0.0).astype(np.float32), inside, *(laboratory.mask(place) for place in shown)]
    if image.laterality == "R":
        parts = [np.ascontiguousarray(part[:, ::-1]) for part in parts]
    display, inside, *masks = parts
    return Rendered(
        display=display, exposure=None, air=~inside, masks=tuple(masks), contrasts=(laboratory.contrast,) * len(masks),
        spacing_mm=laboratory.step_mm,
    )  # fmt: skip


def canonical(laboratory: Laboratory, laterality: str, place: KnownPlace) -> Place:
    """x, y of a place where the chest wall lies left."""
    return (laboratory.shape[1] - 1 - place.x if laterality == "R" else place.x), place.y
