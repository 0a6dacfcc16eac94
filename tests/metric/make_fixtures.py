#!/usr/bin/env python3
"""Writes fixtures.safetensors (feature sets, images and the results of NumPy and SciPy) and lite0_reference.safetensors.

usage: make_fixtures.py [LITE0_REFERENCE_IO LITE0_ONNX]

Needs numpy, scipy and safetensors. LITE0_REFERENCE_IO: a file with images_u8_nhwc [n, 224, 224, 3] and features [n, 1280] from
the original network in f32. LITE0_ONNX: that network; ONNX Runtime computes `features_half` with its weights rounded to half
precision, like those embedded in the program (also needs onnx and onnxruntime).
"""
import pathlib
import sys

import numpy as np
import scipy.linalg
import scipy.signal
from safetensors.numpy import load_file, save_file

HERE = pathlib.Path(__file__).parent


def frechet_sqrtm(x, y):
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2)
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(s1 + s2 - 2 * np.real(root))


def frechet_svd(x, y):
    cx, cy = x - x.mean(0), y - y.mean(0)
    nuclear = scipy.linalg.svd(cx @ cy.T, compute_uv=False).sum() / np.sqrt((len(x) - 1) * (len(y) - 1))
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + cx.var(0, ddof=1).sum() + cy.var(0, ddof=1).sum() - 2 * nuclear


def mmd2(x, y):
    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def off_diagonal(k):
        return k[~np.eye(len(k), dtype=bool)].mean()

    return off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()


def prdc(real, fake, k):
    def distances(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))

    radius_real = np.sort(distances(real, real), axis=1)[:, k]
    radius_fake = np.sort(distances(fake, fake), axis=1)[:, k]
    d = distances(real, fake)
    inside_real, inside_fake = d < radius_real[:, None], d < radius_fake[None]
    return [
        inside_real.any(0).mean(),
        inside_fake.any(1).mean(),
        inside_real.sum(0).mean() / k,
        (d.min(1) < radius_real).mean(),
    ]


def ms_ssim(a, b):
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    grid = np.arange(11) - 5
    window = np.exp(-(grid[:, None] ** 2 + grid[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    levels = 1 + sum(a.shape[0] >> s >= 11 for s in range(1, 5))
    weights = weights[:levels] / weights[:levels].sum()
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2

    def blur(x):
        return scipy.signal.convolve2d(x, window, mode="valid")

    def one(a, b):
        value = 1.0
        for level in range(levels):
            ma, mb = blur(a), blur(b)
            va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
            cs = (2 * cov + c2) / (va + vb + c2)
            luminance = (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
            term = (luminance * cs).mean() if level == levels - 1 else cs.mean()
            value *= max(term, 0) ** weights[level]
            a, b = (x.reshape(len(x) // 2, 2, len(x) // 2, 2).mean((1, 3)) for x in (a, b))
        return value

    return np.mean([one(a[..., c], b[..., c]) for c in range(a.shape[2])])


def half_features(path, images):
    import onnx
    import onnxruntime

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.ndim in (1, 4):
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = ((images.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2).copy()
    return session.run(["features"], {session.get_inputs()[0].name: x})[0]


def main():
    rng = np.random.default_rng(20)
    mix = rng.normal(size=(8, 8))
    out = {
        "full.x": rng.normal(size=(60, 8)) @ mix,
        "full.y": rng.normal(size=(44, 8)) @ mix * 1.3 + 0.4,
        "few.x": rng.normal(size=(12, 24)),
        "few.y": rng.normal(size=(15, 24)) * 0.8 + 0.2,
    }
    out["full.fd"] = np.array([frechet_sqrtm(out["full.x"], out["full.y"])])
    assert abs(out["full.fd"][0] - frechet_svd(out["full.x"], out["full.y"])) < 1e-8
    out["few.fd"] = np.array([frechet_svd(out["few.x"], out["few.y"])])
    for name in ["full", "few"]:
        x, y = out[f"{name}.x"], out[f"{name}.y"]
        out[f"{name}.mmd2"] = np.array([mmd2(x, y)])
        out[f"{name}.prdc"] = np.array(prdc(x, y, 5))
    noise = rng.normal(size=(2, 32, 32, 3))
    smooth = np.cumsum(np.cumsum(noise, 1), 2) / 40
    a = np.tanh(smooth[0])
    b = np.clip(a + 0.3 * np.tanh(smooth[1]) + 0.05 * noise[1], -1, 1)
    a, b = a.astype(np.float32), b.astype(np.float32)
    out["ssim.a"], out["ssim.b"] = a, b
    out["ssim.value"] = np.array([ms_ssim(a.astype(np.float64), b.astype(np.float64))])
    save_file(out, HERE / "fixtures.safetensors")
    for name in ["full.fd", "few.fd", "full.mmd2", "few.mmd2", "full.prdc", "few.prdc", "ssim.value"]:
        print(name, out[name])
    if len(sys.argv) > 2:
        io = load_file(sys.argv[1])
        lite0 = {k: io[k] for k in ["images_u8_nhwc", "features"]}
        lite0["features_half"] = half_features(sys.argv[2], io["images_u8_nhwc"])
        for mine, original in zip(lite0["features_half"], io["features"]):
            print("rounding of the weights:", np.linalg.norm(mine - original) / np.linalg.norm(original))
        save_file(lite0, HERE / "lite0_reference.safetensors")


main()
