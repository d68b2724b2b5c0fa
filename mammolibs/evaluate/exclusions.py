"""The way of every image from the sources' files to the figures: what was left out at each step, and why; steps that add up.

In the manner of the flow diagrams that STARD 2015 (Bossuyt et al., BMJ 2015) and CONSORT 2010 ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.evaluate.detection import is_located
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.units import LEVELS, scores_at
from mammolibs.records import UNKNOWN

Reasons = list[dict[str, Any]]
UNEXPLAINED = "reason not on record"


def exclusion_flow(data: Mapping[str, Any], predictions: Sequence[Prediction], held_out: Sequence[Prediction]) -> dict[str, Any]:
    """What stands in report.json under data.flow, JSON types.

    data: facts as the pipeline gives them; where "catalog" is missing the flow begins at the rows of the table of predictions.
    "steps": each with its name, unit, count, and what was "left_out" before the next one, by reason. "splits": split -> images
    in the catalog and samples that training was given of them, with what was left out between. "figures": per figure what it
    was counted on. A gap that no reason explains stands there as one.
    """
    judged = sum(p.split == "test" for p in predictions)
    steps, splits = [], _splits(data)
    if catalog := data.get("catalog"):
        left = list(catalog["left_out"])
        steps.append(_step("files that the sources list", catalog["images"] + _sum(left), left, unit="file"))
        others = [_reason(_other_split(name, split), split["images"]) for name, split in splits.items() if name != "test"]
        steps.append(_step("images in the catalog", catalog["images"], _closed(others, catalog["images"] - catalog["held_out"])))
        steps.append(_step("held-out images", catalog["held_out"], _closed(catalog["unread"], catalog["held_out"] - judged)))
    steps.append(_step("held-out images judged", judged, [_reason("listed more than once", judged - len(held_out))]))
    steps.append(_step("held-out images in the figures", len(held_out), []))
    return {"steps": steps, "splits": splits, "figures": figure_flow(held_out)}


def figure_flow(held_out: Sequence[Prediction]) -> Reasons:
    """Per headline figure: block, figure, unit, how many there were, what was left out by reason, how many were counted."""
    rows = []
    for level in LEVELS:
        scores = scores_at(level, held_out)
        unplaced = sum(p.laterality == UNKNOWN for p in held_out) if level == "breast" else 0
        without_label = scores.unknown - unplaced
        rows.append(_counted("pipeline", f"{level}_auc", level, len(scores.names), [_reason("malignancy unknown", without_label)]))
    unlocated = sum(len(p.lesions) for p in held_out if not is_located(p))
    found = sum(len(p.lesions) for p in held_out if is_located(p))
    lesions = [_reason("on an image whose lesions are not all known by place", unlocated)]
    rows.append(_counted("unet", "lesion_sensitivity_at_1_fp", "lesion", found, lesions))
    bare = [p for p in held_out if p.dice is None]
    without = [
        _reason("no lesion", sum(p.has_lesion == 0 for p in bare)),
        _reason("lesion without a mask", sum(p.has_lesion == 1 for p in bare)),
    ]
    without.append(_reason("lesions unknown", sum(p.has_lesion == -1 for p in bare)))
    rows.append(_counted("unet", "dice", "image", len(held_out) - len(bare), without))
    return rows


def _splits(data: Mapping[str, Any]) -> dict[str, Any]:
    """Of each split: images in the catalog, samples made of them, and what was left out; of folds nothing, as each image is in all three."""
    samples = data.get("samples") or {}
    told = {}
    for split, images in (data.get("catalog") or {}).get("splits", {}).items():
        told[split] = {"images": images, "samples": samples.get(split), "left_out": []}
        if split in samples:
            told[split]["left_out"] = _closed(data["catalog"]["refused"].get(split, []), images - samples[split])
    return told


def _other_split(name: str, split: Mapping[str, Any]) -> str:
    made = "" if split["samples"] is None else f", {split['samples']:,} of them made into samples"
    return {"train": "to train on", "validation": "to choose by"}[name] + made


def _closed(reasons: Sequence[Mapping[str, Any]], gap: int) -> Reasons:
    """The reasons, with one more line for what they do not explain of the gap."""
    rest = gap - _sum(reasons)
    return [*map(dict, reasons), *([_reason(UNEXPLAINED, rest)] if rest else [])]


def _sum(reasons: Sequence[Mapping[str, Any]]) -> int:
    return sum(reason["count"] for reason in reasons)


def _reason(reason: str, count: int) -> dict[str, Any]:
    return {"reason": reason, "count": count}


def _step(name: str, count: int, left_out: Reasons, unit: str = "image") -> dict[str, Any]:
    return {"step": name, "unit": unit, "count": count, "left_out": [reason for reason in left_out if reason["count"]]}


def _counted(block: str, figure: str, unit: str, counted: int, left_out: Reasons) -> dict[str, Any]:
    left_out = [reason for reason in left_out if reason["count"]]
    return {"block": block, "figure": figure, "unit": unit, "count": counted + _sum(left_out), "left_out": left_out, "counted": counted}
