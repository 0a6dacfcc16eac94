#!/usr/bin/env python3
"""Writes a golden case of one GAN training step (docs/golden-format.md, `gan_step`), computed by PyTorch in float64.

    python tests/interop/golden_gan_step.py tests/golden/gan_step_16_wide.safetensors --image-size 16 --width 16 --batch 8

Inputs are float32 numbers from a fixed seed.
"""

import argparse
import json
import struct

import torch
from torch import nn


def discriminator(side, channels, width):
    layers, given, level = [], channels, width
    while side > 4:
        layers.append(nn.Conv2d(given, level, 4, 2, 1, bias=False))
        if given != channels or layers[:-1]:
            layers.append(nn.BatchNorm2d(level))
        layers.append(nn.LeakyReLU(0.2))
        given, level, side = level, 2 * level, side // 2
    layers.append(nn.Conv2d(given, 1, 4, 1, 0, bias=False))
    return nn.Sequential(*layers)


def generator(side, channels, width, latent):
    levels, s = [], side
    while s > 4:
        levels.append(width * 2 ** len(levels))
        s //= 2
    layers, given = [], latent
    for i, level in enumerate(reversed(levels)):
        layers += [nn.ConvTranspose2d(given, level, 4, 2 if i else 1, 1 if i else 0, bias=False)]
        layers += [nn.BatchNorm2d(level), nn.ReLU()]
        given = level
    layers += [nn.ConvTranspose2d(given, channels, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers)


def tensors(prefix, net):
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    return {f"{prefix}main.{k}": v.detach().clone() for k, v in state.items() if not k.endswith("num_batches_tracked")}


def write(path, metadata, named):
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in sorted(named.items()):
        # Expected values keep their precision.
        dtype, code = (torch.float64, "F64") if name.startswith("out.") else (torch.float32, "F32")
        raw = tensor.to(dtype).contiguous().numpy().tobytes()
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    for name, default in [("image-size", 16), ("channels", 3), ("width", 16), ("latent", 10), ("batch", 8), ("seed", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    lr, betas = 2e-4, (0.5, 0.999)
    torch.manual_seed(a.seed)
    g, d = generator(a.image_size, a.channels, a.width, a.latent), discriminator(a.image_size, a.channels, a.width)
    with torch.no_grad():
        for name, p in [*g.named_parameters(), *d.named_parameters()]:
            # Weights and gammas as DCGAN draws them; betas that differ, so that swapped rows are noticed.
            p.normal_(1.0 if p.dim() == 1 and name.endswith("weight") else 0.0, 0.02)
    real = torch.tanh(torch.randn(a.batch, a.channels, a.image_size, a.image_size))
    z_d, z_g = torch.randn(a.batch, a.latent, 1, 1), torch.randn(a.batch, a.latent, 1, 1)
    inputs = {"real": real, "z_d": z_d, "z_g": z_g, **tensors("generator.", g), **tensors("discriminator.", d)}
    g, d, real, z_d, z_g = g.double(), d.double(), real.double(), z_d.double(), z_g.double()
    loss = nn.BCEWithLogitsLoss()
    one, zero = torch.ones(a.batch, dtype=torch.float64), torch.zeros(a.batch, dtype=torch.float64)
    adam = [torch.optim.Adam(net.parameters(), lr=lr, betas=betas, eps=1e-8) for net in (g, d)]
    out = {}
    loss_real = loss(d(real).flatten(), one)
    loss_fake = loss(d(g(z_d).detach()).flatten(), zero)
    (loss_real + loss_fake).backward()
    grads = {f"grad.discriminator.main.{k}": p.grad.clone() for k, p in d.named_parameters()}
    adam[1].step()
    g.zero_grad()
    loss_g = loss(d(g(z_g)).flatten(), one)
    loss_g.backward()
    grads |= {f"grad.generator.main.{k}": p.grad.clone() for k, p in g.named_parameters()}
    adam[0].step()
    out |= {"loss_d_real": loss_real.reshape(1), "loss_d_fake": loss_fake.reshape(1), "loss_g": loss_g.reshape(1)}
    out |= grads | tensors("generator.", g) | tensors("discriminator.", d)
    params = {"image_size": a.image_size, "width": a.width, "latent": a.latent, "batch": a.batch, "lr": lr}
    params |= {"beta1": betas[0], "beta2": betas[1]}
    metadata = {"op": "gan_step", "params": json.dumps(params), "source": f"torch {torch.__version__} float64"}
    named = {f"in.{k}": v for k, v in inputs.items()} | {f"out.{k}": v.detach() for k, v in out.items()}
    write(a.file, metadata, named)


if __name__ == "__main__":
    main()
