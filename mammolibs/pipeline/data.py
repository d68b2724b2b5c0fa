"""From data sets to the shards of a run: catalog, split, samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mammolibs.catalog import (
    Catalog,
    Skipped,
    audit_own,
    fold_rows,
    format_tree,
    make_catalog,
    parse_option,
    parse_source,
    read_catalog,
    read_skipped,
    write_catalog,
    write_skipped,
    write_split,
)  # fmt: skip
from mammolibs.catalog.files import read_key_mark
from mammolibs.catalog.split import FRACTIONS
from mammolibs.errors import BadConfig, BadData
from mammolibs.ingest import ingest_images
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.policy import keep_policy, policy_of_sources, read_policy
from mammolibs.pipeline.presets import STAGES, contract_of, default_preset
from mammolibs.pipeline.run import Run, RunSettings, read_settings
from mammolibs.records import ImageRow, Policy
from mammolibs.storage import is_address

# Train, validation, test. Synthetic exams cost nothing, so more of the few go where the figures come from.
SYNTHETIC_FRACTIONS = (0.47, 0.15, 0.38)
EXAMS, ROWS = 60, 768


def open_run(
    folder: Path,
    options: TrainOptions,
    sources: list[tuple[str, str]],
    *,
    fold: int | None = None,
    left_out: str = "",
    data: str = "",
    first: Path | None = None,
) -> Run:
    """The run in that folder, made with these sources (all but `left_out`) or found as it is. data: where its catalog and shards lie
    if not below it. first: of several runs that belong together the one that knows the policy."""
    preset_name = options.preset or default_preset()
    policy = read_policy(options.policy, options.accept, _policy_before_flags(folder, sources, first))
    return Run.create(
        folder,
        RunSettings(
            preset=preset_name,
            seed=options.seed or 0,
            contract=contract_of(preset_name).to_dict(),
            sources=tuple(sources),
            source_options=options.source_options,
            fold=None if fold is None else (fold, options.folds),
            data=data,
            left_out=left_out,
            spacing_mm=options.spacing_mm,
            pretraining=not options.no_pretraining,
            policy=policy.to_dict(),
        ),
    )


def _policy_before_flags(folder: Path, sources: list[tuple[str, str]], first: Path | None) -> Policy:
    """What the run remembers, or the first of several; of a new run, what its sources ask for."""
    kept = next((place / "run.json" for place in (folder, first) if place and (place / "run.json").is_file()), None)
    return policy_of_sources(name for name, _ in sources) if kept is None else Policy().changed(read_settings(kept).policy)


def make_data(run: Run, options: TrainOptions, sources: list[tuple[str, str]]) -> None:
    """Catalog and shards of a whole run. Prints the tree of counts and what was skipped."""
    fractions = FRACTIONS if options.source else SYNTHETIC_FRACTIONS
    how = {"options": named_options(options), "key": options.key}
    catalog = make_catalog(sources, run.data, seed=run.settings.seed, fractions=fractions, **how)
    print(format_tree(catalog), flush=True)
    check_lesions([row for row in catalog.rows if row.split == "train"])
    write_shards_of(run, options, catalog)


def check_lesions(rows: Sequence[ImageRow]) -> None:
    """Raises BadData where there is nothing that the U-Net could learn from."""
    if not any(row.lesions for row in rows):
        raise BadData(
            "no image to train on has a known lesion, so only encoder and autoencoder could learn: add a --source with lesions "
            "(or make shards with dataset_enhancement/make_shards.py and train those two by their scripts)"
        )


def check_sources(rows: Sequence[ImageRow]) -> list[str]:
    """The names of the sources, of which each can be left out. Raises BadConfig for one source alone, BadData as `check_lesions`."""
    names = sorted({row.source for row in rows})
    if len(names) < 2:
        raise BadConfig(f"--leave-one-source-out: there is {names[0]} alone; give --source twice or more, of different names")
    for left_out in names:
        rest = [row for row in rows if row.source != left_out]
        if not any(row.lesions for row in rest):
            raise BadData(
                f"without {left_out} no image has a known lesion, so there would be nothing to train on: add a --source with lesions"
            )
    return names


def make_fold_data(run: Run, options: TrainOptions, sources: list[tuple[str, str]], whole: Path) -> None:
    """Catalog and shards of one fold: the rows of the whole catalog in `whole`, split for this fold."""
    fold, folds = run.settings.fold
    rows = fold_rows(whole_rows(options, sources, whole, run.settings.seed), folds=folds, fold=fold, seed=run.settings.seed)
    make_part_data(run, options, rows, whole)


def whole_rows(options: TrainOptions, sources: list[tuple[str, str]], whole: Path, seed: int) -> list[ImageRow]:
    """The rows of the catalog that several runs have parts of, in the folder `whole`; built and told where it is not there yet."""
    if not (whole / "catalog.parquet").is_file():
        how = {"options": named_options(options), "key": options.key}
        print(format_tree(make_catalog(sources, whole, seed=seed, **how)), flush=True)
    return read_catalog(whole / "catalog.parquet")


def make_part_data(run: Run, options: TrainOptions, rows: list[ImageRow], whole: Path) -> None:
    """Catalog, split and shards of a run on these rows of the catalog in `whole`."""
    check_lesions([row for row in rows if row.split == "train"])
    write_catalog(run.data / "catalog.parquet", rows)
    mark = read_key_mark(whole / "split.json")
    write_split(run.data / "split.json", rows, seed=run.settings.seed, fractions=(), verdict=audit_own(rows), key_mark=mark)
    names = {row.source for row in rows}
    skipped = [item for item in read_skipped(whole / "skipped.csv") if item.source in names]
    write_shards_of(run, options, Catalog(rows=rows, skipped=skipped))


def write_shards_of(run: Run, options: TrainOptions, catalog: Catalog) -> None:
    """Samples of all splits; what could not be used is added to skipped.csv."""
    rows = catalog.rows
    if options.spacing_mm:
        rows = [replace(row, spacing_mm=options.spacing_mm) for row in rows]
        write_catalog(run.catalog, rows)
    # Once a stage has begun its data stays: a state that was trained on other samples is refused.
    mend = not any(run.stage(name).is_dir() for name in STAGES)
    report = ingest_images(rows, run.contract, run.data / "shards", policy=run.policy, workers=options.workers, mend=mend)
    keep_policy(run.data / "shards", run.policy)
    skipped = [*catalog.skipped, *(Skipped(item=item, reason=reason) for item, reason in report.skipped)]
    write_skipped(run.skipped, skipped)
    print(f"samples: {report}", flush=True)


def named_sources(options: TrainOptions) -> list[tuple[str, str]]:
    """(name, path) of each --source. Raises BadConfig for a path that is not there."""
    sources = [parse_source(text) for text in options.source]
    for name, path in sources:
        if not is_address(path) and not Path(path).exists():
            raise BadConfig(f"--source {name}={path}: there is nothing at that path; give the folder or archive of the data set")
    return [(name, path if is_address(path) else str(Path(path).resolve())) for name, path in sources]


def named_options(options: TrainOptions) -> list[tuple[str, str, str]]:
    """(source, option, value) of each --option. Raises BadConfig."""
    return [parse_option(text) for text in options.source_options]
