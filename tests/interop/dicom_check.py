#!/usr/bin/env python3
"""Reads the DICOM files of the package pydicom-data with fedgan and with pydicom, and compares every frame.

usage: dicom_check.py FEDGAN

Each file is the only one of a folder that `fedgan run` trains on; the run's real.png shows the frames as fedgan read them. Here pydicom
decodes the file, numpy applies its rescale and window, and Pillow crops and resizes: a frame may differ by half a level of 255 on average
and by 2 in single values, where JPEG decoders differ by 1 on average and 12 in single values. Files that fedgan refuses must name the reason listed below,
and no file may be missing from the lists: a new version of the package is looked at by a person.

Needs pydicom, pydicom-data, numpy, pillow. Exit code 0 when all agree.
"""
import pathlib, subprocess, sys, tempfile, warnings

import numpy as np
import pydicom
import data_store
from PIL import Image
from pydicom.pixels import apply_modality_lut

SIDE = 64

# What the message says of the files that are refused, and how many of the package's files have it.
REFUSED = {
    "JPEG 2000": 12,
    "JPEG Lossless": 3,
    "JPEG-LS": 1,
    "a palette": 8,
    "neither DICOM": 1,
    "bits allocated (0028,0100): 32": 4,
    "bits allocated (0028,0100): 1": 2,
    "modality look-up table": 1,
}


def frames(path):
    """The frames as 8-bit RGB arrays, as fedgan's documents define them."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    many = int(dataset.get("NumberOfFrames", 1))
    colour = dataset.SamplesPerPixel == 3
    for i in range(many):
        frame = pixels[i] if many > 1 else pixels
        if colour:
            # `pixel_array` has converted YCbCr.
            yield (frame / (2 ** dataset.BitsStored - 1) * 255).astype(np.float64)
            continue
        groups = [dataset]
        for functional in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            if functional in dataset:
                group = dataset[functional].value
                group = group[0 if functional.startswith("Shared") else i]
                groups += [g.value[0] for g in group if g.VR == "SQ" and len(g.value)]
        owner = lambda key: next((g for g in reversed(groups) if key in g), None)
        scale, window = owner("RescaleSlope"), owner("WindowWidth")
        values = apply_modality_lut(frame.astype(np.float64), scale) if scale else frame.astype(np.float64)
        first = lambda v: float(v[0] if isinstance(v, pydicom.multival.MultiValue) else v)
        if window is not None:
            centre, width = first(window.WindowCenter), first(window.WindowWidth)
            low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
            if window.get("VOILUTFunction") == "LINEAR_EXACT":
                low, high = centre - width / 2, centre + width / 2
        else:
            bits = dataset.BitsStored
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)
            if scale:
                low, high = (float(scale.RescaleSlope) * v + float(scale.RescaleIntercept) for v in (low, high))
        shown = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
        yield np.repeat((255 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown)[..., None], 3, -1)


def fitted(frame):
    """The centre square, resized as fedgan does it: Lanczos down, Catmull-Rom up."""
    h, w = frame.shape[:2]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = frame[top:top + side, left:left + side].astype(np.float32)
    kernel = Image.LANCZOS if side > SIDE else Image.BICUBIC
    planes = [np.asarray(Image.fromarray(square[..., c]).resize((SIDE, SIDE), kernel)) for c in range(3)]
    return np.clip(np.stack(planes, -1), 0, 255)


def tiles(path, n):
    grid = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64)
    for i in range(n):
        top, left = (2 + v * (SIDE + 2) for v in divmod(i, 8))
        yield grid[top:top + SIDE, left:left + SIDE]


def run(fedgan, file, root):
    folder, out = root / f"{file.stem}-in", root / f"{file.stem}-out"
    folder.mkdir()
    (folder / file.name).symlink_to(file)
    sets = {"data.kind": "folder", "data.path": folder, "data.follow_links": "true", "data.held_out": 0, "rounds": 1,
            "train.local_steps": 1, "train.batch": 1, "federation.clients": 1, "model.channels": 3, "model.width": 1,
            "model.image_size": SIDE, "evaluation.every": 0, "evaluation.grid": 8}
    line = [fedgan, "run", "--device", "cpu", "--out", out]
    line += [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    return out, subprocess.run([str(part) for part in line], capture_output=True, text=True)


def main(fedgan):
    warnings.filterwarnings("ignore")
    files = sorted((pathlib.Path(data_store.__file__).parent / "data").glob("*.dcm"))
    failed, read, refused = [], 0, dict.fromkeys(REFUSED, 0)
    with tempfile.TemporaryDirectory() as root:
        for file in files:
            out, done = run(fedgan, file, pathlib.Path(root))
            if done.returncode == 2:
                reason = next((r for r in REFUSED if r in done.stderr and file.name in done.stderr), None)
                print(f"{file.name:45} refused: {reason or done.stderr}")
                if reason is None:
                    failed.append(file.name)
                else:
                    refused[reason] += 1
                continue
            if done.returncode != 0:
                print(f"{file.name:45} exit code {done.returncode}: {done.stderr}")
                failed.append(file.name)
                continue
            wanted = [fitted(frame) for frame in frames(file)]
            shown = list(tiles(out / "real.png", min(len(wanted), 64)))
            # The grid draws the images in an order of its own; each must be one of the frames, and all differ.
            errors = [min((np.abs(t - w).mean(), np.abs(t - w).max()) for w in wanted) for t in shown]
            mean, most = max(e[0] for e in errors), max(e[1] for e in errors)
            read += 1
            agree = (mean <= 1 and most <= 12) if "jpeg" in file.name else (mean <= 0.5 and most <= 2)
            print(f"{file.name:45} {len(wanted)} frames, {len(shown)} compared: mean {mean:.2f}, largest {most:.0f}"
                  + ("" if agree else "  DIFFERS"))
            if not agree:
                failed.append(file.name)
    print(f"{len(files)} files: {read} read, {sum(refused.values())} refused as listed, {len(failed)} wrong")
    if refused != REFUSED:
        failed.append(f"refused {refused}, expected {REFUSED}")
    if failed:
        sys.exit("FAILED: " + ", ".join(failed))


if __name__ == "__main__":
    main(sys.argv[1])
