"""One stage of one run, from flags to weights: what every script under train/ calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mammolibs.augment import Augment
from mammolibs.catalog import read_catalog, split_hash
from mammolibs.catalog.seen import join_packed, pack_patients
from mammolibs.catalog.verdict import short_verdict
from mammolibs.engine import FitOptions, FitResult, Start, fit, progress
from mammolibs.errors import BadConfig
from mammolibs.models.weights import read_card
from mammolibs.pipeline.facts import last_part
from mammolibs.pipeline.inputs import write_inputs
from mammolibs.pipeline.options import StageOptions
from mammolibs.pipeline.parents import card_fields, heritage, norm_of, noted_heritage, own_patients, parent_weights, starter, whom_they_saw
from mammolibs.pipeline.patches import SHARDS, make_patches, unet_hash
from mammolibs.pipeline.provenance import versions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import check_split, from_elsewhere, split_verdict, touched
from mammolibs.records import ImageRow, RunCard
from mammolibs.runtime import Runtime, check_batch, get_runtime
from mammolibs.stages import AutoencoderStage, EncoderStage, PatchStage, UNetStage
from mammolibs.stream import Stream

# How often rows come in a pass: lesions are rare on screening images, malignant ones rarer.
REPEATS = {"unet": {"lesion": 3}, "resnet": {"malignant": 2}}
VALIDATION_BATCH = 8
# Iterations without a better validation figure after which a leg ends; the default leg is never cut short.
PATIENCE = 20
# Weights are not written again when they are evaluated, so a card says where to look.
OPERATING_POINTS = (
    "operating.json in the run's folder once it is evaluated: thresholds and calibrations from validation patients, for the sha256 it names"
)


def train_stage(name: str, options: StageOptions) -> FitResult:
    """Train a stage as the flags say; its weights and history lie in its folder afterwards."""
    runtime = get_runtime(precision=options.precision, seed=options.seed or 0)
    run = Run.open(options.run, preset_name=options.preset, seed=options.seed, data=options.data)
    check_batch(global_batch(run, name, options), runtime, options.accumulate)
    weights = first_weights(run, name, options)
    rows = read_catalog(run.catalog)
    check_split(run, {row.image_id: row for row in rows})
    if runtime.is_main and (found := touched(run, rows, {})):
        print(f"{run.data}: its test set is not held out: {'; '.join(found)}; evaluation will refuse it unless forced", flush=True)
    start = choose_start(run, name, options, weights)
    if start.mode == "fresh":
        run = note_start(run, rows, name, weights, options)
    stage = make_stage(name, run)
    if name in SHARDS:
        make_patches(run, name, runtime, unet=getattr(options, "unet", None), workers=options.workers)
    train, validation = open_streams(run, stage, options, runtime)
    if runtime.is_main:
        print(f"What the network sees: {write_inputs(run, stage, train, first_step(run, name, start))}", flush=True)
    return fit(
        stage,
        runtime,
        train=train,
        validate=lambda model: validated(stage, model, validation, runtime),
        folder=run.stage(name),
        card=make_card(run, rows, stage, train, options),
        options=fit_options(run, name, options),
        start=start,
        backup=run.send,
    )


def validated(stage: Any, model: Any, stream: Stream, runtime: Runtime) -> dict[str, float]:
    """The stage's figures on a whole stream, in the precision of the run."""
    with runtime.autocast():
        return stage.validate(model, stream.batches(), runtime)


def note_start(run: Run, rows: Sequence[ImageRow], name: str, weights: Path | None, options: StageOptions) -> Run:
    """The run, remembering what a stage starts from: sha256 of its parents, the norm that their weights want, whom they have seen."""
    card = read_card(weights.with_suffix(".json")) if weights else None
    elsewhere = weights.name if weights and from_elsewhere(run, weights) else None
    brought = heritage(weights, rows)
    if elsewhere:
        print(whom_they_saw(weights, brought, rows), flush=True)
    parents = {card.stage: card.weights_sha256} if card else {}
    if name == "resnet":
        parents["unet"] = unet_hash(run, options.unet)
    norm = norm_of(weights) if weights else None
    notes = {"parents": parents, "norm": norm, "elsewhere": elsewhere, "heritage": brought or None}
    return run.remember(**{name: {key: value for key, value in notes.items() if value is not None}})


def make_stage(name: str, run: Run) -> Any:
    """The stage with the sizes of the run's preset, or with the norm that its first weights wanted."""
    sizes = {"width": run.preset.width, "depth": run.preset.depth, "norm": run.preset.norm, "shuffle": run.preset.shuffle}
    if name == "encoder":
        return EncoderStage(**sizes)
    if name == "autoencoder":
        return AutoencoderStage(**sizes)
    if name == "unet":
        return UNetStage(**sizes)
    return PatchStage(name=name, norm=run.settings.notes.get(name, {}).get("norm", run.preset.patch_norm))


