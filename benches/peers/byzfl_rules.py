"""Times ByzFL's median and Krum, NumPy and torch, for n clients of d coordinates in f32.

    pip install byzfl numpy torch
    python benches/peers/byzfl_rules.py [n] [d] [f]

Compare with, in the same sitting on the same idle machine:

    fedgan bench trimmed_mean:clients=64,n=1000000,x_stride=1000000 pair_distance:clients=64,n=1000000,x_stride=1000000 --device cpu
"""

import statistics
import sys
import time

import byzfl
import numpy as np
import torch


def median_time(work, repeats):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


n, d, f = (int(v) for v in (sys.argv[1:] + ["64", "1000000", "10"][len(sys.argv) - 1 :]))
x = np.random.default_rng(1).standard_normal((n, d), dtype=np.float32)
print(f"byzfl, numpy {np.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads; n = {n}, d = {d}")
for name, rows in (("numpy", x), ("torch", torch.from_numpy(x))):
    print(f"{name}: median {median_time(lambda: byzfl.Median()(rows), 5):.3f} s")
    print(f"{name}: krum, f = {f}: {median_time(lambda: byzfl.Krum(f)(rows), 5):.3f} s")
