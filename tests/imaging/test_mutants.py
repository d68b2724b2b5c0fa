"""At least 2,000 mutated DICOM files: 0 deaths, 0 hangs, only our own error types."""

from collections import Counter

from mammolibs.imaging.pool import map_files
from tests.imaging.mutants import originals, read_mutant

COUNT = 2400


def test_mutated_files_never_kill_hang_or_surprise():
    answers = dict(map_files(read_mutant, range(COUNT), workers=2, timeout_s=20, memory_bytes=6 << 30))
    counts = Counter(a if a in ("read", "refused") else "fault" for a in answers.values())
    faults = {number: answer for number, answer in answers.items() if answer not in ("read", "refused")}
    assert not faults, f"{len(faults)} of {COUNT}: {list(faults.items())[:3]}"
    # Both outcomes are common, or the mutations would prove nothing.
    assert counts["read"] > COUNT // 10 and counts["refused"] > COUNT // 4
    assert COUNT * (len(originals()) - 3) // len(originals()) >= 2000