def first_weights(run: Run, name: str, options: StageOptions) -> Path | None:
    """The file that a fresh start begins with: `--weights`, else the previous stage's best or named iteration; None for none."""
    named = next((n for n in (getattr(options, flag, None) for flag in ("encoder", "autoencoder")) if n is not None), None)
    given = getattr(options, "weights", None)
    if named is not None and options.pretrain != "no":
        raise BadConfig(f"iteration {named} of the previous stage: goes with --pretrain no")
    if options.from_scratch and (given or named is not None):
        raise BadConfig("--from-scratch starts from nothing; leave out the weights or iteration to start from")
    if given and (isinstance(options.pretrain, int) or is_unfinished(run, name, options)):
        raise BadConfig(f"--weights {given}: goes with a fresh start; add --pretrain no")
    if given:
        return Path(given)
    if options.from_scratch or isinstance(options.pretrain, int) or is_unfinished(run, name, options):
        return None
    return parent_weights(run, name, named)


def is_unfinished(run: Run, name: str, options: StageOptions) -> bool:
    """True where the flags ask to go on with a run of the stage that was interrupted."""
    standing = progress(run.stage(name))
    return options.pretrain is None and standing is not None and not standing.finished


def first_step(run: Run, name: str, start: Start) -> int:
    """The step that training goes on with; 0 for a new run and where only weights are left of an iteration."""
    standing = progress(run.stage(name)) if start.mode != "fresh" else None
    return standing.step if standing else 0


def choose_start(run: Run, name: str, options: StageOptions, weights: Path | None) -> Start:
    """What `--pretrain` asks for."""
    if isinstance(options.pretrain, int):
        return Start.from_iteration(options.pretrain)
    if is_unfinished(run, name, options):
        return Start.resume()
    return Start.fresh(starter(name, weights))


def open_streams(run: Run, stage: Any, options: StageOptions, runtime: Runtime) -> tuple[Stream, Stream]:
    """Training rows, shuffled and augmented, and validation rows as they are (with the views that the stage needs)."""
    kind = SHARDS.get(stage.name, "shards")
    common = {"seed": run.settings.seed, "views": stage.views, "hosts": runtime.hosts, "host": runtime.host}
    train = Stream(
        run.shards("train", kind),
        global_batch=global_batch(run, stage.name, options),
        repeats=REPEATS.get(stage.name),
        augment=Augment(),
        workers=options.workers,
        limit=options.limit,
        **common,
    )
    validation = Stream(
        run.shards("validation", kind),
        global_batch=VALIDATION_BATCH * runtime.world,
        mode="evaluate",
        augment=Augment() if stage.views == "two" else None,
        **common,
    )
    for stream in (train, validation):
        if stream.contract_hash != run.contract.hash():
            raise BadConfig(
                f"{run.data}: its shards were made under another contract than the run {run.folder}; make them again, or take another --run"
            )
    return train, validation


def global_batch(run: Run, name: str, options: StageOptions) -> int:
    """The flag's, else the preset's."""
    return options.batch or run.preset.stages[name].batch


def fit_options(run: Run, name: str, options: StageOptions) -> FitOptions:
    """One leg as flags and preset say."""
    sizes = run.preset.stages[name]
    return FitOptions(
        iterations=options.it,
        steps_per_iteration=options.steps_per_it or sizes.steps_per_it,
        learning_rate=options.lr or sizes.learning_rate,
        patience=PATIENCE,
        seed=run.settings.seed,
        ema=options.ema,
        accumulate=options.accumulate,
        recompute=options.recompute,
        tensorboard=options.tensorboard,
    )


def make_card(run: Run, rows: Sequence[ImageRow], stage: Any, train: Stream, options: StageOptions) -> RunCard:
    """The card as far as it is known before training; the engine fills in iteration, steps and figures."""
    notes = run.settings.notes.get(stage.name, {})
    audit = short_verdict(split_verdict(run, rows), split_hash(rows))
    # Shards may hold patients whom the catalog lacks.
    own = join_packed(own_patients(rows), pack_patients(train.index.text["patient_id"]))
    return RunCard(
        stage=stage.name,
        iteration=0,
        steps=0,
        architecture=stage.build().architecture,
        contract=run.settings.contract,
        contract_hash=run.contract.hash(),
        data_hash=train.data_hash[:16],
        split_hash=split_hash(rows),
        seed=run.settings.seed,
        options={name: last_part(value) if isinstance(value, str) else value for name, value in asdict(options).items()}
        | {"global_batch": train.global_batch},
        parents=notes.get("parents", {}),
        versions=versions(),
        data_licences=tuple(sorted({row.licence for row in rows if row.licence})),
        data_truth=tuple(sorted({row.truth for row in rows})),
        operating_points=OPERATING_POINTS if stage.name in ("unet", "resnet") else "",
        **card_fields(own, audit, noted_heritage(notes)),
    )
