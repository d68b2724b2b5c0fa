"""The table that every figure of a report can be traced to: one row per held-out image, and per validation image, by `split`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mammolibs.errors import BadData, BadFile
from mammolibs.records import LATERALITIES, LESION_KINDS, PATHOLOGIES, UNKNOWN, VIEWS
from mammolibs.storage import write_atomic

Box = tuple[float, float, float, float]
# Of a lesion less of which was shown, no later stage can be asked to find it.
SHOWN_SHARE = 0.5
SPLITS_KNOWN = ("train", "validation", "test")


def _require(condition: bool, who: str, problem: str) -> None:
    if not condition:
        raise BadData(f"{who}: {problem}")


def _is_share(value: float) -> bool:
    return 0.0 <= value <= 1.0


@dataclass(frozen=True, kw_only=True)
class Region:
    """One region that the pipeline proposes, in pixels of the original image.

    probability: that it is a lesion, calibrated in a table of predictions; malignancy: how malignant
    its patch looks, against benign lesions and false alarms alike, None where no second stage
    ran; both in [0, 1]. score: their product, which ranks the regions of an image.
    box: x0, y0, x1, y1. hit: index into the image's `lesions`, -1 for a false positive.
    """

    probability: float
    score: float
    centre_x: float
    centre_y: float
    box: Box
    area_px: float
    malignancy: float | None = None
    hit: int = -1

    def __post_init__(self):
        _require(_is_share(self.probability), "region", f"probability {self.probability} is not in [0, 1]")
        _require(self.malignancy is None or _is_share(self.malignancy), "region", f"malignancy {self.malignancy} is not in [0, 1]")
        _require(math.isfinite(self.score), "region", f"score {self.score} is not finite")


@dataclass(frozen=True, kw_only=True)
class LesionTruth:
    """One lesion that the labels know of, in pixels of the original image.

    outline: polygon vertices (x, y), empty where none was drawn. Centre, radius and box are
    None where the source knows of the lesion and not of its place. on_canvas: share of its disc that the networks were
    shown, in [0, 1]: what was cropped away, or taken for air, is not; None where the place is unknown or nobody looked.
    """

    lesion_id: str
    kind: str = "other"
    pathology: str = UNKNOWN
    centre_x: float | None = None
    centre_y: float | None = None
    radius_px: float | None = None
    box: Box | None = None
    outline: tuple[tuple[float, float], ...] = ()
    on_canvas: float | None = None

    def __post_init__(self):
        _require(
            self.on_canvas is None or _is_share(self.on_canvas), f"lesion {self.lesion_id}", f"on_canvas {self.on_canvas} is not in [0, 1]"
        )
        _require(self.kind in LESION_KINDS, f"lesion {self.lesion_id}", f"unknown kind {self.kind!r}")
        _require(self.pathology in PATHOLOGIES, f"lesion {self.lesion_id}", f"unknown pathology {self.pathology!r}")

    @property
    def placed(self) -> bool:
        return self.centre_x is not None and self.centre_y is not None

    @property
    def shown(self) -> bool:
        """False where most of it was cropped away or taken for air before any network saw it."""
        return self.on_canvas is None or self.on_canvas >= SHOWN_SHARE


@dataclass(frozen=True, kw_only=True)
class PatchScore:
    """One patch that the second stage judged. label: 1 malignant, 0 not, -1 unknown.
    origin: "lesion" for a patch round the truth, "region" for one round a proposal. lesion: index into the image's `lesions` of the
    one that it was cut round or that its region hit, -1 where there is none."""

    label: int
    score: float
    origin: str = "lesion"
    lesion: int = -1


@dataclass(frozen=True, kw_only=True)
class ProbeScore:
    """What a probe that sees too little of an image to know a lesion makes of it.

    score: higher is more suspicious, on the scale of its own fold; None where it could not be trained, as its training
    images held one class only. trained_on: training images that it learned from; trained_events: the malignant ones of them.
    """

    name: str
    score: float | None
    trained_on: int = 0
    trained_events: int = 0

    def __post_init__(self):
        _require(self.score is None or math.isfinite(self.score), f"probe {self.name}", f"score {self.score} is not finite")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the pipeline says of one image, beside what is true of it.

    label: 1 malignant, 0 not malignant, -1 unknown. has_lesion: 1, 0, or -1 unknown.
    image_score: calibrated probability of malignancy; raw_score: highest score of its regions. oracle_score: the image score
    with the true lesions in place of the regions found, None where not all are known by place. dice,
    iou: overlap with the lesion mask on the canvas at the threshold that was chosen on
    validation patients, None where the image has no lesion mask. surface_mm, hausdorff95_mm: average and 95 % distance of the two
    masks' borders, None too where the spacing is unknown or nothing lies above the threshold. height, width: of the
    original, in pixels. fold: -1 where there are none. maker, technology ("film" or "digital"),
    density, age_years, implant: what slices are cut by, empty or None where nobody says. probes: of held-out images, for `shortcuts`.
    """

    image_id: str
    patient_id: str
    exam_id: str
    source: str
    laterality: str = UNKNOWN
    view: str = UNKNOWN
    split: str = "test"
    fold: int = -1
    pathology: str = UNKNOWN
    label: int
    has_lesion: int
    image_score: float
    raw_score: float
    oracle_score: float | None = None
    regions: tuple[Region, ...] = ()
    lesions: tuple[LesionTruth, ...] = ()
    dice: float | None = None
    iou: float | None = None
    surface_mm: float | None = None
    hausdorff95_mm: float | None = None
    spacing_mm: float | None = None
    height: int = 0
    width: int = 0
    patches: tuple[PatchScore, ...] = ()
    maker: str = ""
    technology: str = ""
    density: str = ""
    age_years: int | None = None
    implant: bool | None = None
    probes: tuple[ProbeScore, ...] = ()

    def __post_init__(self):
        who = f"prediction of image {self.image_id}"
        _require(bool(self.image_id) and bool(self.patient_id), who, "image_id and patient_id must not be empty")
        _require(self.label in (-1, 0, 1), who, f"label {self.label} is not 1, 0 or -1")
        _require(self.has_lesion in (-1, 0, 1), who, f"has_lesion {self.has_lesion} is not 1, 0 or -1")
        _require(self.split in SPLITS_KNOWN, who, f"unknown split {self.split!r}")
        _require(self.laterality in LATERALITIES and self.view in VIEWS, who, f"unknown {self.laterality!r} or {self.view!r}")
        _require(self.pathology in PATHOLOGIES, who, f"unknown pathology {self.pathology!r}")
        scores = (self.image_score, self.raw_score, 0.0 if self.oracle_score is None else self.oracle_score)
        _require(all(map(math.isfinite, scores)), who, "a score is not finite")
        for name in ("dice", "iou"):
            value = getattr(self, name)
            _require(value is None or _is_share(value), who, f"{name} {value} is not in [0, 1]")
        for name in ("surface_mm", "hausdorff95_mm"):
            value = getattr(self, name)
            _require(value is None or 0 <= value < math.inf, who, f"{name} {value} is no distance")
        _require(all(r.hit < len(self.lesions) for r in self.regions), who, "a region hits a lesion that is not there")


