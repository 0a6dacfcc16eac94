#!/usr/bin/env python3
"""Compares FD, KID, precision, recall, density and coverage with clean-fid, torch-fidelity and prdc, on the same features.

usage: metrics_check.py FEDGAN [FOLDER]

FEDGAN: the program, built with the feature `onnx`. FOLDER keeps the files; without it, a temporary one does.

1. The feature sets of tests/metric/fixtures.safetensors and their stored values, which `cargo test --test all metrics` compares with
   fedgan's to 1e-6.
2. Two folders of drawn pictures under a network that torch exports: a small one, and an Inception-v3 with random weights in which the
   maps of 2048 features are averaged. `fedgan eval` measures the folders; here Pillow resizes the same pictures, torch computes the
   features, and the packages measure those. KID is a mean over random subsets, which are not the same ones: it must be within 5
   standard errors of the value of all pairs, whose exact formula 1. compares.

Needs torch, torchvision, numpy, scipy, pillow, scikit-learn, clean-fid, torch-fidelity, prdc, onnx. Exit code 0 when all agree.
"""
import json, pathlib, subprocess, sys, tempfile, time
from importlib.metadata import version

import numpy as np
import torch
import torchvision
from cleanfid.fid import frechet_distance as clean_fd, kernel_distance as clean_kid
from PIL import Image
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torch_fidelity.metric_kid import kernel_mmd

HERE = pathlib.Path(__file__).parent
FAILED = []


def load(path):
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    kinds = {"F64": "<f8", "F32": "<f4", "U8": "u1"}
    out = {}
    for name, t in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = np.frombuffer(data[8 + size + a:8 + size + b], kinds[t["dtype"]]).reshape(t["shape"])
    return out


def agree(what, fedgan, peer, relative=1e-3):
    error = abs(fedgan - peer) / max(abs(peer), 1e-12)
    print(f"{what:58} {fedgan:.8g}  {peer:.8g}  relative {error:.1e}")
    if not error <= relative:
        FAILED.append(what)


def peers(x, y):
    """FD by both packages, squared MMD of all pairs, and the four shares of generated `x` against real `y`."""
    stats = [(f.mean(0), np.cov(f, rowvar=False)) for f in (x, y)]
    named = [dict(mu=mu, sigma=sigma) for mu, sigma in stats]
    fidelity = fid_statistics_to_metric(*named, verbose=False)["frechet_inception_distance"]
    fd = {"clean-fid": clean_fd(*stats[0], *stats[1]), "torch-fidelity": fidelity}
    d = x.shape[1]
    kernel = lambda a, b: (a @ b.T / d + 1) ** 3
    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
    mmd = off(kernel(x, x)) + off(kernel(y, y)) - 2 * kernel(x, y).mean()
    if len(x) == len(y):  # the packages take sets of one size; then their subset is the whole set
        agree(f"KID of {len(x)} and {len(y)} rows, here and clean-fid", mmd, clean_kid(x, y, 1), 1e-9)
        agree(f"KID of {len(x)} and {len(y)} rows, here and torch-fidelity", mmd, kernel_mmd(x, y), 1e-9)
    return fd, mmd, compute_prdc(y, x, 5)


def stored():
    file = load(HERE.parent / "metric/fixtures.safetensors")
    for name in ["full", "few"]:
        x, y = file[f"{name}.x"], file[f"{name}.y"]
        fd, mmd, shares = peers(y, x)
        for peer, value in fd.items():
            agree(f"{name}: FD, {peer}", file[f"{name}.fd"][0], value)
        agree(f"{name}: KID of all pairs", file[f"{name}.mmd2"][0], mmd)
        for key, value in zip(["precision", "recall", "density", "coverage"], file[f"{name}.prdc"]):
            agree(f"{name}: {key}, prdc", value, shares[key])
    peers(file["full.x"][:44], file["full.y"])


def pictures(folder, n, seed):
    """RGB pictures of 64 x 64: blurred noise, brighter with the seed."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        small = rng.uniform(0, 1, size=(8, 8, 3)) ** (1 + 0.3 * seed)
        Image.fromarray((255 * small).astype(np.uint8)).resize((64, 64), Image.BICUBIC).save(folder / f"{i:04}.png")


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(16, 24, 3, 2, 1), torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())

    def forward(self, x):
        return self.layers(x)


def inception():
    net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
    net.fc = torch.nn.Identity()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():  # running statistics, without which random weights give nearly constant features
        net(torch.nn.functional.interpolate(torch.rand(8, 3, 7, 7) * 2 - 1, 299, mode="bicubic").clamp(-1, 1))
    return net


def features(net, folder, side):
    rows = []
    for path in sorted(folder.glob("*.png")):
        picture = np.asarray(Image.open(path), dtype=np.float32)
        planes = [np.asarray(Image.fromarray(picture[..., c]).resize((side, side), Image.BICUBIC)) for c in range(3)]
        x = torch.from_numpy(np.stack(planes))[None] / 127.5 - 1
        with torch.no_grad():
            rows.append(net(x)[0].double().numpy())
    return np.stack(rows)


def folders(fedgan, root, name, net, side, n):
    net = net.eval()
    torch.onnx.export(net, (torch.zeros(1, 3, side, side),), str(root / f"{name}.onnx"), input_names=["images"],
                      output_names=["features"], dynamo=False, opset_version=17)
    real, fake = root / f"{name}-real", root / f"{name}-fake"
    pictures(real, n, 0)
    pictures(fake, n, 1)
    out = root / f"{name}.json"
    line = [fedgan, "eval", "--real", real, "--fake", fake, "--metrics", "fd,kid,prdc", "--json", out, "--set",
            f"evaluation.extractor={root / name}.onnx", "--set", "evaluation.extractor_range=[-1, 1]"]
    start = time.time()
    subprocess.run([str(part) for part in line], check=True, stdout=subprocess.DEVNULL)
    seconds = time.time() - start
    print(f"{name}: {2 * n} pictures in {seconds:.1f} s, {2 * n / seconds:.2f} pictures/s")
    measured = {v["name"].split("_")[0]: v for v in json.loads(out.read_text())["values"]}
    fd, mmd, shares = peers(features(net, fake, side), features(net, real, side))
    for peer, value in fd.items():
        agree(f"{name}: FD, {peer}", measured["fd"]["value"], value)
    kid = measured["kid"]
    error = abs(kid["value"] - mmd) / (kid["std"] / 10)
    print(f"{name + ': KID of 100 subsets':58} fedgan {kid['value']:.8g}  all pairs {mmd:.8g}  {error:.1f} standard errors")
    if not error <= 5:
        FAILED.append(f"{name}: KID")
    for key, value in shares.items():
        agree(f"{name}: {key}, prdc", measured[key]["value"], value)


def main():
    packages = ["torch", "torchvision", "numpy", "scipy", "pillow", "clean-fid", "torch-fidelity", "prdc"]
    print(", ".join(f"{name} {version(name)}" for name in packages))
    torch.manual_seed(0)
    stored()
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        root.mkdir(exist_ok=True)
        folders(sys.argv[1], root, "small", Small(), 48, 80)
        folders(sys.argv[1], root, "inception", inception(), 299, 24)
    print("all agree" if not FAILED else f"NOT equal: {', '.join(FAILED)}")
    sys.exit(1 if FAILED else 0)


main()
