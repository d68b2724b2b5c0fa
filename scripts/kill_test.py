"""Kill a training run again and again, at random moments and inside saves, and see whether it ends in the same bits.

    python scripts/kill_test.py --kills 100

A real stage is trained on synthetic mammograms: once without disturbance, then again and again with
SIGKILL at random moments, for half of the kills inside the writing of a state. After every fourth kill
one byte of the newest state is flipped too. Each time the same command goes on from the newest
state that can be read. Whenever a run has come to its end, all that it leaves is compared with the
undisturbed one: weights of every kept iteration to the bit, history without its clock columns.
Exit code 1 where anything differs or a run cannot go on.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from mammolibs.pipeline.cli import option, run_script

CLOCK = ("seconds", "wait_share")
FLIP_EVERY = 4


@dataclass(frozen=True, kw_only=True)
class KillOptions:
    kills: int = option(100, "how often")
    stage: str = option("unet", "which stage", choices=("encoder", "autoencoder", "unet"))
    it: int = option(4, "iterations of the run")
    steps_per_it: int = option(6, "steps in one iteration")
    batch: int = option(4, "rows of the global batch")
    seed: int = option(0, "of the moments")


def main(options: KillOptions) -> int:
    # Imported once, here, so that kills fall into the run and not into the import of torch by each child.
    import mammolibs.pipeline.train_stage  # noqa: F401

    with tempfile.TemporaryDirectory(prefix="mammolibs-kill-") as folder:
        run = Path(folder) / "run"
        finish(fork(lambda: make_data(run)), "making the data")
        began = time.perf_counter()
        finish(fork(lambda: train(run, options)), "the undisturbed run")
        seconds = time.perf_counter() - began
        expected = remains(run / options.stage)
        print(f"Undisturbed: {options.it * options.steps_per_it} steps in {seconds:.1f} s, a state after each", flush=True)
        return disturb(run, options, expected, seconds)


def disturb(run: Path, options: KillOptions, expected: dict[str, str], seconds: float) -> int:
    """Kill, go on, compare, until there were kills enough. Returns the exit code."""
    moments = random.Random(options.seed)
    counts = dict.fromkeys(("kills", "in saves", "flipped", "runs", "different"), 0)
    shutil.rmtree(run / options.stage)
    with tqdm(total=options.kills, unit="kill", mininterval=0.5 if sys.stderr.isatty() else 30) as bar:
        while counts["kills"] < options.kills or (run / options.stage).is_dir():
            last = counts["kills"] >= options.kills
            in_save = None if last or moments.random() < 0.5 else moments.randrange(1, options.it * options.steps_per_it // 2)
            child = fork(lambda in_save=in_save: train(run, options, in_save))
            killed = wait(child, float("inf") if last or in_save else moments.uniform(0, seconds / 2))
            if killed:
                counts["kills"] += 1
                counts["in saves"] += in_save is not None
                bar.update(1)
                if counts["kills"] % FLIP_EVERY == 0:
                    counts["flipped"] += flip_newest(run / options.stage)
                continue
            counts["runs"] += 1
            found = remains(run / options.stage)
            if found != expected:
                counts["different"] += 1
                bar.write(f"differs: {', '.join(sorted(name for name in found | expected if found.get(name) != expected.get(name)))}")
            shutil.rmtree(run / options.stage)
    print(json.dumps(counts))
    print(f"{counts['kills']} kills over {counts['runs']} runs; {counts['runs'] - counts['different']} of them ended in the same bits")
    return int(counts["different"] > 0 or counts["runs"] == 0)


def make_data(run: Path) -> None:
    """A few synthetic exams as shards."""
    from mammolibs.pipeline.chain import make_default_phantoms
    from mammolibs.pipeline.data import make_data, open_run
    from mammolibs.pipeline.options import TrainOptions

    options = TrainOptions(run=str(run), preset="cpu", exams=12, rows=512, workers=0)
    sources = [("phantom", str(make_default_phantoms(run, options)))]
    make_data(open_run(run, options, sources), options, sources)


def train(run: Path, options: KillOptions, kill_in_save: int | None = None) -> None:
    """The stage's own script, with a state after every step; killed inside the writing of state number kill_in_save."""
    import torch

    import mammolibs.pipeline.train_stage as script
    from mammolibs.pipeline.chain import OPTIONS

    torch.set_num_threads(1)
    usual = script.fit_options
    script.fit_options = lambda *given: replace(usual(*given), log_every=1, save_seconds=0)
    if kill_in_save:
        die_in_save(kill_in_save)
    sizes = {"it": options.it, "steps_per_it": options.steps_per_it, "batch": options.batch, "workers": 0, "ema": 0.9}
    begun = any((run / options.stage / "state").glob("[0-9]*.pt"))
    fresh = {} if begun else {"pretrain": "no", "from_scratch": True}
    script.train_stage(options.stage, OPTIONS[options.stage](run=str(run), **sizes, **fresh))


def die_in_save(number: int) -> None:
    """SIGKILL in the middle of writing the number-th state, or just before it gets its name."""
    import mammolibs.storage.store as store

    really, saves = store.os.fsync, iter(range(1, 10**6))

    def fsync(handle: int) -> None:
        name = os.readlink(f"/proc/self/fd/{handle}")
        if name.rsplit("/", 2)[-2] == "state" and next(saves) == number:
            if number % 2:
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        really(handle)

    store.os.fsync = fsync


def remains(folder: Path) -> dict[str, str]:
    """Fingerprints of what a run leaves that must not depend on its kills."""
    from mammolibs.engine import read_history

    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("model_iter_*.safetensors"))}
    rows = [{name: value for name, value in row.items() if name not in CLOCK} for row in read_history(folder)]
    return found | {"best.json": (folder / "best.json").read_text(), "history.csv": json.dumps(rows)}


def flip_newest(folder: Path) -> bool:
    """Change one byte of the newest state where there is an older one to fall back on."""
    from mammolibs.engine.checkpoint import list_states, newest_state

    states = list_states(folder)
    if len(states) < 2:
        return False
    whole = states[-1].read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 3] ^= 1
    states[-1].write_bytes(flipped)
    if newest_state(folder) is None:
        states[-1].write_bytes(whole)
        return False
    return True


def fork(work) -> int:
    """A child that does the work, quietly, and ends with 0; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        work()
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(3)


def wait(child: int, seconds: float) -> bool:
    """Wait for the child, at most so long, then kill it. True where it was killed. Raises SystemExit where it failed."""
    end = time.monotonic() + seconds
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.005)
    if os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) == signal.SIGKILL:
        return True
    if os.waitstatus_to_exitcode(ended[1]):
        raise SystemExit("a run could not go on after a kill; what it said stands above")
    return False


def finish(child: int, what: str) -> None:
    """Wait for a child that nobody kills."""
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit(f"{what} failed; what it said stands above")


if __name__ == "__main__":
    run_script(main, KillOptions, __doc__)
