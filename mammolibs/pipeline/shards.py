"""The images of a catalog, or patches of them, as shards, with what goes beside them: the policy, what was skipped, in a bucket the catalog."""

from __future__ import annotations

from collections.abc import Sequence

from mammolibs.catalog import Skipped, copy_split, read_catalog, write_catalog, write_skipped
from mammolibs.errors import BadConfig
from mammolibs.ingest import PATCH_KINDS, IngestReport, ingest_images, ingest_patches, patch_requests
from mammolibs.pipeline.cli import option
from mammolibs.pipeline.policy import keep_policy, policy_of_sources, read_policy
from mammolibs.prepare import Contract
from mammolibs.storage import below, is_address, locate


def patches_option() -> str | None:
    text = "in place of whole images, patches round all known lesions and of normal tissue: lesion labels every lesion 1, malignancy the malignant ones"
    return option(None, f"{text} (default out: patch_sets/KIND in the catalog's folder)", choices=PATCH_KINDS)


def default_out(catalog: str, patches: str | None) -> str:
    """Where sets go that nobody gives a place: where a run looks for them, patches beside."""
    return str(below(catalog, "patch_sets", patches) if patches else below(catalog, "shards"))


def make_shards(
    catalog: str,
    out: str,
    contract: Contract,
    *,
    policy_file: str | None,
    accept: Sequence[str],
    workers: int,
    lanes: int,
    codec: str = "blosc2",
    scheduler: str = "",
    patches: str | None = None,
) -> IngestReport:
    """Shard sets of all splits in `out`, of the catalog in the folder or address `catalog`: its images, or patches of this kind.

    Sets that go to a bucket without their catalog being there take it and its split along, to the folder above them, where `--data` looks
    for it. Raises as `read_catalog`, `read_policy`, `ingest_images` and `ingest_patches`, and BadConfig for a whole bucket, which has no
    folder above, and for no lanes.
    """
    if lanes < 1:
        raise BadConfig(f"--lanes {lanes}: 1 or more, such as 8")
    above = locate(out)[0].location
    rows = read_catalog(below(catalog, "catalog.parquet"))
    policy = read_policy(policy_file, accept, policy_of_sources(row.source for row in rows))
    how = {"policy": policy, "workers": workers, "scheduler": scheduler, "lanes": lanes, "codec": codec}
    if patches:
        report = ingest_patches(patch_requests(patches, rows), contract, out, **how)
    else:
        report = ingest_images(rows, contract, out, **how)
    keep_policy(out, policy)
    write_skipped(below(out, "skipped.csv"), [Skipped(item, reason) for item, reason in report.skipped])
    if is_address(out) and above != catalog.rstrip("/"):
        write_catalog(below(above, "catalog.parquet"), rows)
        copy_split(below(catalog, "split.json"), below(above, "split.json"))
    return report
