"""The same exposure under another name: found mirrored, inverted, turned, enhanced, rescaled, digitised again; others are not."""

import tarfile
import zipfile
from dataclasses import replace
from itertools import islice, permutations, product

import cv2
import numpy as np
import pytest

from mammolibs.catalog import Thumbnails, audit
from mammolibs.catalog.near_duplicates import LEAST_CORRELATION, LEAST_INLIERS, compare, find_near_duplicates, make_signature
from mammolibs.catalog.thumbnails import SIDE_PX, shrink
from mammolibs.catalog.verdict import POOL, in_words
from mammolibs.errors import BadFile
from mammolibs.imaging import read_mammogram
from mammolibs.phantom.exam_files import write_exam
from mammolibs.phantom.plan import plan_exam
from mammolibs.phantom.render import render
from mammolibs.phantom.traps import TRAPS
from tests.catalog.trees import REAL, row

ARCHIVE = REAL / "mias" / "images.tar.xz"
PIXELS = "near-duplicate pixels"
SHAPE = (480, 400)


def film(seed):
    """A half-ellipse of tissue with texture of several sizes; its film label is the same on all films. float32 in [0, 1]."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rng = np.random.default_rng(seed)
    texture = sum(s * cv2.GaussianBlur(rng.normal(size=SHAPE), (0, 0), s) for s in (2, 4, 8, 16))
    breast = ((x / 300) ** 2 + ((y - 240) / 200) ** 2 < 1) * np.clip(0.55 + 0.25 * texture, 0.15, 1)
    label = cv2.putText(np.zeros(SHAPE, np.uint8), "R CC 1234", (200, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 2)
    return np.maximum(breast, label / 255).astype(np.float32)


def warp(pixels, degrees=0.0, scale=1.0, shift=(0, 0), stretch=1.0):
    rows, columns = pixels.shape
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1.0)
    matrix[:, 2] += shift
    size = round(columns * scale * stretch), round(rows * scale)
    return cv2.resize(cv2.warpAffine(pixels, matrix, (columns, rows)), size, interpolation=cv2.INTER_AREA)


def clahe(pixels):
    return cv2.createCLAHE(3, (8, 8)).apply(np.rint(255 * pixels).astype(np.uint8)).astype(np.float32) / 255


def digitised(pixels):
    made = cv2.GaussianBlur(warp(pixels, 2, 0.8, (9, -6), 1.02) ** 0.7, (0, 0), 0.8)
    made = np.clip(0.9 * made + 0.05 + np.random.default_rng(0).normal(0, 0.01, made.shape), 0, 1)[6:-4, 3:]
    packed = cv2.imencode(".jpg", np.rint(255 * made).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255


CHANGES = {
    "mirrored": lambda p: p[:, ::-1],
    "upside down": lambda p: p[::-1],
    "turned by 90 degrees": lambda p: np.rot90(p),
    "turned by 8 degrees": lambda p: warp(p, 8),
    "a third of the size": lambda p: warp(p, scale=0.35),
    "enhanced": clahe,
    "digitised again": digitised,
    "mirrored, turned, enhanced": lambda p: clahe(warp(p[:, ::-1], -6, 0.7)),
    "inverted": lambda p: 1 - p,
    "inverted, mirrored, turned": lambda p: 1 - warp(p[:, ::-1], 5, 0.6),
}


@pytest.fixture(scope="module")
def films():
    return [film(seed) for seed in range(8)]


@pytest.fixture(scope="module")
def signatures(films):
    return [make_signature(shrink(pixels)) for pixels in films]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_others_and_nothing_else(films, signatures, change):
    queries = [make_signature(shrink(np.ascontiguousarray(CHANGES[change](pixels)))) for pixels in films[:3]]
    pairs = [(i, j) for i, j, _ in find_near_duplicates(queries, signatures)]
    assert pairs == [(0, 0), (1, 1), (2, 2)]


def test_other_films_with_the_same_label_and_outline_are_not_the_same(signatures):
    for a, b in permutations(signatures[:4], 2):
        for mirrored, inverted in product((False, True), repeat=2):
            assert not compare(a, b, mirrored=mirrored, inverted=inverted).same
    assert [(i, j) for i, j, _ in find_near_duplicates(signatures[:4], signatures[4:])] == []


def test_likeness_says_how_it_was_found(signatures, films):
    twin = make_signature(shrink(np.ascontiguousarray(films[0][:, ::-1])))
    likeness = compare(twin, signatures[0], mirrored=True)
    assert likeness.same and likeness.inliers > 5 * LEAST_INLIERS and likeness.correlation > 0.9 > LEAST_CORRELATION
    assert not compare(twin, signatures[0], mirrored=False).same
    negative = make_signature(shrink(1 - films[0]))
    for pair in ((negative, signatures[0]), (signatures[0], negative)):
        likeness = compare(*pair, mirrored=False, inverted=True)
        assert likeness.same and likeness.inverted and not compare(*pair, mirrored=False).same


def test_inverted_films_that_share_their_label_alone_are_not_the_same(signatures, films):
    negatives = [make_signature(shrink(1 - pixels)) for pixels in films[:3]]
    likeness = compare(negatives[0], signatures[1], mirrored=False, inverted=True)
    assert likeness.correlation < LEAST_CORRELATION
    assert [(i, j) for i, j, _ in find_near_duplicates(negatives, signatures[3:])] == []


def test_every_one_of_many_copies_is_named(signatures, films):
    changed = [make_signature(shrink(warp(films[0], degrees) ** gamma)) for degrees in (-6, -3, 3, 6) for gamma in (0.7, 1.0, 1.4)]
    base = [*changed[:6], signatures[1], *[signatures[0]] * 40, *changed[6:], signatures[2]]
    found = [j for _, j, _ in find_near_duplicates([make_signature(shrink(clahe(films[0])))], base)]
    assert sorted(found) == [j for j in range(len(base)) if j not in (6, len(base) - 1)]


def test_an_image_with_nothing_in_it_has_no_features():
    assert len(make_signature(np.zeros((SIDE_PX, 200), np.uint8)).features) == 0
    assert len(make_signature(shrink(np.zeros((3, 2)))).features) == 0


def write(path, pixels):
    cv2.imwrite(str(path), np.rint(255 * pixels).astype(np.uint8))
    return str(path)


@pytest.fixture
def rows(tmp_path, films):
    return [
        replace(row(f"p{n}", split="train" if n < 2 else "test"), path=write(tmp_path / f"{n}.png", pixels))
        for n, pixels in enumerate(films[:4])
    ]


def test_the_audit_names_the_pair_and_where_its_images_lie(rows, tmp_path, films):
    thumbnails = Thumbnails(tmp_path / "kept")
    assert audit(rows, thumbnails=thumbnails).leaks[PIXELS] == ()
    twin = replace(row("twin", split="test"), path=write(tmp_path / "twin.png", films[1][:, ::-1]))
    [pair] = audit([*rows, twin], thumbnails=thumbnails).leaks[PIXELS]
    assert pair.name == "test-p1-1 and test-twin-1" and pair.splits == ("train", "test") and "mirrored" in pair.detail
    # Within one part a twin is no leak.
    assert audit([*rows, replace(twin, split="train")], thumbnails=thumbnails).leaks[PIXELS] == ()


def test_a_pool_is_compared_with_the_test_set_alone(rows, tmp_path, films):
    pool = [replace(row(f"twin{n}"), path=write(tmp_path / f"twin{n}.png", clahe(films[n]))) for n in (1, 3)]
    [pair] = audit(rows, pool=pool, thumbnails=Thumbnails()).leaks[PIXELS]
    assert set(pair.name.split(" and ")) == {"test-p3-1", "test-twin3-1"} and set(pair.splits) == {"test", POOL}


def test_what_cannot_be_looked_at_is_counted_and_named_and_the_rest_is_compared(rows, tmp_path, films):
    (tmp_path / "3.png").write_bytes(b"no image")
    twin = replace(row("twin", split="test"), path=write(tmp_path / "twin.png", films[1]))
    black = replace(row("black", split="test"), path=write(tmp_path / "black.png", 0 * films[1]))
    gone = replace(row("gone", split="test"), path=str(tmp_path / "gone.png"))
    verdict = audit([*rows, twin, black, gone, replace(row("none", split="test"), path="")], thumbnails=Thumbnails())
    assert len(verdict.leaks[PIXELS]) == 1
    assert verdict.unchecked[PIXELS].startswith("4 of 8 images cannot be looked at, first test-black-1 (shows too little)")
    none = audit([replace(r, path="") for r in rows], thumbnails=Thumbnails())
    assert PIXELS not in none.leaks and "none of 4" in none.unchecked[PIXELS]


def test_pixels_are_looked_at_only_where_two_parts_were_compared_and_all_only_where_no_image_is_left_out(rows, tmp_path):
    assert in_words(audit(rows, thumbnails=Thumbnails()).short()) == "clean, by ids and pixels"
    gone = replace(row("gone", split="test"), path=str(tmp_path / "gone.png"))
    assert in_words(audit([*rows, gone], thumbnails=Thumbnails()).short()) == "clean, by ids and some pixels"
    verdict = audit([*rows[:2], gone], thumbnails=Thumbnails())
    assert PIXELS not in verdict.leaks and in_words(verdict.short()) == "clean, by ids"
    assert verdict.unchecked[PIXELS].startswith("no two parts could be compared: 1 of 3 images cannot be looked at, first test-gone-1")
    # Training and pool may share all they have.
    pooled = audit([*rows[:2], gone], pool=[replace(rows[2], split="")], thumbnails=Thumbnails())
    assert PIXELS not in pooled.leaks


def test_thumbnails_are_kept_until_their_image_changes(rows, tmp_path):
    thumbnails = Thumbnails(tmp_path / "kept")
    first = {r.image_id: t for r, t in thumbnails.read(rows)}
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) == 4 and all(max(t.shape) == SIDE_PX and t.dtype == np.uint8 for t in first.values())
    cv2.imwrite(str(kept[0]), np.full((SIDE_PX, 10), 7, np.uint8))
    again = {r.image_id: t for r, t in thumbnails.read(rows)}
    assert sum(t.shape[1] == 10 for t in again.values()) == 1, "the kept picture was not taken"
    kept[1].write_bytes(b"half")
    write(tmp_path / "0.png", np.zeros((20, 10)))
    third = {r.image_id: t for r, t in thumbnails.read(rows)}
    assert third["test-p0-1"].shape == (SIDE_PX, SIDE_PX // 2) and len(third) == 4
    (tmp_path / "0.png").unlink()
    assert isinstance(dict((r.image_id, t) for r, t in thumbnails.read(rows))["test-p0-1"], BadFile)


@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"{ARCHIVE} is not there")
def test_on_real_films_the_other_breast_is_not_the_same_and_a_copy_is():
    with tarfile.open(ARCHIVE) as archive:
        members = islice((m for m in archive if m.name.endswith(".pgm")), 10)
        data = {int(m.name[-7:-4]): np.frombuffer(archive.extractfile(m).read(), np.uint8) for m in members}
    films = {number: cv2.imdecode(bytes_, cv2.IMREAD_GRAYSCALE) / np.float32(255) for number, bytes_ in data.items()}
    signatures = {n: make_signature(shrink(pixels)) for n, pixels in films.items()}
    pairs = [(n, n + 1) for n in films if n % 2 and n + 1 in films]
    assert len(pairs) >= 4
    for right, left in pairs:
        assert not any(compare(signatures[right], signatures[left], mirrored=m).same for m in (False, True))
    some = list(films.values())[:3]
    for changed in ([digitised(np.ascontiguousarray(pixels[:, ::-1])) for pixels in some], [1 - pixels for pixels in some]):
        queries = [make_signature(shrink(pixels)) for pixels in changed]
        assert [(i, j) for i, j, _ in find_near_duplicates(queries, list(signatures.values()))] == [(i, i) for i in range(3)]


def test_a_picture_of_an_archives_image_is_made_anew_where_the_archive_is_another(tmp_path, films):
    def packed(pixels):
        with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
            archive.writestr("a.pgm", b"P5 64 64 255\n" + np.rint(255 * pixels[:64, :64]).astype(np.uint8).tobytes())

    inside = replace(row("p0", split="test"), path=f"zip://{tmp_path}/films.zip/a.pgm")
    pictures = []
    for pixels in (np.tile(np.linspace(0, 1, 64), (64, 1)), np.tile(np.linspace(1, 0, 64), (64, 1))):
        packed(pixels)
        pictures += [answer for _, answer in Thumbnails(tmp_path / "kept").read([inside])]
    assert (pictures[0] != pictures[1]).any()
    (tmp_path / "films.zip").unlink()
    [(_, gone)] = Thumbnails(tmp_path / "kept").read([inside])
    assert str(gone).endswith("films.zip/a.pgm: is not there; restore it, or build the catalog again")


def test_implants_of_one_size_do_not_make_two_women_one(tmp_path):
    """Exams 14 and 29 of the default phantoms: skin line, muscle and implant lie alike, the tissue does not."""
    found = []
    for number, name in ((13, "E0014/E0014_R_MLO"), (28, "E0029/E0029_L_MLO")):
        exam = plan_exam(0, number, traps=tuple(TRAPS))
        write_exam(tmp_path, exam, lambda image, exam=exam: render(exam, image, 768))
        found.append(make_signature(shrink(read_mammogram(tmp_path / "images" / f"{name}.dcm").pixels)))
    likeness = compare(*found, mirrored=True)
    assert likeness.inliers > 10 and not likeness.same
