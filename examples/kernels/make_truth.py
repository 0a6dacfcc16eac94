"""Writes the truth of the example kernels to truth/*.safetensors: inputs in f32, results by PyTorch in f64.

    python examples/kernels/make_truth.py        # needs torch and safetensors
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

OUT = Path(__file__).parent / "truth"


def save(name, inputs, outputs):
    tensors = {key: value.contiguous() for key, value in inputs.items()}
    tensors |= {key: value.double().contiguous() for key, value in outputs.items()}
    save_file(tensors, OUT / f"{name}.safetensors")


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(1)
    for name, m, n, k in [("odd", 13, 21, 34), ("row", 1, 9, 100)]:
        a, b = torch.randn(m, k), torch.randn(k, n)
        magnitude = a.double().abs() @ b.double().abs()
        save(f"matmul_{name}", {"a": a, "b": b}, {"c": a.double() @ b.double(), "c.magnitude": magnitude})
    for name, rows, n, scale in [("odd", 5, 100, 1.0), ("large-numbers", 3, 65, 60.0), ("single", 2, 1, 1.0)]:
        x = scale * torch.randn(rows, n)
        save(f"softmax_{name}", {"x": x}, {"y": torch.softmax(x.double(), dim=1)})
    for name, rows, n, shift in [("odd", 4, 100, 0.0), ("shifted", 3, 70, 30.0), ("short", 2, 9, 0.0)]:
        x, weight, bias = torch.randn(rows, n) + shift, torch.randn(n), torch.randn(n)
        y = F.layer_norm(x.double(), (n,), weight.double(), bias.double(), eps=1e-5)
        save(f"layer_norm_{name}", {"x": x, "weight": weight, "bias": bias}, {"y": y})
    for name, n in [("odd", 2500), ("short", 3)]:
        x = torch.randn(n)
        blocks = [part.double() for part in x.split(1024)]
        sums = torch.stack([part.sum() for part in blocks])
        save(f"block_sum_{name}", {"x": x}, {"y": sums, "y.magnitude": torch.stack([part.abs().sum() for part in blocks])})
    for name, n, ci, co, h, w in [("odd", 2, 5, 3, 4, 6), ("single", 1, 1, 1, 1, 1)]:
        x, weight = torch.randn(n, ci, h, w), torch.randn(ci, co, 4, 4)
        apply = lambda x, w: F.conv_transpose2d(x.double(), w.double(), stride=2, padding=1)
        save(
            f"conv_transpose_{name}",
            {"x": x, "weight": weight},
            {"y": apply(x, weight), "y.magnitude": apply(x.abs(), weight.abs())},
        )


if __name__ == "__main__":
    main()
