"""The command line made from a dataclass: the mission's words, one-line errors, nearest words offered."""

from dataclasses import dataclass

import pytest

from mammolibs.errors import BadConfig, BadFile, RunInterrupted
from mammolibs.pipeline.cli import option, parse_options, run_script
from mammolibs.pipeline.options import EncoderOptions, TrainOptions, UNetOptions


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No flags of its own."""

    what: str = option("x", "a word", choices=("x", "yy"))


def test_pretrain_takes_no_or_a_number():
    assert parse_options(UNetOptions, ["--pretrain", "no"]).pretrain == "no"
    assert parse_options(UNetOptions, ["--pretrain", "20"]).pretrain == 20
    assert parse_options(UNetOptions, []).pretrain is None
    with pytest.raises(BadConfig, match="no and the number"):
        parse_options(UNetOptions, ["--pretrain", "best"])


def test_the_misspelt_flag_of_the_source_system_is_an_alias():
    assert parse_options(UNetOptions, ["--pretrain", "no", "--auencoder", "20"]).autoencoder == 20
    assert parse_options(UNetOptions, ["--pretrain", "no", "--auencoder=7"]).autoencoder == 7


def test_an_unknown_flag_names_the_nearest():
    with pytest.raises(BadConfig, match="did you mean --pretrain"):
        parse_options(EncoderOptions, ["--pretrian", "no"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--preset", "stndard"], "^--preset stndard: expected one of cpu, standard, full; did you mean standard[?]$"),
        (["--precision", "bf16"], "^--precision bf16: expected one of auto, float32, bfloat16; did you mean bfloat16[?]$"),
        (["--preset", "xyz"], "^--preset xyz: expected one of cpu, standard, full$"),
        (["--lr", "fast"], "^--lr: invalid float value: 'fast'$"),
    ],
)
def test_a_misspelt_value_names_what_is_allowed_and_the_nearest(flags, said):
    with pytest.raises(BadConfig, match=said):
        parse_options(EncoderOptions, flags)


def test_flags_are_not_abbreviated():
    with pytest.raises(BadConfig, match="--pre: no such flag"):
        parse_options(EncoderOptions, ["--pre", "no"])


@pytest.mark.parametrize("flags", [["--it", "0"], ["--lr", "-1"], ["--batch", "-8"], ["--from-scratch"]])
def test_values_out_of_range_are_refused(flags):
    with pytest.raises(BadConfig, match=flags[0]):
        parse_options(EncoderOptions, flags)


def test_sources_collect():
    options = parse_options(TrainOptions, ["--source", "mias=a", "--source", "phantom=b"])
    assert options.source == ("mias=a", "phantom=b")


def test_a_flag_is_named_once():
    def parse(text):
        raise BadConfig(f"--of {text}: write NAME=PATH")

    @dataclass(frozen=True)
    class Of:
        of: str = option("", "what", parse=parse)

    with pytest.raises(BadConfig, match="^--of x: write NAME=PATH$"):
        parse_options(Of, ["--of", "x"])


@pytest.mark.parametrize(("error", "code"), [(BadFile("a.dcm", "is cut short", "copy it again"), 2), (RunInterrupted("told to stop"), 75)])
def test_an_error_is_one_line_and_its_exit_code(error, code, capsys, monkeypatch):
    def main(options):
        raise error

    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit) as stop:
        run_script(main, Nothing)
    assert stop.value.code == code
    printed = capsys.readouterr().err
    assert printed == f"{error}\n" or printed.strip() == str(error)
    assert "Traceback" not in printed


def test_debug_shows_the_traceback(capsys, monkeypatch):
    def main(options):
        raise BadFile("a.dcm", "is cut short")

    monkeypatch.setattr("sys.argv", ["script", "--debug"])
    with pytest.raises(SystemExit):
        run_script(main, Nothing)
    assert "Traceback" in capsys.readouterr().err


def test_a_wrong_choice_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["script", "--what", "z"])
    with pytest.raises(SystemExit) as stop:
        run_script(lambda options: None, Nothing)
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
