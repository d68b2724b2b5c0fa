"""What a policy file and --accept change, and what a wrong one is told."""

import json
import runpy
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mammolibs.catalog import make_catalog, write_catalog
from mammolibs.errors import BadConfig, BadFile
from mammolibs.pipeline.cli import parse_options
from mammolibs.pipeline.data import open_run
from mammolibs.pipeline.options import PredictOptions, TrainOptions
from mammolibs.pipeline.patches import make_patches
from mammolibs.pipeline.policy import read_policy
from mammolibs.pipeline.run import Run, RunSettings
from mammolibs.records import SPLITS, Policy
from mammolibs.runtime import get_runtime
from mammolibs.shards import open_index
from mammolibs.storage import open_store, write_json
from tests.pipeline.films import write_films

ROOT = Path(__file__).resolve().parents[2]


def test_the_flag_is_repeatable_and_goes_after_the_file(tmp_path):
    file = tmp_path / "policy.json"
    file.write_text('{"train": {"lossy": "refuse", "implant": "refuse"}, "least_side_px": 500}')
    options = parse_options(PredictOptions, ["a.dcm", "--policy", str(file), "--accept", "lossy", "--accept", "wrong_modality"])
    policy = read_policy(options.policy, options.accept)
    actions = {code: policy.action("train", code) for code in ("lossy", "implant", "wrong_modality", "too_small")}
    assert actions == {"lossy": "warn", "implant": "refuse", "wrong_modality": "warn", "too_small": "refuse"}
    assert policy.action("predict", "wrong_modality") == "warn" and policy.least_side_px == 500
    assert read_policy(None, ()) == Policy()


@pytest.mark.parametrize("text,told", [
    ("{", "is no policy"), ('{"train": {"implants": "warn"}}', "did you mean implant"), ('["implant"]', "expected an object"),
    ("\udcff", "is no policy"),
])  # fmt: skip
def test_a_bad_policy_file_is_one_line(tmp_path, text, told):
    file = tmp_path / "policy.json"
    file.write_bytes(text.encode("utf8", "surrogateescape"))
    with pytest.raises(BadFile, match=told) as error:
        read_policy(str(file), ())
    assert str(file) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(BadFile, match="No such file"):
        read_policy(str(tmp_path / "none.json"), ())


def test_a_code_that_is_none_names_the_nearest():
    with pytest.raises(BadConfig, match="--accept implants: .*did you mean implant"):
        read_policy(None, ("implants",))


def test_a_run_remembers_its_policy(tmp_path):
    options = TrainOptions(run=str(tmp_path), preset="cpu", accept=("spot_or_magnified",))
    open_run(tmp_path, options, [])
    assert Run.open(tmp_path).policy == Policy().accepting("spot_or_magnified")
    assert open_run(tmp_path, replace(options, accept=()), []).policy == Policy().accepting("spot_or_magnified")
    with pytest.raises(BadConfig, match="another policy"):
        open_run(tmp_path, replace(options, accept=("too_small",)), [])


def test_all_folds_have_the_policy_of_the_first(tmp_path):
    options = TrainOptions(run=str(tmp_path), preset="cpu", folds=3, accept=("spot_or_magnified",))
    open_run(tmp_path / "folds" / "0", options, [], fold=0)
    second = open_run(tmp_path / "folds" / "1", replace(options, accept=()), [], fold=1, first=tmp_path / "folds" / "0")
    assert second.policy == Policy().accepting("spot_or_magnified")


def test_what_is_in_the_nature_of_a_source_needs_no_flag(tmp_path):
    options = TrainOptions(run=str(tmp_path), preset="cpu")
    sources = [("mias", "a"), ("duke_mri", "b")]
    assert open_run(tmp_path / "mri", options, sources).policy == Policy().accepting("wrong_modality") != Policy()
    assert open_run(tmp_path / "films", options, sources[:1]).policy == Policy()
    file = tmp_path / "policy.json"
    file.write_text('{"train": {"wrong_modality": "refuse"}}')
    assert open_run(tmp_path / "strict", replace(options, policy=str(file)), sources).policy.action("train", "wrong_modality") == "refuse"


def test_patches_are_cut_under_the_policy_of_shards_that_were_made_by_hand(tmp_path, monkeypatch, capsys):
    """Films that are too small by the default policy: what is accepted for the shards is accepted for their patches."""
    films = write_films(tmp_path / "films", 6, shape=(210, 170))
    rows = make_catalog([("csv", films)], tmp_path / "data").rows
    write_catalog(tmp_path / "data" / "catalog.parquet", [replace(row, split=SPLITS[number % 2]) for number, row in enumerate(rows)])
    arguments = ["make_shards.py", "--catalog", str(tmp_path / "data"), "--preset", "cpu", "--workers", "0", "--accept", "too_small"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(ROOT / "dataset_enhancement/make_shards.py"), run_name="__main__")
    assert not done.value.code
    run = Run.open(tmp_path / "run", data=str(tmp_path / "data"))
    assert run.policy == Policy().accepting("too_small")
    make_patches(run, "patches", get_runtime(seed=0), workers=0)
    assert len(open_index(open_store(run.shards("train", "lesion_patches")))) > 0
    (tmp_path / "data" / "shards" / "policy.json").write_text("{")
    with pytest.raises(BadFile, match="policy.json: is damaged .*; make the shards again"):
        Run.open(tmp_path / "other", data=str(tmp_path / "data"))


def test_a_run_that_remembers_none_has_the_default(tmp_path):
    told = asdict(RunSettings(preset="cpu", seed=0, contract={}))
    del told["policy"]
    write_json(tmp_path / "run.json", told)
    assert Run.open(tmp_path).policy == Policy()
    write_json(tmp_path / "run.json", told | {"policy": {"train": {"implant": "maybe"}}})
    with pytest.raises(BadFile, match="run.json: is damaged"):
        Run.open(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["policy"]
