#!/usr/bin/env python3
"""Loads an exported generator into a plain PyTorch module and compares its images with those of `fedgan sample`.

usage: check_generator.py GENERATOR.safetensors LATENTS.safetensors IMAGES.safetensors

The last two are written by `fedgan sample GENERATOR.safetensors -n N --save-latents LATENTS.safetensors
--save-images IMAGES.safetensors --out grid.png`. Needs torch (any version from 1.13) and numpy; reads safetensors itself.
Exit code 0 when every pixel agrees to 1e-4.
"""
import json, math, sys
import numpy as np
import torch, torch.nn as nn


def load(path):
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    out = {}
    for name, t in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            assert t["dtype"] == "F32", (path, name, t["dtype"])
            a, b = t["data_offsets"]
            out[name] = torch.from_numpy(np.frombuffer(data[8 + size + a:8 + size + b], "<f4").reshape(t["shape"]).copy())
    return out


def generator(state):
    convs = sorted((int(k.split(".")[1]), v.shape) for k, v in state.items() if v.dim() == 4)
    layers = []
    for i, (_, (cin, cout, _, _)) in enumerate(convs):
        layers.append(nn.ConvTranspose2d(cin, cout, 4, 1 if i == 0 else 2, 0 if i == 0 else 1, bias=False))
        layers += [nn.Tanh()] if i == len(convs) - 1 else [nn.BatchNorm2d(cout), nn.ReLU()]
    module = nn.Module()
    module.main = nn.Sequential(*layers)
    return module


state, latents, images = (load(p) for p in sys.argv[1:4])
module = generator(state)
missing, unexpected = module.load_state_dict(state, strict=False)
assert not unexpected and all(k.endswith("num_batches_tracked") for k in missing), (missing, unexpected)
with torch.no_grad():
    got = module.eval().main(latents["latents"])
want = images["images"]
assert got.shape == want.shape, (got.shape, want.shape)
worst = (got - want).abs().max().item()
print(f"{tuple(got.shape)} images, largest difference {worst:.2e}")
sys.exit(0 if math.isfinite(worst) and worst <= 1e-4 else 1)
