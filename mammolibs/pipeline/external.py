"""A trained run on data from elsewhere: weights, calibration and cuts as they are, and what the figures lose against home."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mammolibs.catalog import SOURCES, Thumbnails, Verdict, audit, format_tree, make_catalog, read_catalog, split_hash, write_catalog
from mammolibs.catalog.pseudonyms import KEY_NAME
from mammolibs.catalog.verdict import PIXELS, in_words
from mammolibs.errors import BadConfig, BadData
from mammolibs.evaluate import Beside, Prediction, held_out_rows, write_predictions, write_report
from mammolibs.pipeline.adaptation import ADAPTATION_NAME, adapt_to_site, check_adaptations
from mammolibs.pipeline.compare_runs import read_run_predictions
from mammolibs.pipeline.data import named_options, named_sources
from mammolibs.pipeline.examples import report_examples
from mammolibs.pipeline.facts import command_line, data_facts, runtime_facts
from mammolibs.pipeline.fold_report import read_report
from mammolibs.pipeline.judge import OPERATING_NAME, Judge, Operating
from mammolibs.pipeline.looks import looks_at, note_look
from mammolibs.pipeline.options import ExternalEvalOptions
from mammolibs.pipeline.policy import read_policy
from mammolibs.pipeline.provenance import provenance
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import offences
from mammolibs.pipeline.summary import figure_text
from mammolibs.records import ImageRow, Policy
from mammolibs.runtime import Runtime, get_runtime
from mammolibs.storage import is_address

INTERNAL_NAME, ADAPTED_NAME = "internal.parquet", "adapted.parquet"
# Reading and comparing pixels costs some 0.1 s an image: from here on the audit's own script does it better.
MOST_COMPARED = 1000


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """rows: images that are judged, all of split "test". out: folder for the report. skipped: lists of what could not be used."""

    rows: Sequence[ImageRow]
    out: Path
    skipped: tuple[Path | str, ...] = ()

    @property
    def name(self) -> str:
        return "+".join(sorted({row.source for row in self.rows}))


def evaluate_external(options: ExternalEvalOptions) -> dict[str, Any]:
    """Judge the run on every usable image of the sources and write the report; returns report.json.

    Raises what `make_catalog` raises, and as `judge_elsewhere`.
    """
    sources = named_sources(options)
    run = accepting(Run.open(options.run), sources, options.accept)
    out = Path(options.out or run.folder / "external" / "+".join(sorted({name for name, _ in sources})))
    key = options.key or own_key(run)
    catalog = make_catalog(sources, out / "data", seed=run.settings.seed, fractions=(0, 0, 1), options=named_options(options), key=key)
    print(format_tree(catalog), flush=True)
    rows = some_patients(catalog.rows, options.limit)
    if options.spacing_mm:
        rows = [replace(row, spacing_mm=options.spacing_mm) for row in rows]
    write_catalog(out / "data" / "catalog.parquet", rows)
    runtime = get_runtime(precision=options.precision, seed=run.settings.seed, one_process=True)
    result = judge_elsewhere(run, runtime, Elsewhere(rows=rows, out=out, skipped=(out / "data" / "skipped.csv",)), options)
    print_drops(result, out)
    return result


def accepting(run: Run, sources: Sequence[tuple[str, str]], codes: Sequence[str]) -> Run:
    """The run with its policy, less what is in the nature of these sources, or told to be accepted."""
    natural = sorted({code for name, _ in sources for code in SOURCES[name].accepts})
    policy: Policy = read_policy(None, (*natural, *codes), run.policy)
    return replace(run, settings=replace(run.settings, policy=policy.to_dict()))


def own_key(run: Run) -> Path | None:
    """The key of the run's own pseudonyms, so that a patient of both has one name."""
    path = None if is_address(run.data) else Path(run.data) / KEY_NAME
    return path if path and path.exists() else None


