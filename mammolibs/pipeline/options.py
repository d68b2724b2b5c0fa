"""The flags of the scripts, one frozen dataclass each. What a flag means stands in docs/stages.md."""

from __future__ import annotations

from dataclasses import MISSING, dataclass

from mammolibs.errors import BadConfig
from mammolibs.pipeline.cli import option
from mammolibs.pipeline.policy import accept_option, policy_option
from mammolibs.pipeline.presets import PRESETS
from mammolibs.pipeline.table_options import check_prevalence


def parse_pretrain(text: str) -> str | int:
    """ "no" or the number of an iteration. Raises BadConfig."""
    if text == "no":
        return text
    if text.isdigit():
        return int(text)
    raise BadConfig(f"{text!r}: allowed are no and the number of an iteration, such as 20")


def tensorboard_option() -> bool:
    """The flag of everything that trains."""
    return option(False, "write TensorBoard curves beside history.csv (pip install 'mammolibs[tensorboard]')")


def check_curves(wanted: bool) -> None:
    """Raises BadConfig where curves are wanted and cannot be written: before any work, not after the data are made."""
    if wanted:
        from mammolibs.engine.curves import check_tensorboard

        check_tensorboard(wanted)


# Detector pixels are 0.02 to 0.1 mm; a picture scaled down for a screen may have some ten times that.
SPACINGS_MM = (0.01, 2.0)
ADAPTATIONS = ("intensity", "norm", "recall")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every script that trains or evaluates takes."""

    run: str = option("runs/default", "folder of the run", metavar="FOLDER")
    preset: str | None = option(None, "sizes of networks and images; a run remembers its own", choices=tuple(PRESETS))
    seed: int | None = option(None, "seed of the run (default 0; a run remembers its own)", parse=int)
    precision: str = option("auto", "arithmetic of the networks", choices=("auto", "float32", "bfloat16"))
    workers: int = option(1, "processes that read and augment")


@dataclass(frozen=True, kw_only=True)
class StageOptions(RunOptions):
    """What every stage script takes."""

    pretrain: str | int | None = option(
        None,
        "no: start afresh; N: go on from iteration N; without it: resume, else start from the previous stage",
        parse=parse_pretrain,
        metavar="no|N",
    )
    it: int = option(20, "iterations to train; one is a pass over the training rows, or --steps-per-it steps")
    lr: float | None = option(None, "learning rate (default from the preset)", parse=float)
    steps_per_it: int | None = option(None, "steps in one iteration (default from the preset)", parse=int)
    batch: int | None = option(None, "rows of the global batch (default from the preset)", parse=int)
    data: str | None = option(None, "folder or gs:// address with catalog and shards (default: data in the run's folder)", metavar="FOLDER")
    limit: int | None = option(None, "use only that many training rows", parse=int)
    from_scratch: bool = option(False, "start from random weights, with --pretrain no")
    accumulate: int = option(1, "parts that the global batch is cut into, one after the other, where memory holds no more")
    ema: float = option(0.0, "decay of averaged weights, which are then validated and saved; 0 for none")
    recompute: bool = option(False, "compute activations again in the backward pass: less memory, about a third more time")
    tensorboard: bool = tensorboard_option()

    def __post_init__(self):
        for name in ("it", "steps_per_it", "batch", "limit", "lr", "accumulate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BadConfig(f"--{name.replace('_', '-')} {value}: must be greater than 0")
        if not 0 <= self.ema < 1:
            raise BadConfig(f"--ema {self.ema:g}: from 0 (none) up to but not 1, such as 0.999")
        if self.from_scratch and self.pretrain != "no":
            raise BadConfig("--from-scratch goes with --pretrain no")
        check_curves(self.tensorboard)


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(StageOptions):
    """train/unet/encoder/train_encoder.py"""


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(StageOptions):
    """train/unet/autoencoder/train_autoencoder.py"""

    encoder: int | None = option(
        None, "with --pretrain no: iteration of the encoder to start from (default its best)", parse=int, metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class UNetOptions(StageOptions):
    """train/unet/finetune.py"""

    autoencoder: int | None = option(
        None,
        "with --pretrain no: iteration of the autoencoder to start from (default its best)",
        parse=int,
        metavar="N",
        aliases=("--auencoder",),
    )


@dataclass(frozen=True, kw_only=True)
class ResNetOptions(StageOptions):
    """train/resnet/train_resnet.py"""

    stage: str = option(
        "resnet", "patches: lesion against normal tissue; resnet: malignant against the rest", choices=("patches", "resnet")
    )
    weights: str | None = option(None, "file with weights to start from", metavar="FILE")
    unet: int | None = option(None, "iteration of the U-Net that finds the regions (default its best)", parse=int, metavar="N")


@dataclass(frozen=True, kw_only=True)
class HeldOutOptions(RunOptions):
    """What every script under eval/ takes."""

    data: str | None = option(
        None, "folder with catalog and shards, of a run that was trained on those of another machine", metavar="FOLDER"
    )
    force_touched: bool = option(False, "evaluate although the test set is not held out (see audit_split.py); the report says so")


@dataclass(frozen=True, kw_only=True)
class EvalOptions(HeldOutOptions):
    """eval/<stage>_eval.py"""

    iter: int | None = option(None, "iteration to evaluate (default the best)", parse=int, metavar="N")


@dataclass(frozen=True, kw_only=True)
class PipelineEvalOptions(HeldOutOptions):
    """eval/pipeline_eval.py"""

    iter: int | None = option(None, "iteration of both stages (default the best of each)", parse=int, metavar="N")
    unet: int | None = option(None, "iteration of the U-Net (default --iter)", parse=int, metavar="N")
    resnet: int | None = option(None, "iteration of the ResNet (default --iter)", parse=int, metavar="N")
    prevalence: float | None = option(None, "share of malignant exams at a site that the transfer card is to tell of too", parse=float)

    def __post_init__(self):
        check_prevalence(self.prevalence)


def parse_adapt(text: str) -> str:
    """A kind of adaptation. Raises BadConfig."""
    if text not in ADAPTATIONS:
        raise BadConfig(f"{text}: no such adaptation; there are {', '.join(ADAPTATIONS)}")
    return text


@dataclass(frozen=True, kw_only=True)
class ExternalEvalOptions:
    """eval/external_eval.py"""

    run: str = option("runs/default", "folder of the trained and evaluated run", metavar="FOLDER")
    source: tuple[str, ...] = option(
        (),
        "a data set that training had nothing of: its kind and the folder or archive it lies in; may be given several times",
        repeat=True,
        parse=str,
        metavar="NAME=PATH",
    )
    source_options: tuple[str, ...] = option(
        (), "of a source, see docs/data.md; may be given several times", flag="option", repeat=True, parse=str, metavar="NAME.OPTION=VALUE"
    )
    out: str | None = option(None, "folder for report and catalog (default external/<source names> in the run)", metavar="FOLDER")
    adapt: tuple[str, ...] = option(
        (),
        "without labels, beside the unchanged pipeline: intensity (grey values), norm (batch norm's statistics), recall (the cut); "
        "may be given several times",
        repeat=True,
        parse=parse_adapt,
        metavar="KIND",
    )
    limit: int | None = option(None, "look at some so many images only, whole patients, drawn by their ids", parse=int)
    spacing_mm: float | None = option(None, "millimetres per pixel of all images, in place of what source and files say", parse=float)
    accept: tuple[str, ...] = accept_option()
    key: str | None = option(None, "file that your patients' pseudonyms come from (default: the run's, where it has one)", metavar="FILE")
    force_touched: bool = option(False, "evaluate although training has seen some of it; the report says so")
    precision: str = option("auto", "arithmetic of the networks", choices=("auto", "float32", "bfloat16"))
    workers: int = option(1, "processes that read")

    def __post_init__(self):
        check_spacing(self.spacing_mm)
        if not self.source:
            raise BadConfig("nothing to look at: give --source NAME=PATH")
        if self.limit is not None and self.limit <= 0:
            raise BadConfig(f"--limit {self.limit}: must be greater than 0")


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """scripts/predict.py"""

    image: str = option(MISSING, "an image, or a folder of images", positional=True)
    run: str = option("runs/default", "folder of the trained run", metavar="FOLDER")
    out: str = option("findings", "folder for the findings", metavar="FOLDER")
    spacing_mm: float | None = option(None, "millimetres per pixel, in place of what the file says", parse=float)
    precision: str = option("auto", "arithmetic of the networks", choices=("auto", "float32", "bfloat16"))
    workers: int = option(1, "processes that read")
    policy: str | None = policy_option()
    accept: tuple[str, ...] = accept_option()
    adapt: str | None = option(
        None, "adaptation.json of a site, as eval/external_eval.py --adapt fits it; told in every findings file", metavar="FILE"
    )

    def __post_init__(self):
        check_spacing(self.spacing_mm)


def check_spacing(spacing_mm: float | None) -> None:
    """Raises BadConfig for what no image of a breast has."""
    if spacing_mm is not None and not SPACINGS_MM[0] <= spacing_mm <= SPACINGS_MM[1]:
        allowed = f"between {SPACINGS_MM[0]} and {SPACINGS_MM[1]} (50 micrometres are 0.05)"
        raise BadConfig(f"--spacing-mm {spacing_mm:g}: millimetres per pixel, {allowed}")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RunOptions):
    """train/train.sh"""

    run: str | None = option(None, "folder of the run (default runs/default, or runs/<source names>)", metavar="FOLDER")
    source: tuple[str, ...] = option(
        (),
        "a data set: its kind and the folder or archive it lies in; may be given several times",
        repeat=True,
        parse=str,
        metavar="NAME=PATH",
    )
    source_options: tuple[str, ...] = option(
        (), "of a source, see docs/data.md; may be given several times", flag="option", repeat=True, parse=str, metavar="NAME.OPTION=VALUE"
    )
    data: str | None = option(
        None, "in place of --source: folder or gs:// address with catalog and shards that are made already", metavar="FOLDER"
    )
    folds: int | None = option(None, "cross-validate by patient in that many folds", parse=int)
    seeds: int | None = option(
        None, "train that many times on the same data and split, from --seed upwards, and report how far the figures move", parse=int
    )
    leave_one_source_out: bool = option(False, "for each --source: train on the others, judge on it; one report on what is lost elsewhere")
    exams: int | None = option(None, "synthetic exams to make where no --source is given (default 60)", parse=int)
    rows: int | None = option(None, "rows of a synthetic image (default 768)", parse=int)
    steps_per_it: int | None = option(None, "steps in one iteration of every stage (default from the preset)", parse=int)
    it: int = option(20, "iterations of every stage")
    tensorboard: bool = tensorboard_option()
    no_pretraining: bool = option(False, "leave out encoder and autoencoder, to see what they bring")
    spacing_mm: float | None = option(None, "millimetres per pixel of all images, in place of what source and files say", parse=float)
    policy: str | None = policy_option()
    accept: tuple[str, ...] = accept_option()
    key: str | None = option(
        None, "file that your patients' pseudonyms come from (default: data/pseudonyms.key in the run)", metavar="FILE"
    )
    dry_run: bool = option(False, "say how long it would take, how much disk and memory; do nothing")

    def __post_init__(self):
        check_spacing(self.spacing_mm)
        check_curves(self.tensorboard)
        for name in ("it", "steps_per_it", "exams", "rows"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BadConfig(f"--{name.replace('_', '-')} {value}: must be greater than 0")
        if self.folds is not None and self.folds < 3:
            raise BadConfig(f"--folds {self.folds}: at least 3 (one to test on, one to choose by, one to train on)")
        if self.seeds is not None and self.seeds < 2:
            raise BadConfig(f"--seeds {self.seeds}: at least 2, 3 to say how far figures move; one run needs no flag")
        if self.seeds and self.folds:
            raise BadConfig("--seeds and --folds: one of them; for both, run --folds once per --seed, each in its own --run")
        if self.leave_one_source_out and (self.folds or self.seeds):
            raise BadConfig(
                f"--{'folds' if self.folds else 'seeds'} and --leave-one-source-out: one of them; leaving a source out needs no folds"
            )
