"""Options of a source in train.sh: they reach the catalog, and a run remembers them."""

import pytest

from mammolibs.catalog import read_catalog
from mammolibs.catalog.files import read_key_mark
from mammolibs.errors import BadConfig
from mammolibs.pipeline.chain import remembered
from mammolibs.pipeline.cli import parse_options
from mammolibs.pipeline.data import make_data, make_fold_data, named_sources, open_run
from mammolibs.pipeline.estimate import count_images
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.run import Run
from tests.pipeline.films import write_films


def make(folder, films, *flags, fold=None):
    options = parse_options(TrainOptions, ["--run", str(folder), "--source", f"csv={films}", "--preset", "cpu", "--workers", "0", *flags])
    options = remembered(folder, options)
    return open_run(folder, options, named_sources(options), fold=fold), options, named_sources(options)


def test_they_reach_the_catalog_and_the_run_remembers_them(tmp_path):
    films = write_films(tmp_path / "films", 12)
    run, options, sources = make(tmp_path / "run", films, "--option", "csv.truth=read", "--option", "csv.licence=ours")
    make_data(run, options, sources)
    rows = read_catalog(run.catalog)
    assert {(row.truth, row.licence) for row in rows} == {("read", "ours")} and len(rows) == 12
    again, _, _ = make(tmp_path / "run", films)
    assert again.settings.source_options == ("csv.truth=read", "csv.licence=ours")
    with pytest.raises(BadConfig, match="another source_options"):
        make(tmp_path / "run", films, "--option", "csv.truth=biopsy")


def test_they_reach_folds_and_the_estimate(tmp_path):
    films = write_films(tmp_path / "films", 12)
    (films / "labels.csv").write_text((films / "labels.csv").read_text().replace("patient", "woman"))
    run, options, sources = make(tmp_path / "run", films, "--folds", "3", "--option", "csv.patient=woman", fold=0)
    assert count_images(options, sources)[0] == 12
    make_fold_data(run, options, sources, tmp_path / "whole")
    assert len({row.patient_id for row in read_catalog(run.catalog)}) == 12
    # By it an audit of the fold knows which key its pseudonyms come from.
    assert read_key_mark(run.data / "split.json") == read_key_mark(tmp_path / "whole/split.json") != ""


def test_an_option_that_is_none_is_one_line_and_leaves_no_run_behind(tmp_path):
    films = write_films(tmp_path / "films", 3)
    for flag, told in (("csv.colour=red", "no such option"), ("csv", "NAME.OPTION=VALUE"), ("mias.x=1", "options for mias")):
        run, options, sources = make(tmp_path / flag, films, "--option", flag)
        with pytest.raises(BadConfig, match=told):
            make_data(run, options, sources)


def test_a_run_of_before_has_none(tmp_path):
    run, _, _ = make(tmp_path / "run", write_films(tmp_path / "films", 3))
    text = (run.folder / "run.json").read_text()
    (run.folder / "run.json").write_text(text.replace('"source_options": [],', ""))
    assert Run.open(run.folder).settings.source_options == ()
