"""The sections of the report, from its JSON and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.evaluate.document import Cards, Fold, Gallery, Item, Picture, Section, Table, Text
from mammolibs.evaluate.examples import Example, example_figure, worst_false_alarms, worst_misses
from mammolibs.evaluate.flow import flatten
from mammolibs.evaluate.matching import FLOOR_MM, OVERLAP
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import DISCLAIMER, is_figure, plural, show, table_rows

NAMES = {
    "image_auc": "Image AUC",
    "breast_auc": "Breast AUC",
    "exam_auc": "Exam AUC",
    "patient_auc": "Patient AUC",
    "sensitivity_at_90_specificity": "Sensitivity at 90 % specificity",
    "sensitivity_at_95_specificity": "Sensitivity at 95 % specificity",
    "auc": "AUC",
    "partial_auc": "Partial AUC, false-positive rates up to 0.1",
    "specificity_at_90_sensitivity": "Specificity at 90 % sensitivity",
    "specificity_at_95_sensitivity": "Specificity at 95 % sensitivity",
    "brier": "Brier score",
    "froc_area": "Mean lesion sensitivity, 0 to 2 false positives per image",
    "probabilistic_f1": "Probabilistic F1",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
    "dice": "Dice, lesion images",
    "iou": "IoU, lesion images",
    "surface_distance_mm": "Average surface distance, mm",
    "hausdorff95_mm": "95 % Hausdorff distance, mm",
    "patch_auc": "Patch AUC",
    "retrieval_top1": "The other view is the nearest of all held-out images",
    "linear_probe_auc": "Linear probe on its features, AUC malignant against the rest",
    "masked_error": "Error on hidden pixels",
    "mean_fill_error": "Error of filling them with their mean",
    "better_than_mean_fill": "Share of images with less error than mean fill",
}
STAGES = {
    "pipeline": "Whole pipeline: is there something malignant?",
    "unet": "U-Net: where are lesions?",
    "resnet": "ResNet: is this region malignant?",
    "encoder": "Encoder: contrastive learning",
    "autoencoder": "Autoencoder: masked reconstruction",
}
HEADLINE = (
    *(("pipeline", "image_auc"), ("pipeline", "sensitivity_at_90_specificity")),
    *(("unet", "lesion_sensitivity_at_1_fp"), ("unet", "dice")),
)
HIT_RULE = (
    "A region finds a lesion where its centroid lies inside the disc of the annotation's area round its centre "
    f"(or within {FLOOR_MM:g} mm of that centre) or where the two boxes overlap with an IoU above {OVERLAP:g}. "
    "Each lesion counts once; false positives over all images. "
    "Sensitivities at so many false positives take their cut from these images' own curve."
)


def name_of(figure: str) -> str:
    """A figure's name for a reader."""
    for groups in ("fold", "source"):
        if figure.endswith(f"_within_{groups}"):
            return f"{name_of(figure.removesuffix(f'_within_{groups}'))}, mean within {groups}s"
    if figure in NAMES:
        return NAMES[figure]
    words = figure.replace("_fp", " false positives per image" if "_1_" not in figure else " false positive per image")
    words = words.replace("_", " ")
    return words[:1].upper() + words[1:]


def figure_table(block: Mapping[str, Any]) -> Item:
    """A block as a table; what has no value says why."""
    rows = tuple((name_of(name), *rest) for name, *rest in table_rows(block))
    return Table(("figure", "value [95 % interval]", "unit", "n", "events"), rows) if rows else Text("Not measured.", "note")


def tests_table(tests: Sequence[Mapping[str, Any]]) -> Table:
    """Tests of a difference between two AUCs, as `both_tests` gives them."""
    rows = []
    for test in tests:
        gap, p = ("none", test["reason"]) if test["p"] is None else (f"{test['difference']:+.3f}", f"{test['p']:.3g}")
        rows.append((test["method"], test["unit"], f"{test['n']} ({test['events']})", gap, p))
    return Table(("test", "unit", "n (events)", "difference", "p, two-sided"), tuple(rows))


