"""Images that show the same exposure under different names: mirrored, inverted, turned, enhanced, rescaled, digitised again.

Three steps, each on thumbnails whose local contrast is made even, so that brightness
curves and CLAHE change little. (1) SIFT features (Lowe 2004; root-normalised after
Arandjelovic and Zisserman 2012), which know of no shift, turn or scale; a mirrored image
is searched for by mirroring the descriptor, one in inverted grey by turning it round. (2) Candidates: every feature of an image
votes for the images that its nearest neighbours, looked up among words (an inverted
file), come from. (3) A candidate is kept where its features agree on one similarity
transform and the tissue, laid over the other by it, correlates.

The third step is why film labels, rulers and markers, which many films share, are no
near-duplicates: they agree in their features and the tissue does not.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

MOST_FEATURES = 200
# A pair is the same exposure from here on. Of the 9,900 pairs of 100 films of MIAS 41 have 10 inliers or more (film labels),
# and the highest correlation among those is 0.54; of 100 films that were digitised again none is missed, nor has one
# fewer than 40. Two women with an implant of one size came to 11 with a correlation of 0.71, by the implant's outline.
LEAST_INLIERS = 15
LEAST_CORRELATION = 0.65
_LEAST_OVERLAP = 0.4
_LEAST_TISSUE_PX = 300
_SMALLEST_SCALE = 0.5
_MOST_STRETCH = 1.15
_REPROJECTION_PX = 4.0
_SAME_FEATURE = 0.9
_FINE_PX, _COARSE_PX = 1.2, 10.0
_LEVELS = 255.0
_PER_WORD = 500
_PROBES = 3
_NEIGHBOURS = 4
# So many candidates in a row that are none end the search for copies of an image.
_MISSES = 5
_QUERIES_AT_A_TIME = 250
# Mirrored or not, inverted or not: how an image is held against others.
_VARIANTS = ((False, False), (True, False), (False, True), (True, True))


@dataclass(frozen=True, eq=False)
class Signature:
    """What an image is known by. thumbnail: uint8 H W. points: float32 K 2, x and y. features: uint8 K 128, root-SIFT times 255."""

    thumbnail: np.ndarray
    points: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Likeness:
    """How far two images are the same: features that agree on one place, correlation of the tissue there; how they were compared."""

    inliers: int
    correlation: float
    mirrored: bool
    inverted: bool = False

    @property
    def same(self) -> bool:
        return self.inliers >= LEAST_INLIERS and self.correlation >= LEAST_CORRELATION


def make_signature(thumbnail: np.ndarray) -> Signature:
    """The signature of a thumbnail (uint8 H W, square root of brightness). One with little to see has few features."""
    drawn = np.rint((even_contrast(thumbnail) + 3) * 42.5).astype(np.uint8)
    sift = cv2.SIFT_create(nfeatures=MOST_FEATURES, contrastThreshold=0.01, edgeThreshold=15)
    found, features = sift.detectAndCompute(drawn, None)
    if features is None:
        return Signature(thumbnail, np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
    # SIFT hands back a few more where several share a rank.
    best = np.argsort([-point.response for point in found], kind="stable")[:MOST_FEATURES]
    roots = np.sqrt(features[best] / np.maximum(features[best].sum(1, keepdims=True), 1e-9))
    points = np.array([found[i].pt for i in best], np.float32)
    return Signature(thumbnail, points, np.rint(_LEVELS * roots).astype(np.uint8))


def even_contrast(thumbnail: np.ndarray) -> np.ndarray:
    """Detail between `_FINE_PX` and `_COARSE_PX` in units of its local strength: float32 H W in [-3, 3]."""
    values = thumbnail.astype(np.float32) / _LEVELS
    detail = _blur(values, _FINE_PX) - _blur(values, _COARSE_PX)
    strength = np.sqrt(np.maximum(_blur(detail * detail, 1.3 * _COARSE_PX), 0))
    # The floor keeps grain in air from being drawn as loud as tissue.
    return np.clip(detail / (strength + 0.6 * strength.mean() + 0.004), -3, 3)


def compare(a: Signature, b: Signature, *, mirrored: bool, inverted: bool = False) -> Likeness:
    """How alike two images are, the first taken mirrored or as it is. inverted: what is bright in one of them is dark in the other."""
    features, points = _varied(a.features, mirrored, inverted), a.points * np.float32([-1, 1]) if mirrored else a.points
    nothing = Likeness(0, 0.0, mirrored, inverted)
    if min(len(features), len(b.features)) < LEAST_INLIERS:
        return nothing
    likeness = _as_float(features) @ _as_float(b.features).T
    nearest, back = likeness.argmax(1), likeness.argmax(0)
    index = np.arange(len(nearest))
    agreed = (back[nearest] == index) & (likeness[index, nearest] > _SAME_FEATURE)
    if agreed.sum() < LEAST_INLIERS:
        return nothing
    start, end = points[agreed], b.points[nearest[agreed]]
    cv2.setRNGSeed(0)
    matrix, inside = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=_REPROJECTION_PX, maxIters=1000)
    if matrix is None or not _SMALLEST_SCALE < np.hypot(matrix[0, 0], matrix[1, 0]) < 1 / _SMALLEST_SCALE:
        return nothing
    inside = inside.ravel() > 0
    inliers = int(inside.sum())
    if inliers < LEAST_INLIERS:
        return Likeness(inliers, 0.0, mirrored, inverted)
    matrix = _refine(matrix, start[inside], end[inside])
    correlation = _correlation(a, b, matrix @ np.diag([-1.0, 1, 1]) if mirrored else matrix, inverted)
    return Likeness(inliers, correlation, mirrored, inverted)


def find_near_duplicates(queries: Sequence[Signature], base: Sequence[Signature]) -> Iterator[tuple[int, int, Likeness]]:
    """(query, image of the base, likeness) of every pair that is the same exposure, however many copies of one lie in the base.

    Candidates are compared in the order of their votes until `_MISSES` in a row are none.
    """
    places: dict[bytes, list[int]] = defaultdict(list)
    for number, signature in enumerate(base):
        # Equal pictures would take each other's votes: an image has but a few nearest neighbours.
        places[hashlib.sha256(signature.thumbnail.tobytes()).digest()].append(number)
    equal = list(places.values())
    distinct = [base[numbers[0]] for numbers in equal]
    index = _Words(distinct)
    for first in range(0, len(queries), _QUERIES_AT_A_TIME):
        part = queries[first : first + _QUERIES_AT_A_TIME]
        votes = np.stack([index.votes([_varied(s.features, *variant) for s in part]) for variant in _VARIANTS])
        for number, query in enumerate(part):
            for place, likeness in _copies(query, distinct, votes[:, number]):
                for other in equal[place]:
                    yield first + number, other, likeness


def _copies(query: Signature, base: Sequence[Signature], votes: np.ndarray) -> Iterator[tuple[int, Likeness]]:
    """votes: variants x images of the base."""
    best, misses = votes.max(0), 0
    for place in np.argsort(-best, kind="stable"):
        if best[place] <= 0 or misses == _MISSES:
            return
        mirrored, inverted = _VARIANTS[votes[:, place].argmax()]
        likeness = compare(query, base[place], mirrored=mirrored, inverted=inverted)
        misses = 0 if likeness.same else misses + 1
        if likeness.same:
            yield int(place), likeness


class _Words:
    """Features of many images sorted by their nearest word, so that a feature is compared with few of them.

    The words are features drawn from the images themselves: one per `_PER_WORD`.
    """

    def __init__(self, images: Sequence[Signature]):
        self.images = len(images)
        features = np.concatenate([image.features for image in images])
        owners = np.repeat(np.arange(len(images)), [len(image.features) for image in images])
        count = max(1, len(features) // _PER_WORD)
        drawn = np.random.default_rng(0).choice(len(features), min(count, len(features)), replace=False)
        self._words = _as_float(features[drawn])
        word = self._nearest(features, 1)[:, 0]
        order = np.argsort(word, kind="stable")
        self._features, self._owners = features[order], owners[order]
        self._ends = np.searchsorted(word[order], np.arange(len(self._words) + 1))

    def votes(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """float32, queries x images of the base: how strongly the features of each query point at each image."""
        features = np.concatenate(images)
        owners = np.repeat(np.arange(len(images)), [len(part) for part in images])
        votes = np.zeros((len(images), self.images), np.float32)
        words = self._nearest(features, min(_PROBES, len(self._words)))
        asked = np.repeat(np.arange(len(features)), words.shape[1])[order := np.argsort(words.ravel(), kind="stable")]
        ends = np.searchsorted(words.ravel()[order], np.arange(len(self._words) + 1))
        for word in range(len(self._words)):
            here, there = asked[ends[word] : ends[word + 1]], slice(self._ends[word], self._ends[word + 1])
            if not len(here) or there.start == there.stop:
                continue
            likeness = _as_float(features[here]) @ _as_float(self._features[there]).T
            count = min(_NEIGHBOURS, likeness.shape[1])
            best = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
            weights = np.maximum(np.take_along_axis(likeness, best, 1) - _SAME_FEATURE, 0)
            np.add.at(votes, (np.repeat(owners[here], count), self._owners[there][best].ravel()), weights.ravel())
        return votes

    def _nearest(self, features: np.ndarray, count: int) -> np.ndarray:
        """The `count` nearest words of each feature: integers K count."""
        found = [np.zeros((0, count), np.int64)]
        for first in range(0, len(features), 20_000):
            likeness = _as_float(features[first : first + 20_000]) @ self._words.T
            found.append(np.argpartition(-likeness, count - 1, axis=1)[:, :count])
        return np.concatenate(found)


def _as_float(features: np.ndarray) -> np.ndarray:
    return features.astype(np.float32) / np.float32(_LEVELS)


def _varied(features: np.ndarray, mirrored: bool, inverted: bool) -> np.ndarray:
    """The descriptors of the mirrored or inverted image: 4 x 4 cells of 8 directions.

    Mirrored, rows and angles run the other way round. Inverted, every gradient turns round and
    with it the direction that the cells are laid out by: they change places, the angles stay.
    """
    cells = features.reshape(-1, 4, 4, 8)
    if mirrored:
        cells = cells[:, ::-1][..., -np.arange(8) % 8]
    if inverted:
        cells = cells[:, ::-1, ::-1]
    return cells.reshape(-1, 128)


def _refine(matrix: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The affine map of the inliers where it hardly stretches: a scanner's two axes may differ by a few per cent."""
    free = np.linalg.lstsq(np.c_[start, np.ones(len(start))], end, rcond=None)[0].T
    longest, shortest = np.linalg.svd(free[:, :2])[1]
    return free if longest < _MOST_STRETCH * shortest else matrix


