"""The images of a catalog and their derived copies as a catalog of its own, with its split and what was skipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mammolibs.catalog import Skipped, read_catalog, write_catalog, write_skipped, write_split_of_copies
from mammolibs.errors import BadConfig
from mammolibs.ingest import DeriveReport, Recipe, derive_images
from mammolibs.pipeline.policy import policy_of_sources, read_policy
from mammolibs.storage import below


def make_copies(catalog: str, out: str, recipe: Recipe, *, policy_file: str | None, accept: Sequence[str], workers: int) -> DeriveReport:
    """Copies, catalog.parquet, split.json and skipped.csv in the folder `out`, of the catalog in the folder or address `catalog`.

    Raises BadConfig where both are one folder, since the catalog without copies would be lost; else as `read_catalog`,
    `read_policy` and `derive_images`.
    """
    if Path(out).resolve() == Path(catalog).resolve():
        raise BadConfig(f"--out {out}: holds the catalog that is copied, and its split; choose another folder")
    rows = read_catalog(below(catalog, "catalog.parquet"))
    policy = read_policy(policy_file, accept, policy_of_sources(row.source for row in rows))
    report = derive_images(rows, recipe, out, policy=policy, workers=workers)
    write_catalog(below(out, "catalog.parquet"), report.rows)
    write_split_of_copies(below(out, "split.json"), report.rows, below(catalog, "split.json"), rows)
    write_skipped(below(out, "skipped.csv"), [Skipped(item, reason) for item, reason in report.skipped])
    return report
