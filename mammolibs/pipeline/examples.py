"""Which held-out images a report shows: lesions found well and badly, the worst misses, the worst false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mammolibs.evaluate import Prediction
from mammolibs.evaluate.examples import KINDS, Example, select_examples
from mammolibs.evaluate.flow import held_out_rows
from mammolibs.pipeline.judge import Judge, Operating

Judges = Mapping[int, tuple[Judge, Operating]]


def report_examples(judges: Judges, predictions: Sequence[Prediction], kinds: Sequence[str] = KINDS) -> list[Example]:
    """Example pictures on the canvas, read and judged once more, in the order in which the report shows them.

    judges: fold (-1 where there are none) -> the networks that had not seen its patients, and their operating points.
    """
    predictions = held_out_rows(predictions)
    chosen = {kind: ids for kind, ids in select_examples(predictions).items() if kind in kinds}
    wanted = {image_id for ids in chosen.values() for image_id in ids}
    by_id = {p.image_id: p for p in predictions if p.image_id in wanted}
    analyses = {}
    for fold, (judge, _) in judges.items():
        rows = [row for row in judge.rows("test") if row.image_id in wanted and by_id[row.image_id].fold == fold]
        analyses |= {a.sample.image_id: a for _, a in judge.analyses(rows, "example pictures")} if rows else {}
    return [
        Example(
            image_id=image_id,
            image=analyses[image_id].sample.image,
            truth=analyses[image_id].sample.mask,
            predicted=analyses[image_id].probability,
            title=f"{by_id[image_id].pathology}, score {by_id[image_id].image_score:.2f}",
            kind=kind,
            cut=judges[by_id[image_id].fold][1].thresholds["mask"].value,
        )
        for kind, ids in chosen.items()
        for image_id in ids
        if image_id in analyses
    ]