def _correlation(a: Signature, b: Signature, matrix: np.ndarray, inverted: bool) -> float:
    """Of even contrast, over the tissue of both; 0 where they overlap too little."""
    size, first, second = b.thumbnail.shape[::-1], a.thumbnail, b.thumbnail
    ours, theirs = cv2.warpAffine(even_contrast(first), matrix, size), even_contrast(second)
    if inverted:
        ours = -ours
        # Air lies at the end of the range and tissue does not: the inverted one of the two is that with more white.
        first, second = (_invert(first), second) if _white(first) > _white(second) else (first, _invert(second))
    mine, other = cv2.warpAffine(_tissue(first), matrix, size) > 0, _tissue(second) > 0
    both = mine & other
    if both.sum() < max(_LEAST_TISSUE_PX, _LEAST_OVERLAP * other.sum()):
        return 0.0
    x, y = ours[both] - ours[both].mean(), theirs[both] - theirs[both].mean()
    return float((x * y).sum() / max(np.sqrt((x * x).sum() * (y * y).sum()), 1e-9))


def _invert(thumbnail: np.ndarray) -> np.ndarray:
    """uint8 H W: the thumbnail of the inverted image. Thumbnails are square roots of brightness."""
    return np.rint(np.sqrt(_LEVELS * _LEVELS - thumbnail.astype(np.float32) ** 2)).astype(np.uint8)


def _white(thumbnail: np.ndarray) -> float:
    """The share of pixels in the brightest tenth of the range."""
    return float((thumbnail > np.sqrt(0.9) * _LEVELS).mean())


def _tissue(thumbnail: np.ndarray) -> np.ndarray:
    """uint8 H W, 1 inside what is bright. Its rim is left out: outlines of two breasts are alike where their tissue is not."""
    _, bright = cv2.threshold(np.rint(_blur(thumbnail.astype(np.float32), 2.0)).astype(np.uint8), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    return cv2.erode(bright, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def _blur(values: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), sigma)