def headline(result: Mapping[str, Any]) -> Section:
    cards = []
    for block, name in HEADLINE:
        fields = result[block][name]
        value = "not known" if fields["value"] is None else f"{fields['value']:.2f}"
        if fields["value"] is None or fields["low"] is None:
            interval = fields["reason"]
        else:
            interval = f"95 %: {fields['low']:.2f} to {fields['high']:.2f}"
        unit = fields["unit"] if fields["n"] == 1 else plural(fields["unit"])
        basis = f"{fields['n']} {unit}" + (f", {fields['events']} malignant" if block == "pipeline" else "")
        cards.append((name_of(name), value, interval, basis))
    held = result["data"]["held_out"]
    unseen = "each scored by the fold that had not seen the patient" if "folds" in result else "whom no weight and no calibration has seen"
    warnings = [Text(sentence, "alarm") for sentence in (*result["not_held_out"], *(found["alarm"] for found in result.get("alarms", ())))]
    if result["not_held_out"]:
        unseen = "some of whom were seen in training, or have twins there"
    text = (
        f"Measured on {held['images']} images of {held['patients']} patients, {held['malignant_patients']} of them "
        f"with a malignant lesion, {unseen}."
    )
    return Section("Headline", (*warnings, Text(DISCLAIMER, "warning"), Text(text), Cards(tuple(cards))))


def reading(result: Mapping[str, Any]) -> Section:
    return Section("What can and cannot be concluded", tuple(Text(sentence) for sentence in result["conclusions"]))


def stage_sections(result: Mapping[str, Any], pictures: Mapping[str, Sequence[Picture]], told: Sequence[str] = ()) -> list[Section]:
    """A section for each stage, and for each further block of figures but those `told` elsewhere."""
    sections = []
    for stage, title in STAGES.items():
        items: list[Item] = [figure_table(result[stage])]
        if stage == "unet":
            items.append(Text(HIT_RULE, "note"))
        items += pictures.get(stage, ())
        sections.append(Section(title, tuple(items)))
    others = {name: value for name, value in result.items() if name not in (*STAGES, *told) and isinstance(value, dict)}
    extra = [name for name, value in others.items() if any(map(is_figure, value.values()))]
    sections += [Section(name.replace("_", " ").capitalize(), (figure_table(result[name]),)) for name in extra]
    return sections


def fold_section(result: Mapping[str, Any]) -> list[Section]:
    if "folds" not in result:
        return []
    names = [name for name, fields in next(iter(result["folds"].values())).items() if is_figure(fields)]
    rows = tuple((fold, *(show(values[name]) for name in names)) for fold, values in result["folds"].items())
    blocks = {name: result[b][name] for name in names for b in ("pipeline", "unet") if name in result[b]}
    inside = {name: result[b][f"{name}_within_fold"] for name in names for b in ("pipeline", "unet") if name in result[b]}
    rows += (("mean within folds", *(show(inside[n]) for n in names)), ("pooled", *(show(blocks[n]) for n in names)))
    note = (
        "Scores are calibrated inside each fold before they are pooled. Where pooled and within-fold figures differ, "
        "the folds' scores do not share one scale, and the mean within folds is the one to believe."
    )
    return [Section("Folds", (Table(("fold", *map(name_of, names)), rows), Text(note, "note")))]


def comparison_section(result: Mapping[str, Any]) -> list[Section]:
    items: list[Item] = []
    for name, values in result.get("comparisons", {}).items():
        rows = tuple((name_of(n), show(v), reading_of(v)) for n, v in values.items() if is_figure(v))
        items += [Text(f"Pipeline minus {name}:"), Table(("figure", "difference [95 % interval]", "reading"), rows)]
    return [Section("Compared on the same patients", tuple(items))] if items else []


def reading_of(fields: Mapping[str, Any]) -> str:
    """What a difference with its interval says, in three words."""
    if fields["value"] is None or fields["low"] is None:
        return "not known"
    if fields["low"] <= 0 <= fields["high"]:
        return "no difference shown"
    return "higher" if fields["low"] > 0 else "lower"


