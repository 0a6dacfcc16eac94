#!/usr/bin/env python3
"""Packs the CT/MR slices into the contact sheets of assets/ct-mr (see the README there).

usage: pack-ct-mr.py SOURCE [OUT]     (needs Pillow: pip install pillow)

SOURCE contains CLASS/SERIES_NNN.png, all 128 x 128 grey, numbered without gaps. One sheet per series, 16 tiles per row in
slice order, unused tiles black. Tiles are a multiple of JPEG's 8 x 8 blocks, so no tile bleeds into its neighbour. Prints the
table of src/data/builtin.rs.
"""

import sys
from collections import defaultdict
from pathlib import Path

from PIL import Image

TILE, COLUMNS, QUALITY = 128, 16, 95


def main() -> None:
    source = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parent.parent / "assets/ct-mr"
    series = defaultdict(list)
    for path in sorted(source.glob("*/*.png")):
        name, number = path.stem.rsplit("_", 1)
        series[path.parent.name, name].append((int(number), path))
    for (label, name), slices in sorted(series.items()):
        first = slices[0][0]
        if [number for number, _ in slices] != list(range(first, first + len(slices))):
            sys.exit(f"{label}/{name}: slice numbers have gaps")
        sheet = Image.new("L", (TILE * COLUMNS, TILE * -(-len(slices) // COLUMNS)))
        for i, (_, path) in enumerate(slices):
            image = Image.open(path)
            if (image.mode, image.size) != ("L", (TILE, TILE)):
                sys.exit(f"{path}: {image.mode} {image.size}, expected {TILE} x {TILE} grey")
            sheet.paste(image, (i % COLUMNS * TILE, i // COLUMNS * TILE))
        sheet.save(out / f"{name}.jpg", quality=QUALITY, optimize=True, progressive=True)
        print(f'sheet!("{label}", "{name}", {first}, {len(slices)}),')


main()
