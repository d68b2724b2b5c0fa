"""From a file to a batch: lesions, rows, facts, images, samples.

Arrays and tensors travel inside some of them (typed `Any` here, described in the
docstring); such records compare by identity. Pixel coordinates are x right, y down,
pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "unknown"
LATERALITIES = ("L", "R", UNKNOWN)
VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCC", "other", UNKNOWN)
PATHOLOGIES = ("malignant", "benign", "normal", UNKNOWN)
TRUTHS = ("biopsy", "birads", "read", "synthetic", "assumed", UNKNOWN)
LESION_KINDS = ("mass", "calcification", "asymmetry", "distortion", "other")
OUTLINE_SHAPES = ("mask", "polygon", "box", "circle", "none")
SPLITS = ("train", "validation", "test")
TECHNOLOGIES = ("", "film", "digital")
CHEST_WALLS = ("", "left", "right")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Where a lesion is, in stored pixel coordinates of its own image.

    shape "polygon": `points` are the vertices. "box": two corners. "circle": the centre,
    with `radius_px`. "mask": `path` names an image whose pixels above half range are the
    lesion (it may have another size than the image and is scaled to it). "none": the
    source knows of the lesion and not of its place.
    """

    shape: str
    points: tuple[tuple[float, float], ...] = ()
    radius_px: float | None = None
    path: str | None = None

    def __post_init__(self):
        _one_of("outline shape", self.shape, OUTLINE_SHAPES)


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One finding that a source knows of. slice: where its centre lies in its volume, counted from 0; None in a flat image."""

    lesion_id: str
    kind: str = "other"
    pathology: str = UNKNOWN
    outline: Outline = Outline(shape="none")
    slice: int | None = None

    def __post_init__(self):
        _one_of("lesion kind", self.kind, LESION_KINDS)
        _one_of("lesion pathology", self.pathology, PATHOLOGIES)


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One image of the catalog. `image_id` is unique over all sources; `patient_id`,
    `exam_id` carry the source's name as a prefix, so that joined catalogs cannot mix people;
    under pseudonyms it is "own", since one person may be in several sources of people's own data.

    `parent_id` names the image that a derived copy was made from. `split` is empty until
    the split is made. `spacing_mm` is millimetres per pixel, None where nobody says. `technology`:
    film that was digitised, or digital from the detector on; empty where the source does not say.

    `chest_wall` is the edge, left or right, that the chest wall lies at in the image that
    the lesions are drawn on: a file whose pixels show it at the other edge is turned by 180
    degrees when the row is read, unless it is a derived copy, which is stored as it is drawn
    on. Empty: the lesions are drawn on the image as it is stored.
    """

    image_id: str
    source: str
    patient_id: str
    exam_id: str
    path: str
    frame: int = 0
    laterality: str = UNKNOWN
    view: str = UNKNOWN
    pathology: str = UNKNOWN
    truth: str = UNKNOWN
    birads: str = ""
    density: str = ""
    lesions: tuple[Lesion, ...] = ()
    split: str = ""
    official_split: str = ""
    parent_id: str = ""
    chest_wall: str = ""
    maker: str = ""
    spacing_mm: float | None = None
    bits: int | None = None
    age_years: int | None = None
    licence: str = ""
    technology: str = ""

    def __post_init__(self):
        _one_of("laterality", self.laterality, LATERALITIES)
        _one_of("view", self.view, VIEWS)
        _one_of("pathology", self.pathology, PATHOLOGIES)
        _one_of("truth", self.truth, TRUTHS)
        _one_of("chest wall", self.chest_wall, CHEST_WALLS)
        _one_of("technology", self.technology, TECHNOLOGIES)


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What a file's header says; nothing here is guessed: what is not said is unknown, None or empty.

    spacing_mm lies in the detector's plane; divided by `magnification` (about 1 in contact
    views, up to 2 in magnified ones) it lies in the breast. slice_mm: where a slice of a
    volume lies along its own normal, in the patient's coordinates. view_modifiers: of spot, magnification,
    implant displaced, flat field. orientation: the directions of rows and of columns in the patient. technology: one of TECHNOLOGIES.
    """

    source_file: str
    transfer_syntax: str
    rows: int
    columns: int
    frames: int = 1
    samples_per_pixel: int = 1
    bits_allocated: int = 8
    bits_stored: int = 8
    signed: bool = False
    photometric: str = "MONOCHROME2"
    laterality: str = UNKNOWN
    view: str = UNKNOWN
    spacing_mm: float | None = None
    manufacturer: str = ""
    modality: str = ""
    presentation_intent: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    series_uid: str = ""
    study_uid: str = ""
    patient_id: str = ""
    age_years: int | None = None
    implant: bool | None = None
    burned_in: bool | None = None
    patient_issuer: str = ""
    magnification: float | None = None
    series_description: str = ""
    instance_number: int | None = None
    view_modifiers: tuple[str, ...] = ()
    orientation: tuple[str, ...] = ()
    body_part: str = ""
    lossy: bool | None = None
    slice_mm: float | None = None
    technology: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mammogram:
    """One image ready to look at.

    pixels: float32 array H W in [0, 1], after modality LUT, VOI and inversion: dark is air.
    padding: bool array H W, True where the file says that there is no image, or None.
    chest_wall: the edge, left or right, that it is known to lie at; empty where the breast's form must tell.
    display_chain: the steps that were applied, in order, each as readable text.
    """

    pixels: Any
    facts: ImageFacts
    frame: int = 0
    padding: Any = None
    chest_wall: str = ""
    display_chain: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> float | None:
        return self.facts.spacing_mm

    @property
    def laterality(self) -> str:
        return self.facts.laterality

    @property
    def view(self) -> str:
        return self.facts.view


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How an image came onto its canvas: crop, mirror, scale, pad. Exactly invertible.

    crop: x0, y0, x1, y1 in pixels of the original, x1 and y1 exclusive. mirrored: the crop
    was flipped left-right, so that the chest wall is on the left. scale: canvas pixels per
    original pixel, the same both ways. canvas: height, width. The scaled crop lies at the
    top left of the canvas; the rest is air. original: height, width of the whole image.
    """

    original: tuple[int, int]
    crop: tuple[int, int, int, int]
    mirrored: bool
    scale: float
    canvas: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One image, or one patch, on its canvas.

    image: uint16 H W, [0, 65535], air 0. mask: uint8 H W with 0 and 1, or None where
    nobody drew one. breast: x0, y0, x1, y1 of the breast on the canvas, ends exclusive.
    label: 1 malignant, 0 not malignant, -1 unknown. has_lesion: 1, 0, or -1 unknown.
    extra: further facts for slices and reports, JSON types only.
    """

    image: Any
    mask: Any
    breast: tuple[int, int, int, int]
    placement: Placement | None
    image_id: str
    patient_id: str
    exam_id: str
    source: str
    laterality: str
    view: str
    pathology: str
    label: int
    has_lesion: int
    split: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """What a stage sees in one step. Shapes never change within a stage.

    images: float32 tensor B 1 H W in [0, 1]. second: another augmented view of the same
    images (encoder), or None. hidden: float32 B 1 H W, 1 where the autoencoder must
    reconstruct what it is not shown, or None. breast: float32 B 1 H W, 1 inside the breast. masks: float32 B 1 H W with 0
    and 1. mask_known: float32 B, 1 where somebody drew or excluded lesions. labels:
    float32 B, 1 malignant, 0 not, -1 unknown. weights: float32 B, 0 for padding. ids and
    rows (position of each in the shard index, -1 for padding) stay on the host.
    """

    images: Any
    second: Any
    hidden: Any
    breast: Any
    masks: Any
    mask_known: Any
    labels: Any
    weights: Any
    ids: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where in the data a run stands; with the shard index that is enough to go on."""

    seed: int
    step: int
    global_batch: int
    source_weights: tuple[tuple[str, int], ...] = ()
