"""train.sh on a catalog and shards that are there already, in a folder or a bucket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mammolibs.catalog import read_catalog
from mammolibs.errors import BadConfig
from mammolibs.pipeline.data import check_lesions
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.run import Run, read_settings, write_settings

# What decides how data are made, or makes several sets of them.
MAKING = (
    *("source", "source_options", "exams", "rows", "spacing_mm", "policy", "accept", "key"),
    *("folds", "seeds", "leave_one_source_out", "dry_run"),
)


def has_given_data(folder: Path, options: TrainOptions) -> bool:
    """True where the flags name data, or the run was made on shards and not from sources.

    Raises BadConfig for a flag beside them that would make others.
    """
    if not options.data and (not (folder / "run.json").is_file() or read_settings(folder / "run.json").sources):
        return False
    if contradicting := [name for name in MAKING if getattr(options, name)]:
        flag = {"source_options": "option"}.get(contradicting[0], contradicting[0]).replace("_", "-")
        if options.data:
            raise BadConfig(f"--{flag}: --data {options.data} is made already; leave out one of the two")
        raise BadConfig(f"--{flag}: the data of the run {folder} are made already; leave the flag out, or take another --run")
    return True


def open_on_data(folder: Path, options: TrainOptions) -> Run:
    """The run on these data, new or as it is; raises as `Run.open`, and BadData where the U-Net would learn nothing."""
    is_new = not (folder / "run.json").is_file()
    run = Run.open(folder, preset_name=options.preset, seed=options.seed, data=options.data)
    rows = read_catalog(run.catalog)
    check_lesions([row for row in rows if row.split == "train"])
    print(f"{run.data}: {len(rows)} images of {len({row.patient_id for row in rows})} patients, made before", flush=True)
    if not is_new or not options.no_pretraining:
        return run
    settings = replace(run.settings, pretraining=False)
    write_settings(folder, settings)
    return Run(folder, settings)
