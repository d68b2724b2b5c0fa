"""What a policy file and --accept change, and what a wrong one is told."""

import json
from dataclasses import asdict

import pytest

from mammolibs.errors import BadConfig, BadFile
from mammolibs.pipeline.cli import parse_options
from mammolibs.pipeline.data import open_run
from mammolibs.pipeline.options import PredictOptions, TrainOptions
from mammolibs.pipeline.policy import read_policy
from mammolibs.pipeline.run import Run, RunSettings
from mammolibs.records import Policy
from mammolibs.storage import write_json


def test_the_flag_is_repeatable_and_goes_after_the_file(tmp_path):
    file = tmp_path / "policy.json"
    file.write_text('{"train": {"lossy": "refuse", "implant": "refuse"}, "least_side_px": 500}')
    options = parse_options(PredictOptions, ["a.dcm", "--policy", str(file), "--accept", "lossy", "--accept", "wrong_modality"])
    policy = read_policy(options.policy, options.accept)
    assert [policy.action("train", code) for code in ("lossy", "implant", "wrong_modality", "too_small")] == ["warn", "refuse", "warn", "refuse"]
    assert policy.action("predict", "wrong_modality") == "warn" and policy.least_side_px == 500
    assert read_policy(None, ()) == Policy()


@pytest.mark.parametrize("text,told", [
    ("{", "is no policy"), ('{"train": {"implants": "warn"}}', "did you mean implant"), ('["implant"]', "expected an object"), ("\udcff", "is no policy"),
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
    with pytest.raises(BadConfig, match="another policy"):
        open_run(tmp_path, TrainOptions(run=str(tmp_path), preset="cpu"), [])


def test_a_run_that_remembers_none_has_the_default(tmp_path):
    told = asdict(RunSettings(preset="cpu", seed=0, contract={}))
    del told["policy"]
    write_json(tmp_path / "run.json", told)
    assert Run.open(tmp_path).policy == Policy()
    write_json(tmp_path / "run.json", told | {"policy": {"train": {"implant": "maybe"}}})
    with pytest.raises(BadFile, match="run.json: is damaged"):
        Run.open(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["policy"]
