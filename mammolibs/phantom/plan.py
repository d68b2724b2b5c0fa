"""What an exam holds, before a pixel is drawn: a pure function of (seed, exam number)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np

from mammolibs.errors import BadConfig
from mammolibs.phantom.makers import MAKERS, Maker
from mammolibs.phantom.seeds import generator
from mammolibs.phantom.traps import TRAPS

VIEWS = (("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO"))
_RANK = ("normal", "benign", "malignant")
_GROUP = 10
"""Exams per group: nine patients, the tenth exam is a second one of a patient of the group."""


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How hard the lesions are to find: 0 plain to see, 1 mostly hidden in the tissue.

    Raises BadConfig outside 0 to 1.
    """

    level: float = 0.5

    def __post_init__(self):
        if not 0.0 <= self.level <= 1.0:
            raise BadConfig(f"difficulty {self.level} is not between 0 and 1; nearest allowed: {min(max(self.level, 0.0), 1.0)}")

    @property
    def contrast(self) -> float:
        """Factor on every lesion's contrast."""
        return 1.6 - 1.2 * self.level

    @property
    def confounders(self) -> float:
        """Expected number of lesion-like innocent structures per image."""
        return 1.0 + 6.0 * self.level


@dataclass(frozen=True, kw_only=True)
class LesionPlan:
    """One lesion of one breast. depth: 0 at the nipple, 1 at the chest wall; across: CC -> -1 to 1, MLO -> -1 to 1."""

    lesion_id: str
    kind: str
    detail: str
    pathology: str
    depth: float
    across: tuple[float, float]
    size_mm: float
    contrast: float


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    """One file to write, or two with the trap for_processing."""

    image_id: str
    laterality: str
    view: str
    traps: tuple[str, ...]
    lesions: tuple[LesionPlan, ...]


@dataclass(frozen=True, kw_only=True)
class ExamPlan:
    """One exam of one patient."""

    seed: int
    number: int
    exam_id: str
    patient_id: str
    second_exam: bool
    date: datetime.date
    birth: datetime.date
    density: str
    maker: Maker
    images: tuple[ImagePlan, ...]
    difficulty: Difficulty

    @property
    def age_years(self) -> int:
        """Whole years at the exam."""
        return self.date.year - self.birth.year - ((self.date.month, self.date.day) < (self.birth.month, self.birth.day))


