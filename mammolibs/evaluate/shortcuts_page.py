"""The shortcut audit in words: what each probe sees, when it alarms, the section of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammolibs.evaluate.document import Item, Picture, Section, Table, Text
from mammolibs.evaluate.figures import BLUE, GREY, ORANGE, dress, new_figure, to_png
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import show

# Alarm: above chance at this level over all probes together (Holm 1979), and this share of what the pipeline reaches above chance.
LEVEL = 0.01
SHARE = 0.5
KINDS = ("auc", "pipeline_minus", "share", "followed")


@dataclass(frozen=True)
class Probe:
    """sees: in words. look_at: what to look at where it does well. blind: sees nothing of the inside of the breast, nor whose it is."""

    sees: str
    look_at: str
    blind: bool = True


PROBES = {
    "metadata": Probe(
        "how the image was made (source, maker, view, side, bits, spacing, size)",
        "from which sources, makers and formats the malignant images come, and from which the others",
    ),
    "source": Probe("the data set's name", "whether malignant images and others were gathered at different places"),
    "surroundings": Probe("what lies outside the breast", "markers, labels, borders, collimation and the level of the air"),
    "outline": Probe("the breast's form and place", "compression, crop and positioning of malignant images and of others"),
    "person": Probe("age and density", "whether patients of both classes were chosen by age", blind=False),
    "blurred": Probe("the breast in 8 x 5 cells, too coarse for a lesion", "the brightness of whole breasts in each class", blind=False),
}
NOTE = (
    "Pipeline follows it: among images that are not malignant, how often one of the probe's upper half gets a higher score than one of its lower "
    f"half; 0.5 where the pipeline does not use the cue. An alarm is raised where metadata, source, surroundings or outline lie above chance "
    f"(p under {LEVEL:g} after Holm's correction) and reach {100 * SHARE:.0f} % of what the pipeline has above chance. Age and density predict "
    "cancer in honest data, and a blurred breast is still tissue: both are told and never alarm. Data gathered by class (cancers from "
    "a clinic, others from screening) alarm by right, whatever the network looks at: then the AUC within sources is the one to believe."
)


def alarms(result: Mapping[str, Any]) -> tuple[str, ...]:
    """One alarm for all blind probes that are surely above chance and reach the stated share of the pipeline, or beat one that has nothing."""
    figures = result["probes"]
    shares = {name: figures[f"{name}_share"]["value"] for name, test in result["tests"].items() if test["surely_above_chance"]}
    names = [name for name, share in shares.items() if share is None or share >= SHARE]
    if not names:
        return ()
    told = " and by ".join(f"{PROBES[name].sees}: AUC {show(figures[f'{name}_auc'])}" for name in names)
    best = _furthest(figures, names)
    look = "; ".join(dict.fromkeys(PROBES[name].look_at for name in names))
    return (
        f"The class can be known without looking into the breast, by {told}. {_beside_the_pipeline(figures, best)} "
        f"{_following(figures[f'{best}_followed'])}Look at {look}. Until that is settled the AUC says little about tissue.",
    )


def section(result: Mapping[str, Any], names: Sequence[str], held_out: Sequence[Prediction]) -> Section:
    """The audit for a reader. names: the probes that the rows hold."""
    figures, rows = result["probes"], []
    for name in names:
        test, auc = result["tests"].get(name), figures[f"{name}_auc"]
        p = "not tested" if test is None else f"{test['p_holm']:.2g}"
        told = (show(figures[f"{name}_{kind}"]) for kind in KINDS)
        rows.append((f"{name.capitalize()}: {PROBES[name].sees}", f"{auc['n']} ({auc['events']})", *told, p))
    head = (
        "what the probe sees",
        "images (malignant)",
        "AUC",
        "pipeline minus probe",
        "share of the pipeline's AUC above chance",
        "pipeline follows it",
        "p, Holm",
    )
    judged = [name for name in names if figures[f"{name}_auc"]["low"] is not None]
    best = _furthest(figures, [name for name in judged if PROBES[name].blind])
    lead = _beside_the_pipeline(figures, best) if best else "No probe that is blind to tissue could be judged."
    pictures = (Picture("shortcuts.png", _drawn(figures, judged), "Image AUC, 95 % intervals; dashed: chance."),) if judged else ()
    notes = (Text(_trained(held_out), "note"), Text(NOTE, "note"))
    return Section(
        "Shortcuts: what can be had without tissue", (Text(lead), *pictures, Table(head, tuple(rows)), *notes, *_sources(result))
    )


def _furthest(figures: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return max(names, key=lambda name: figures[f"{name}_auc"]["value"], default=None)


def _beside_the_pipeline(figures: Mapping[str, Any], name: str) -> str:
    """How much of what the pipeline's AUC has above chance the probe reaches."""
    whole, own, share = (figures[f"{name}_{kind}"]["value"] for kind in ("pipeline_auc", "auc", "share"))
    alone = f"A probe that sees {PROBES[name].sees} and no tissue"
    if whole is None or share is None:
        return f"{alone} reaches an AUC of {own:.2f}; the pipeline is not above chance."
    if own <= 0.5:
        return f"The pipeline's AUC of {whole:.2f} lies {whole - 0.5:.2f} above chance. {alone} gets furthest of those without tissue, and is not above chance."
    reached = f"{own - 0.5:.2f} ({100 * share:.0f} %) is what {alone[0].lower()}{alone[1:]} reaches too"
    return f"Of the {whole - 0.5:.2f} that the pipeline's AUC of {whole:.2f} has above chance, {reached}."