def schema() -> Any:
    """The Arrow schema of `predictions.parquet`."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    reals = pa.list_(real)
    region = {"probability": real, "score": real, "centre_x": real, "centre_y": real, "box": reals, "area_px": real}
    region |= {"malignancy": real, "hit": whole}
    lesion = {"lesion_id": text, "kind": text, "pathology": text, "centre_x": real, "centre_y": real, "radius_px": real}
    lesion |= {"box": reals, "outline": pa.list_(reals), "on_canvas": real}
    patch = {"label": whole, "score": real, "origin": text, "lesion": whole}
    probe = {"name": text, "score": real, "trained_on": whole, "trained_events": whole}
    nested = {"regions": region, "lesions": lesion, "patches": patch, "probes": probe}
    plain = dict.fromkeys(("image_score", "raw_score", "oracle_score", "dice", "iou", "surface_mm", "hausdorff95_mm", "spacing_mm"), real)
    plain |= dict.fromkeys(("fold", "label", "has_lesion", "height", "width", "age_years"), whole) | {"implant": pa.bool_()}

    def kind(name: str) -> Any:
        if name in nested:
            return pa.list_(pa.struct([pa.field(k, v) for k, v in nested[name].items()]))
        return plain.get(name, text)

    return pa.schema([pa.field(f.name, kind(f.name)) for f in fields(Prediction)])


def write_predictions(path: str | Path, predictions: list[Prediction]) -> None:
    """Write the table as Parquet (zstd), whole or not at all."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(p) for p in predictions], schema=schema()), buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def read_predictions(path: str | Path) -> list[Prediction]:
    """The table that `write_predictions` wrote.

    Raises BadFile where it is missing, is no such table or holds impossible values.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    remedy = "make it again: python eval/pipeline_eval.py"
    try:
        rows = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise BadFile(path, f"cannot be read ({error})", remedy) from error
    try:
        return [_row_to_prediction(row) for row in rows]
    except (TypeError, KeyError, BadData) as error:
        raise BadFile(path, f"is no table of predictions ({error})", remedy) from error


def _row_to_prediction(row: dict[str, Any]) -> Prediction:
    row = dict(row)
    row["regions"] = tuple(Region(**{**r, "box": tuple(r["box"])}) for r in row["regions"])
    row["lesions"] = tuple(_row_to_lesion(r) for r in row["lesions"])
    row["patches"] = tuple(PatchScore(**r) for r in row["patches"])
    row["probes"] = tuple(ProbeScore(**r) for r in row.get("probes") or ())
    return Prediction(**row)


def _row_to_lesion(row: dict[str, Any]) -> LesionTruth:
    box = None if row["box"] is None else tuple(row["box"])
    return LesionTruth(**{**row, "box": box, "outline": tuple((x, y) for x, y in row["outline"] or ())})
