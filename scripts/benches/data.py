"""The data path against what is used elsewhere: each part in turn, one table of ratios.

    python scripts/bench.py data                                # all parts; some fetch other libraries first
    python scripts/bench.py data --part stream --samples 500    # one part with its own options
    python scripts/bench.py data_stream --help                  # the options of a part

The libraries that ours are compared with go into an environment of their own, on top of the running one; `--venv` keeps
it for the next time. A row says how many samples (files, images) a second ours and the other got through on the machine
at hand, and the ratio of the two, a median over turns that they took by turns: only the ratio counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np

from mammolibs.records import Sample

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("sample", "stored", "headers", "stream", "rivals")
# What only these comparisons need; none of it is a dependency of the library.
RIVALS = ("python-gdcm", "gcsfs", "imageio", "scikit-image", "webdataset")
# It asks for older numpy and google-cloud-storage than ours, and runs with these.
STREAMING = ("mosaicml-streaming==0.13.0",)
STREAMING_NEEDS = ("catalogue", "brotli", "python-snappy", "xxhash", "zstd", "filelock", "pandas", "boto3", "transformers<5")
BUCKET = "bench"
SIDE = 512


class Contract:
    """Stands in for the contract of `prepare`: these samples are drawn."""

    def hash(self) -> str:
        return "bench"

    def to_dict(self) -> dict:
        return {}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="only this part, which takes all other options")
    parser.add_argument("--quick", action="store_true", help="shows that all runs, measures nothing")
    parser.add_argument("--venv", type=Path, help="the environment of the other libraries, made where it is not there (default: for once)")
    options, others = parser.parse_known_args(arguments)
    if others and not options.part:
        parser.error(f"{others[0]}: name its --part")
    others += ["--quick"] if options.quick else []
    with tempfile.TemporaryDirectory() as folder:
        python = environment(options.venv or Path(folder) / "venv")
        for part in [options.part] if options.part else PARTS:
            # A process each: what one part imports and sets changes nothing in the next.
            subprocess.run([python, ROOT / "scripts" / "bench.py", f"data_{part}", *others], check=True)


def environment(folder: Path) -> Path:
    """The interpreter of an environment that has what the running one has, and the rivals."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        running = dict.fromkeys([str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        Path(sysconfig.get_path("purelib", vars={"base": str(folder)}), "running.pth").write_text("\n".join(running))
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *RIVALS, *STREAMING_NEEDS], check=True)
        subprocess.run([*install, "--no-deps", *STREAMING], check=True)
    return python


def print_head(words: str) -> None:
    """What was measured, and the names of the columns."""
    print(f"\n{words}\n{'part':<8}{'ours':<22}{'against':<34}{'ours/s':>9}{'theirs/s':>10}{'ratio':>8}{'target':>8}  reached", flush=True)


def print_row(part: str, ours: str, against: str, ours_rate: float, their_rate: float, ratio: float, target: float | None = None) -> None:
    """One comparison: rates a second, ratio above 1 where ours is better; target None where nothing was asked."""
    verdict = "" if target is None else "yes" if ratio >= target else "no"
    wanted = "" if target is None else f"{target:g}"
    print(f"{part:<8}{ours:<22}{against:<34}{ours_rate:>9.1f}{their_rate:>10.1f}{ratio:>8.2f}{wanted:>8}  {verdict}", flush=True)


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process, which a busy machine hardly changes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def samples(count: int, side: int = SIDE, whole: np.ndarray | None = None) -> Iterator[Sample]:
    """Crops of one uint16 image of 4 sides' height, by default mammogram-like in 12 bits, mostly inside the breast.

    An ellipse is the lesion's mask.
    """
    # Late, since the server's process reads this file too.
    from benches.decode import mammogram_like

    whole = mammogram_like(4 * side, 12) << 4 if whole is None else whole
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:side, :side]
    for number in range(count):
        top, left = rng.integers(side // 2, whole.shape[0] - 3 * side // 2), rng.integers(0, side // 2)
        centre, radii = rng.integers(side // 4, 3 * side // 4, 2), rng.integers(10, 60, 2)
        mask = (((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1).astype(np.uint8)
        yield Sample(
            image=np.ascontiguousarray(whole[top : top + side, left : left + side]), mask=mask, breast=(0, 0, side, side), placement=None,
            image_id=str(number), patient_id=str(number), exam_id=str(number), source="bench", laterality="L", view="CC",
            pathology="benign", label=0, has_lesion=1, split="train",
        )  # fmt: skip


@contextlib.contextmanager
def bucket() -> Iterator[Connection]:
    """A server of the bucket in a process of its own, where Google's library is led; the server's ear for `ask`."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    with ours:
        os.environ["STORAGE_EMULATOR_HOST"] = ours.recv()
        yield ours
    process.join()


def ask(server: Connection, delay_s: float | None = None) -> int:
    """How many requests there were; from now on they are answered so much later, where that is given."""
    server.send(delay_s)
    return server.recv()


def serve(ear: Connection) -> None:
    """Answer until the other end is closed. The tests' server knows what our library asks; what others ask beside it is added here."""
    sys.path.insert(0, str(ROOT))
    from tests.storage import gcs_server

    class Handler(gcs_server._Handler):
        """Tells of the bucket itself, and passes over what others add to a list's or an object's address."""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == f"/storage/v1/b/{BUCKET}":
                with self.gcs.lock:
                    self.gcs.counts["bucket"] += 1
                body = json.dumps({"kind": "storage#bucket", "name": BUCKET, "location": "EU", "projectNumber": "1"}).encode()
                return self._send(gcs_server.Answer(200, body, {"Content-Type": "application/json; charset=UTF-8"}))
            known = [(name, value) for name, value in parse_qsl(url.query) if name in gcs_server.PARAMETERS]
            self.path = f"{url.path}?{urlencode(known)}"
            return self._serve()

    with gcs_server.GcsServer(BUCKET) as server, contextlib.suppress(EOFError):
        server._http.RequestHandlerClass = type("Handler", (Handler,), {"gcs": server})
        # Clients that end without a word are no news.
        server._http.handle_error = lambda *_: None
        ear.send(server.url)
        while True:
            delay_s = ear.recv()
            server.delay_s = server.delay_s if delay_s is None else delay_s
            ear.send(server.counts.total())
