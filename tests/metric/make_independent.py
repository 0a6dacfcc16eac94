#!/usr/bin/env python3
"""Writes independent.safetensors: MS-SSIM from TensorFlow, PRDC from its authors' package, sliced Wasserstein distances from SciPy.

Needs numpy, scipy, safetensors, tensorflow-cpu and prdc.
"""
import pathlib

import numpy as np
import tensorflow as tf
from prdc import compute_prdc
from safetensors.numpy import save_file
from scipy.stats import wasserstein_distance

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def ssim_image(second, size, channels):
    y, x, c = np.meshgrid(*map(np.arange, (size, size, channels)), indexing="ij")
    smooth = (x * x + 2 * y * y + 40 * c) * 3 // size % 200
    noise = (x * 7919 + y * 104729 + c * 1299709) % 251
    return (smooth * 3 // 4 + noise // 4 if second else smooth).astype(np.uint8)


def ms_ssim(size, channels):
    a, b = (tf.constant(ssim_image(second, size, channels)) for second in (False, True))
    levels = 1 + sum(size >> s >= 11 for s in range(1, 5))
    weights = WEIGHTS[:levels] / WEIGHTS[:levels].sum()
    return float(tf.image.ssim_multiscale(a, b, max_val=255, power_factors=tuple(weights)))


def main():
    rng = np.random.default_rng(31)
    out = {f"ssim.{s}.{c}": np.array([ms_ssim(s, c)]) for s, c in [(16, 1), (32, 3), (64, 1), (176, 1)]}
    real, fake = rng.normal(size=(70, 12)), rng.normal(size=(50, 12)) * 0.9 + 0.3
    values = compute_prdc(real_features=real, fake_features=fake, nearest_k=5)
    names = ["precision", "recall", "density", "coverage"]
    out |= {"prdc.real": real, "prdc.fake": fake, "prdc.value": np.array([values[n] for n in names])}
    # Sets of different sizes, patches of 7 x 7 x 3.
    a, b = rng.integers(0, 256, (40, 49, 3)) * 0.6 + 30, rng.integers(0, 256, (25, 49, 3)).astype(float)
    directions = rng.normal(size=(16, 147))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mean, std = b.mean((0, 1)), b.std((0, 1))
    pa, pb = (((s - mean) / std).reshape(len(s), -1) @ directions.T for s in (a, b))
    value = np.mean([wasserstein_distance(pa[:, i], pb[:, i]) for i in range(len(directions))])
    out |= {"sliced.a": a, "sliced.b": b, "sliced.directions": directions, "sliced.value": np.array([value])}
    save_file({k: np.ascontiguousarray(v, dtype=np.float64) for k, v in out.items()},
              pathlib.Path(__file__).parent / "independent.safetensors")
    for name in [n for n in out if n.startswith("ssim") or n.endswith("value")]:
        print(name, out[name])


main()
