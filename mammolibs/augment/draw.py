"""Named randomness: the same (seed, step, image id) draws the same, in any worker, after any resume."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, step: int, image_id: str) -> np.random.Generator:
    """A generator of its own for one image in one step; the global ones stay untouched."""
    digest = hashlib.blake2b(f"{int(seed)}\0{int(step)}\0{image_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def hidden_blocks(shape: tuple[int, int], rng: np.random.Generator, share: float, block_px: int) -> np.ndarray:
    """Where the autoencoder must reconstruct what it is not shown: float32 H W, 1 hidden, 0 shown.

    `share` of the blocks of block_px x block_px pixels (rounded to whole blocks) is hidden
    (K. He et al., Masked Autoencoders Are Scalable Vision Learners, 2022).
    """
    rows, columns = -(-shape[0] // block_px), -(-shape[1] // block_px)
    blocks = np.zeros(rows * columns, np.float32)
    blocks[rng.permutation(blocks.size)[: round(share * blocks.size)]] = 1
    return np.kron(blocks.reshape(rows, columns), np.ones((block_px, block_px), np.float32))[: shape[0], : shape[1]]