def some_patients(rows: Sequence[ImageRow], limit: int | None) -> list[ImageRow]:
    """Whole patients in the order of hashes of their ids, until so many images are there; all where there is no limit."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    kept: list[ImageRow] = []
    for patient in sorted({row.patient_id for row in rows}, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(kept) < limit:
            kept += [row for row in rows if row.patient_id == patient]
    return sorted(kept, key=lambda row: row.image_id)


def judge_elsewhere(run: Run, runtime: Runtime, elsewhere: Elsewhere, options: ExternalEvalOptions) -> dict[str, Any]:
    """Predictions and report of the rows under weights, calibrations and cuts of the run as they are; returns report.json.

    Raises BadConfig where the run is not trained, or was not evaluated with its best weights of today; BadData where
    training has seen some of the rows, unless forced.
    """
    judge = replace(Judge.open(run, runtime, workers=options.workers), given=tuple(elsewhere.rows))
    operating, own = evaluated(run, judge)
    check_adaptations(judge, operating, options.adapt)
    verdict = audit_elsewhere(run, elsewhere, options.workers)
    found = offences(run, verdict, elsewhere.rows, judge.iterations)
    refuse_touched(elsewhere, found, forced=options.force_touched)
    hashed = split_hash(elsewhere.rows)
    note_look(run, hashed)
    theirs = {row.patient_id for row in elsewhere.rows}
    # By force only: a patient can stand in one part of the table alone.
    validation = [p for p in own if p.split == "validation" and p.patient_id not in theirs]
    predictions = [*validation, *judge.predictions("test", operating)]
    write_predictions(elsewhere.out / "predictions.parquet", predictions)
    adapted = with_adaptation(judge, operating, validation, elsewhere.out, options.adapt)
    made_by = provenance(run, judge.iterations, operating.thresholds)
    internal = Beside(rows=held_out_rows(own), chosen={judge.fold: operating.chosen}, split_hash=made_by["split_hash"])
    write_predictions(elsewhere.out / INTERNAL_NAME, list(internal.rows))
    made_by |= {"split_hash": hashed, "internal_split_hash": internal.split_hash, "audit": verdict.short(), "touched": list(found)}
    facts = data_facts(elsewhere.rows, elsewhere.skipped, judge.skipped)
    facts |= {"audit": in_words(made_by["audit"]), "not_audited": dict(verdict.unchecked), "looks_at_this_test_set": looks_at(run, hashed)}
    result = write_report(
        elsewhere.out, predictions=predictions, stages={}, data=facts, runtime=runtime_facts(runtime), split_hash=hashed, provenance=made_by,
        examples=report_examples({judge.fold: (judge, operating)}, predictions), chosen={judge.fold: operating.chosen}, internal=internal,
        adapted=adapted, command=command_line(), title=f"Mammography pipeline, trained on {', '.join(made_by['sources'])}: evaluation on {elsewhere.name}",
    )  # fmt: skip
    run.send()
    return result


def evaluated(run: Run, judge: Judge) -> tuple[Operating, list[Prediction]]:
    """The run's operating points, and its predictions of validation and held-out patients. Raises BadConfig where they are of other weights."""
    operating = Operating.load(run.folder / OPERATING_NAME)
    predictions = read_run_predictions(run.folder)
    made_with = read_report(run)["provenance"]["weights_sha256"]
    if operating.models != judge.models or made_with != judge.models or operating.contract_hash != run.contract.hash():
        raise BadConfig(
            f"{run.folder}: was evaluated with other weights than its best of today; run: python eval/pipeline_eval.py --run {run.folder}"
        )
    return operating, predictions


def audit_elsewhere(run: Run, elsewhere: Elsewhere, workers: int) -> Verdict:
    """Whether these rows, their patients or their pixels stand among those that the run was trained on or chosen by."""
    seen = [row for row in read_catalog(run.catalog) if row.split != "test"]
    count = len(seen) + len(elsewhere.rows)
    ignore = {"official split": "all of a set from elsewhere is held out"}
    if count > MOST_COMPARED:
        how = f"python dataset_enhancement/audit_split.py --catalog {elsewhere.out.name}/data --pool {run.folder.name}/data"
        ignore |= {PIXELS: f"{count} images, more than {MOST_COMPARED}; to compare them: {how}"}
    return audit(elsewhere.rows, pool=seen, thumbnails=Thumbnails(elsewhere.out / "data" / ".thumbnails", workers), ignore=ignore)


def refuse_touched(elsewhere: Elsewhere, found: Sequence[str], *, forced: bool) -> None:
    told = f"{elsewhere.name}: not from elsewhere, as training has seen some of it: {'; '.join(found)}"
    if found and not forced:
        remedy = "leave those patients out of the source, or judge a run that was trained without them"
        raise BadData(f"{told}; {remedy}; --force-touched of eval/external_eval.py goes on, and the report says so")
    if found:
        print(f"Evaluated by force: {told}", flush=True)


def with_adaptation(judge: Judge, operating: Operating, validation: Sequence[Prediction], out: Path, kinds: Sequence[str]) -> Beside | None:
    """What an adaptation without labels makes of the rows, with its file and table written; None, and no file left over, without one."""
    for name in (ADAPTATION_NAME, ADAPTED_NAME):
        (out / name).unlink(missing_ok=True)
    if not kinds:
        return None
    adaptation, adapted = adapt_to_site(judge, operating, kinds, validation)
    adaptation.save(out / ADAPTATION_NAME)
    write_predictions(out / ADAPTED_NAME, list(adapted.rows))
    return adapted


def print_drops(result: dict[str, Any], out: Path) -> None:
    """The main figures at home and elsewhere with their drop."""
    external = result["external"]
    print("\n".join(("", *result["not_held_out"], f"Elsewhere ({', '.join(external['sources'])}), 95 % intervals")))
    for name, fields in external["drop"].items():
        if isinstance(fields, dict):
            print(f"  {name:28} {figure_text(external['external'][name])}")
            print(f"  {'':28} at home {figure_text(external['internal'][name])}; drop {figure_text(fields).partition('  (')[0]}")
    print(f"Report: {out / 'report.html'}")
    print("Research only. Not a medical device.", flush=True)
