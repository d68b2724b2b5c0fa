"""What every further analysis of a report is given, and what it gives back: `Evidence` in, `Part` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mammolibs.evaluate.bootstrap import Draws
from mammolibs.evaluate.chosen import Chosen
from mammolibs.evaluate.document import Section
from mammolibs.evaluate.predictions import Prediction


@dataclass(frozen=True, kw_only=True, eq=False)
class Beside:
    """Rows of the same networks that the held-out ones are set beside, each image once.

    chosen: fold (-1 where there are none) -> the cuts that hold for them. split_hash: of their split. notes: sentences on
    how they came to be, for the reader.
    """

    rows: Sequence[Prediction]
    chosen: Mapping[int, Chosen] = field(default_factory=dict)
    split_hash: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """held_out: the test rows, each image once. validation: the rows that everything was chosen on, of all folds.

    draws: of the held-out patients, one for all figures. chosen: fold (-1 where there are none) -> what was chosen on its
    validation patients. split_hash: of the split, for `result.block`. prevalence: share of malignant exams where the pipeline would
    be used, in (0, 1), where somebody named one. internal: where the held-out rows come from elsewhere, the held-out rows of the
    data that was trained on. adapted: the held-out images once more, after an adaptation without labels.
    """

    held_out: Sequence[Prediction]
    validation: Sequence[Prediction]
    draws: Draws
    chosen: Mapping[int, Chosen] = field(default_factory=dict)
    split_hash: str | None = None
    prevalence: float | None = None
    internal: Beside | None = None
    adapted: Beside | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One analysis in the report. name: its key in report.json. result: what stands there, JSON types, every figure by
    `result.block`. sections: for the reader. alarms: whole sentences about what is wrong with the model, the data or the
    labels, shown before anything is concluded; empty where nothing was found.
    """

    name: str
    result: Mapping[str, Any]
    sections: tuple[Section, ...]
    alarms: tuple[str, ...] = ()
