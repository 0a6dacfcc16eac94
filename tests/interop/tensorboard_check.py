#!/usr/bin/env python3
"""Loads the event files of runs with TensorBoard's own reader and compares every point with the run's other files.

usage: tensorboard_check.py RUN_OR_SWEEP [RUN_OR_SWEEP ...]

Needs the package tensorboard. Every round of a run must have been trained with `--tensorboard`. Exit code 0 when the scalars are those
of metrics.csv, evaluation.csv and (before the first round) summary.json, and the pictures those of grids/; none missing, none besides.
"""
import collections, csv, json, math, pathlib, re, struct, sys
from tensorboard.backend.event_processing import event_accumulator

# Columns of metrics.csv that are no scalars of their own; with `flagged` only where the run has a detector.
NO_SCALARS = {"round", "client", "malicious", "last_loss_g", "last_loss_d_real", "last_loss_d_fake", "nonfinite", "name"}


def single(value):
    """The value as event files have it; None stands for any non-finite value, which metrics.csv leaves empty."""
    return struct.unpack("<f", struct.pack("<f", value))[0] if math.isfinite(value) else None


def mean(values):
    total = 0.0
    for value in values:  # sum() rounds otherwise
        total += value
    return total / len(values)


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def expected(run):
    """The scalars by tag and step, and those that may be absent: the cell is empty."""
    points, open_ends = {}, set()
    rounds = collections.defaultdict(list)
    for row in table(run / "metrics.csv"):
        rounds[int(row["round"]) + 1].append(row)
    kind = re.search(r'^\[detection\]\n(?:(?!\[).*\n)*?kind = "(.+)"', (run / "plan.toml").read_text(), re.M)
    detector = kind is not None and kind[1] != "none"
    for step, rows in rounds.items():
        for column in [c for c in rows[0] if c not in NO_SCALARS and (c != "flagged" or detector)]:
            groups = {"honest": [], "malicious": []}
            for row in rows:
                name = " " + row["name"] if row.get("name") else ""
                cell = {"true": "1", "false": "0"}.get(row[column], row[column])
                tag = f"{column}/client-{int(row['client']):03d}{name}"
                groups["malicious" if row["malicious"] == "true" else "honest"].append(cell)
                if cell == "":
                    open_ends.add((tag, step))
                else:
                    points[tag, step] = single(float(cell))
            for who, cells in groups.items():
                if "" in cells:
                    open_ends.add((f"{column}/{who}", step))
                elif cells:
                    points[f"{column}/{who}", step] = single(mean([float(cell) for cell in cells]))
    if (run / "evaluation.csv").exists():
        for row in table(run / "evaluation.csv"):
            points["evaluation/" + row["metric"], int(row["round"]) + 1] = single(float(row["value"]))
    if (run / "summary.json").exists():
        summary = json.loads((run / "summary.json").read_text())
        for name, value in (summary["untrained"] | summary["floors"]).items():
            points["evaluation/" + name, 0] = single(math.nan if value is None else value)
    return points, open_ends


def check(run):
    reader = event_accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    tags = reader.Reload().Tags()
    found = {}
    for tag in tags["scalars"]:
        for event in reader.Scalars(tag):
            assert (tag, event.step) not in found, f"{tag} twice at {event.step}"
            assert event.wall_time > 1e9, f"{tag} at {event.step}: wall time {event.wall_time}"
            found[tag, event.step] = event.value if math.isfinite(event.value) else None
    points, open_ends = expected(run)
    errors = [f"{tag} at {step}: missing" for tag, step in points.keys() - found.keys()]
    for (tag, step), value in found.items():
        if (tag, step) not in points and (tag, step) not in open_ends:
            errors.append(f"{tag} at {step}: {value}, but the run has no such value")
        elif (tag, step) in points and value != points[tag, step]:
            errors.append(f"{tag} at {step}: {value} instead of {points[tag, step]}")
    grids = {int(path.stem.removeprefix("round-")): path.read_bytes() for path in (run / "grids").glob("round-*.png")}
    pictures = {event.step: event for event in reader.Images("samples")}
    for step in grids.keys() | pictures.keys():
        if step not in grids or step not in pictures:
            errors.append(f"samples at {step}: " + ("no such file in grids/" if step in pictures else "missing"))
        elif pictures[step].encoded_image_string != grids[step]:
            errors.append(f"samples at {step}: not the bytes of the file in grids/")
        elif struct.unpack(">II", grids[step][16:24]) != (pictures[step].width, pictures[step].height):
            errors.append(f"samples at {step}: wrong size")
    if tags["images"] != ["samples"]:
        errors.append(f"pictures {tags['images']}, expected ['samples']")
    print(f"{run}: {len(found)} scalars of {len(tags['scalars'])} tags, {len(pictures)} pictures: {len(errors)} errors")
    for error in sorted(errors):
        print(f"  {error}")
    return len(found) > 0 and not errors


roots = [pathlib.Path(arg) for arg in sys.argv[1:]]
runs = [folder.parent for root in roots for folder in sorted(root.rglob("tensorboard")) if folder.is_dir()]
if not runs:
    sys.exit("no folder `tensorboard` in " + ", ".join(sys.argv[1:] or ["(no argument)"]))
sys.exit(0 if all([check(run) for run in runs]) else 1)