def _following(followed: Mapping[str, Any]) -> str:
    if followed["low"] is None:
        return ""
    if followed["low"] > 0.5:
        return f"The pipeline goes along with it: among images that are not malignant its score follows this cue (AUC {show(followed)}). "
    return f"It is not shown that the pipeline uses it: among images that are not malignant its score does not surely follow this cue (AUC {show(followed)}). "


def _drawn(figures: Mapping[str, Any], names: Sequence[str]) -> bytes:
    """The pipeline's AUC above those of the probes, with their intervals."""
    rows = [("pipeline", figures[f"{names[0]}_pipeline_auc"], ORANGE)]
    rows += [(name, figures[f"{name}_auc"], BLUE if PROBES[name].blind else GREY) for name in names]
    figure, (axes,) = new_figure(6.4, 0.7 + 0.3 * len(rows))
    for place, (_, auc, colour) in enumerate(rows):
        if auc["low"] is not None:
            axes.plot([auc["low"], auc["high"]], [place, place], color=colour, linewidth=1.6)
            axes.plot(auc["value"], place, "o", color=colour, markersize=5)
    axes.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    dress(axes, "The pipeline, and what sees no lesion", "image AUC", "")
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), labels=[name for name, *_ in rows])
    return to_png(figure)


def _trained(held_out: Sequence[Prediction]) -> str:
    told = sorted({(p.fold, s.trained_on, s.trained_events) for p in held_out for s in p.probes if s.name in PROBES})
    parts = [f"{on} training images, {events} of them malignant" + (f" (fold {fold})" if fold >= 0 else "") for fold, on, events in told]
    return f"Probes: logistic regression with a ridge fixed beforehand, on a draw of {'; '.join(parts)}."


def _sources(result: Mapping[str, Any]) -> list[Item]:
    if "sources" not in result:
        return []
    figures = result["sources"]
    names = [name.removesuffix("_by_pipeline_auc") for name in figures if name.endswith("_by_pipeline_auc")]
    rows = []
    for name in names:
        by_blur, by_score = (figures[f"{name}_by_{kind}_auc"] for kind in ("blurred", "pipeline"))
        rows.append((name, *(f"{show(auc)} ({auc['n']} images, {auc['events']} of it)" for auc in (by_blur, by_score))))
    head = ("source, told from the others", "by the blurred image, AUC", "by the pipeline's score of images that are not malignant, AUC")
    asked = (("pooled", "image_auc"), ("mean within sources", "image_auc_within_source"), ("difference", "pooled_minus_within_source"))
    told = ", ".join(f"{words} {show(figures[name])}" for words, name in asked)
    return [Table(head, tuple(rows)), Text(f"Image AUC: {told}. What pooling adds may be the recognition of a source.")]