def curves_section(pictures: Sequence[Picture]) -> list[Section]:
    return [Section("Losses", tuple(pictures))] if pictures else []


def example_sections(examples: Sequence[Example], held_out: Sequence[Prediction]) -> list[Section]:
    def gallery(kind: str) -> tuple[Item, ...]:
        rows = [e for e in examples if e.kind == kind]
        pictures = [Picture(f"{kind}_{number}.png", example_figure(e), e.title or e.image_id) for number, e in enumerate(rows, 1)]
        return (Gallery(tuple(pictures)),) if pictures else ()

    legend = Text("Cyan: the annotation. Orange: what the U-Net marks.", "note")
    sections = [Section("Examples", (legend, *gallery("example")))] if any(e.kind == "example" for e in examples) else []
    for kind, title, rows in (
        ("miss", "Worst misses: malignant, lowest scores", worst_misses(held_out)),
        ("false_alarm", "Worst false alarms: not malignant, highest scores", worst_false_alarms(held_out)),
    ):
        table = Table(("image", "score", "truth", "regions", "lesions found"), tuple(_case_row(p) for p in rows))
        sections.append(Section(title, (table, *gallery(kind)) if rows else (Text("None.", "note"),)))
    return sections


def _case_row(p: Prediction) -> tuple[str, ...]:
    found, placed = len({r.hit for r in p.regions if r.hit >= 0}), sum(lesion.placed for lesion in p.lesions)
    unknown = f", {len(p.lesions) - placed} of unknown place" if placed < len(p.lesions) else ""
    return p.image_id, f"{p.image_score:.3f}", p.pathology, str(len(p.regions)), f"{found} of {placed}{unknown}"


def _calibrated_by(calibration: Mapping[str, Any]) -> str:
    if calibration["knots"]:
        return f"a rising line through {len(calibration['knots'])} knots"
    slopes = zip(calibration["features"], calibration["slopes"], strict=True)
    return ", ".join(f"{slope:.2f} x {name.replace('_', ' ')}" for name, slope in slopes) or "none"


def closing_sections(result: Mapping[str, Any]) -> list[Section]:
    rows = tuple(
        (t["name"].replace("_", " "), "not chosen" if t["value"] is None else f"{t['value']:.4g}", t["rule"],
         "" if t["achieved"] is None else f"{t['achieved']:.2f}", f"{t['n']} ({t['events']})", t["reason"])
        for t in result["thresholds"]
    )  # fmt: skip
    head = ("threshold", "value", "rule", "reached on validation", "n (events)", "note")
    chosen: tuple[Item, ...] = (Table(head, rows),) if rows else (Text("None was chosen.", "note"),)
    fits = tuple((c["name"], _calibrated_by(c), f"{c['n']} ({c['events']})", c["reason"]) for c in result["calibrations"])
    scales: tuple[Item, ...] = (Table(("calibrated", "by", "n (events)", "note"), fits),) if fits else ()
    provenance = {name: value for name, value in result["provenance"].items() if name != "networks"}
    made_by = [
        Table((name, ""), tuple(flatten(values))) for name, values in (("runtime", result["runtime"]), ("provenance", provenance)) if values
    ]
    methods = dict.fromkeys(f"{name_of(n)}: {v['method']}" for b in STAGES for n, v in result[b].items() if is_figure(v))
    again: list[Item] = [Text(result["command"] or "command not recorded", "command")]
    source = "Every figure is computed from predictions.parquet, which lies beside this report; report.json holds the same figures."
    again.append(Text(source, "note"))
    return [
        Section("Chosen on validation patients", (*chosen, *scales)),
        Section("How each figure is computed", (Fold(f"{len(methods)} figures", tuple(Text(m, "note") for m in methods)),)),
        Section("How to make it again", (*again, *made_by)),
    ]


def last_words() -> Section:
    return Section("Not a medical device", (Text(f"{DISCLAIMER} It must not be used to decide about anybody's care."),))