def plan_exam(seed: int, number: int, *, traps: tuple[str, ...] = tuple(TRAPS), difficulty: Difficulty = Difficulty()) -> ExamPlan:
    """The plan of exam `number`, counted from 0. Nothing but the arguments decides it."""
    slot = number % _GROUP
    second = slot == _GROUP - 1
    pathologies = _group_pathologies(seed, number // _GROUP)
    member = _returning_member(seed, number // _GROUP, pathologies) if second else slot
    patient = number // _GROUP * (_GROUP - 1) + member
    draw = generator(seed, "patient", patient)
    first = datetime.date(2012, 1, 1) + datetime.timedelta(days=int(draw.integers(0, 3200)))
    birth = first - datetime.timedelta(days=int(draw.integers(40 * 365, 76 * 365)))
    density = str(draw.choice(list("ABCD"), p=[0.15, 0.38, 0.35, 0.12]))
    exam_id = f"E{number + 1:04d}"
    lesions = _lesions(seed, patient, pathologies[member], exam_id, second, difficulty)
    exam = generator(seed, "exam", number)
    date = first + datetime.timedelta(days=int(exam.integers(360, 760)) if second else 0)
    return ExamPlan(
        seed=seed, number=number, exam_id=exam_id, patient_id=f"P{patient + 1:04d}", second_exam=second, date=date, birth=birth,
        density=density, maker=MAKERS[int(exam.integers(len(MAKERS)))], difficulty=difficulty,
        images=_images(seed, number, exam_id, lesions, traps),
    )  # fmt: skip


def worst(lesions: tuple[LesionPlan, ...]) -> str:
    """The worst pathology among the lesions, normal where there is none."""
    return _RANK[max((_RANK.index(lesion.pathology) for lesion in lesions), default=0)]


def _group_pathologies(seed: int, group: int) -> list[str]:
    """Pathologies of nine patients: one of each among the first three, so that small sets hold all."""
    draw = generator(seed, "group", group)
    rest = ["malignant", "benign", "benign", "normal", "normal"] + (["malignant"] if group % 2 == 0 else ["normal"])
    first = list(_RANK)
    draw.shuffle(first)
    draw.shuffle(rest)
    return first + rest


def _returning_member(seed: int, group: int, pathologies: list[str]) -> int:
    """Who comes twice: every other group one with a malignant lesion, so that three exams in ten hold one."""
    wanted = [i for i, pathology in enumerate(pathologies) if (pathology == "malignant") == (group % 2 == 1)]
    return wanted[int(generator(seed, "returning", group).integers(len(wanted)))]


def _lesions(
    seed: int, patient: int, pathology: str, exam_id: str, second: bool, difficulty: Difficulty
) -> dict[str, tuple[LesionPlan, ...]]:
    draw = generator(seed, "lesions", patient)
    side = str(draw.choice(["L", "R"]))
    other = "R" if side == "L" else "L"
    counts = {("malignant", side): 0, ("benign", side): 0, ("benign", other): 0}
    if pathology == "malignant":
        counts["malignant", side] = 1 + int(draw.random() < 0.2)
        counts["benign", side] = int(draw.random() < 0.15)
        counts["benign", other] = int(draw.random() < 0.2)
    elif pathology == "benign":
        counts["benign", side] = 1 + int(draw.random() < 0.25)
        counts["benign", other] = int(draw.random() < 0.25)
    made: dict[str, list[LesionPlan]] = {"L": [], "R": []}
    for (kind_of_harm, where), count in counts.items():
        for _ in range(count):
            name = f"{exam_id}-{where}{len(made[where]) + 1}"
            made[where].append(_lesion(draw, name, kind_of_harm, second, difficulty, made[where]))
    return {where: tuple(lesions) for where, lesions in made.items()}


_KINDS = {
    "malignant": (("mass", "spiculated", 0.74), ("calcification", "fine", 0.20), ("asymmetry", "diffuse", 0.06)),
    "benign": (("mass", "smooth", 0.70), ("calcification", "coarse", 0.22), ("asymmetry", "diffuse", 0.08)),
}
_SIZES_MM = {"spiculated": (12.0, 32.0), "smooth": (9.0, 24.0), "fine": (12.0, 28.0), "coarse": (8.0, 18.0), "diffuse": (20.0, 36.0)}


def _lesion(
    draw: np.random.Generator, name: str, pathology: str, second: bool, difficulty: Difficulty, others: list[LesionPlan]
) -> LesionPlan:
    kinds = _KINDS[pathology]
    kind, detail, _ = kinds[int(draw.choice(len(kinds), p=[share for *_, share in kinds]))]
    low, high = _SIZES_MM[detail]
    size = low + (high - low) * draw.beta(1.5, 2.2)
    contrast = difficulty.contrast * draw.uniform(0.6, 1.4)
    for _ in range(40):
        depth, lateral, upper = draw.uniform(0.22, 0.8), draw.uniform(-0.75, 0.75), draw.uniform(-0.6, 0.6)
        if all(np.hypot(depth - o.depth, 0.6 * (lateral - o.across[0])) > 0.35 for o in others):
            break
    return LesionPlan(
        lesion_id=name, kind=kind, detail=detail, pathology=pathology, depth=float(depth),
        across=(float(lateral), float(np.clip(0.75 * upper + 0.35 * lateral, -0.7, 0.7))),
        size_mm=float(size * (1.15 if second else 1.0)), contrast=float(contrast),
    )  # fmt: skip


def _images(
    seed: int, number: int, exam_id: str, lesions: dict[str, tuple[LesionPlan, ...]], traps: tuple[str, ...]
) -> tuple[ImagePlan, ...]:
    """Every exam carries the next trap of the list, in one image, or in both views of one breast for an implant."""
    order = list(traps)
    generator(seed, "traps").shuffle(order)
    trap = order[number % len(order)] if order else None
    chosen = int(generator(seed, "trapped image", number).integers(len(VIEWS)))
    images = []
    for i, (side, view) in enumerate(VIEWS):
        hit = trap is not None and (i == chosen or (trap == "implant" and side == VIEWS[chosen][0]) or trap == "marker")
        images.append(
            ImagePlan(image_id=f"{exam_id}_{side}_{view}", laterality=side, view=view, traps=(trap,) if hit else (), lesions=lesions[side])
        )
    return tuple(images)
