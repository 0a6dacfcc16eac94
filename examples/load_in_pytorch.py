#!/usr/bin/env python3
"""Loads the generator of a run into a plain PyTorch module and draws images.

usage: load_in_pytorch.py RUN/generator.safetensors [OUT.npy]

Needs torch and safetensors. The file holds PyTorch's own names and layouts, so that `load_state_dict` takes it as it is.
"""
import sys
import torch
import torch.nn as nn
from safetensors.torch import load_file


def generator(state):
    """A DCGAN generator with the shapes of `state`: a transposed convolution, then batch norm and ReLU, or tanh at the end."""
    kernels = sorted((int(name.split(".")[1]), t.shape) for name, t in state.items() if t.dim() == 4)
    layers = []
    for i, (_, (inputs, outputs, _, _)) in enumerate(kernels):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False))
        layers += [nn.Tanh()] if i == len(kernels) - 1 else [nn.BatchNorm2d(outputs), nn.ReLU()]
    module = nn.Module()
    module.main = nn.Sequential(*layers)
    return module


state = load_file(sys.argv[1])
model = generator(state)
# PyTorch's counters of batches are no part of the file: they change nothing with a fixed momentum.
missing, unexpected = model.load_state_dict(state, strict=False)
assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
latent = next(t for t in state.values() if t.dim() == 4).shape[0]
with torch.no_grad():
    images = model.eval().main(torch.randn(16, latent, 1, 1))
print(f"{tuple(images.shape)} images in [{images.min():.3f}, {images.max():.3f}]")
if len(sys.argv) > 2:
    import numpy
    numpy.save(sys.argv[2], images.numpy())
