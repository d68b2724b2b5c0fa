"""Which held-out images a report shows: lesions found well and badly, the worst misses, the worst false alarms."""

from __future__ import annotations

from typing import Sequence

from mammolibs.evaluate import Prediction
from mammolibs.evaluate.examples import Example, select_examples
from mammolibs.pipeline.judge import Judge, Operating


def report_examples(judge: Judge, predictions: Sequence[Prediction], operating: Operating) -> list[Example]:
    """Example pictures on the canvas, read and judged once more, in the order in which the report shows them."""
    chosen = select_examples(predictions)
    rows = {row.image_id: row for row in judge.rows("test")}
    by_id = {p.image_id: p for p in predictions}
    wanted = sorted({image_id for ids in chosen.values() for image_id in ids})
    analyses = {a.sample.image_id: a for _, a in judge.analyses([rows[i] for i in wanted], "example pictures")}
    cut = operating.thresholds["mask"].value
    return [
        Example(
            image_id=image_id,
            image=analyses[image_id].sample.image,
            truth=analyses[image_id].sample.mask,
            predicted=analyses[image_id].probability,
            title=f"{by_id[image_id].pathology}, score {by_id[image_id].image_score:.2f}",
            kind=kind,
            cut=cut,
        )
        for kind, ids in chosen.items()
        for image_id in ids
        if image_id in analyses
    ]
