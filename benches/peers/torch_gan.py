#!/usr/bin/env python3
"""Times the training step of `fedgan bench step` in PyTorch: the same networks, losses, optimiser and batch.

    pip install torch
    python benches/peers/torch_gan.py --workload W1 --clients 4 [--device cuda] [--mode compile] [--channels-last] [--tf32]
    python benches/peers/torch_gan.py --image-size 64 --channels 3 --width 64 --latent 100 --batch 32 --clients 1

Prints one JSON object per variant, each on a line. Clients train one after the other (`sequential`) and, with more than one,
all together through torch.func.vmap over stacked parameters (`vmap`). fp32; TF32 only with --tf32. Use an idle machine: a busy
second process makes OpenMP's threads wait for each other and multiplies the CPU times.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

WORKLOADS = {
    "W1": dict(image_size=32, channels=3, width=32, latent=64, batch=32),
    "W2": dict(image_size=64, channels=3, width=64, latent=100, batch=32),
    "W3": dict(image_size=256, channels=3, width=64, latent=100, batch=32),
}


def generator(size, channels, width, latent):
    """latent x 1 x 1 to size x size: channels halve from level to level, the last level has `width`."""
    levels = (size // 4).bit_length() - 1
    now = width << (levels - 1)
    layers = [nn.ConvTranspose2d(latent, now, 4, 1, 0, bias=False), nn.BatchNorm2d(now), nn.ReLU()]
    for _ in range(levels - 1):
        layers += [nn.ConvTranspose2d(now, now // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(now // 2), nn.ReLU()]
        now //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(now, channels, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(size, channels, width):
    """size x size to one logit; batch norm on every level but the first."""
    levels = (size // 4).bit_length() - 1
    layers, before, now = [], channels, width
    for level in range(levels):
        layers.append(nn.Conv2d(before, now, 4, 2, 1, bias=False))
        if level:
            layers.append(nn.BatchNorm2d(now))
        layers.append(nn.LeakyReLU(0.2))
        before, now = now, 2 * now
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 4, 1, 0, bias=False), nn.Flatten(0))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


class Client:
    """One client: D on real and on fake, D's update; G through D, G's update."""

    def __init__(self, args, device):
        memory = torch.channels_last if args.channels_last else torch.contiguous_format
        self.g = generator(args.image_size, args.channels, args.width, args.latent).to(device, memory_format=memory)
        self.d = discriminator(args.image_size, args.channels, args.width).to(device, memory_format=memory)
        self.opt_g, self.opt_d = adam(self.g.parameters()), adam(self.d.parameters())
        self.run_g, self.run_d = self.g, self.d
        if args.mode == "compile":
            self.run_g, self.run_d = torch.compile(self.g), torch.compile(self.d)
        shape = (args.batch, args.channels, args.image_size, args.image_size)
        self.real = (torch.rand(shape, device=device) * 2 - 1).contiguous(memory_format=memory)
        self.latent = (args.batch, args.latent, 1, 1)

    def step(self):
        bce, device = F.binary_cross_entropy_with_logits, self.real.device
        ones, zeros = torch.ones(len(self.real), device=device), torch.zeros(len(self.real), device=device)
        self.opt_d.zero_grad(set_to_none=True)
        bce(self.run_d(self.real), ones).backward()
        fake = self.run_g(torch.randn(self.latent, device=device))
        bce(self.run_d(fake.detach()), zeros).backward()
        self.opt_d.step()
        self.opt_g.zero_grad(set_to_none=True)
        loss = bce(self.run_d(fake), ones)
        loss.backward()
        self.opt_g.step()
        return loss.detach()


class Stacked:
    """All clients at once: parameters stacked along a first dimension, batch statistics by vmap."""

    def __init__(self, args, device):
        self.args, self.device = args, device
        clients = [Client(args, device) for _ in range(args.clients)]
        self.nets, self.params, self.opts = [], [], []
        for pick in ("g", "d"):
            models = [getattr(c, pick) for c in clients]
            for module in models[0].modules():
                if isinstance(module, nn.BatchNorm2d):
                    # vmap cannot update running statistics in place; batch statistics are what training uses.
                    module.track_running_stats, module.running_mean, module.running_var = False, None, None
            names = [name for name, _ in models[0].named_parameters()]
            stack = {n: torch.stack([dict(m.named_parameters())[n].detach() for m in models]).requires_grad_() for n in names}
            self.nets.append(models[0])
            self.params.append(stack)
            self.opts.append(adam(stack.values()))
        self.real = torch.stack([c.real for c in clients])

    def forward(self, which, x):
        call = torch.func.functional_call
        return torch.func.vmap(lambda p, x: call(self.nets[which], p, (x,)))(self.params[which], x)

    def step(self):
        k, batch = self.args.clients, self.args.batch
        ones, zeros = torch.ones(k, batch, device=self.device), torch.zeros(k, batch, device=self.device)
        # Each client's own mean: the sum over clients leaves their gradients apart.
        bce = lambda logits, target: k * F.binary_cross_entropy_with_logits(logits, target)
        opt_g, opt_d = self.opts
        opt_d.zero_grad(set_to_none=True)
        bce(self.forward(1, self.real), ones).backward()
        fake = self.forward(0, torch.randn(k, batch, self.args.latent, 1, 1, device=self.device))
        bce(self.forward(1, fake.detach()), zeros).backward()
        opt_d.step()
        opt_g.zero_grad(set_to_none=True)
        loss = bce(self.forward(1, fake), ones)
        loss.backward()
        opt_g.step()
        return loss.detach()


def time_steps(step, device, args):
    """Seconds of each repetition, after the first step and the warm-up; the device is awaited each time."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    start = time.perf_counter()
    step(), wait()
    first = time.perf_counter() - start
    for _ in range(args.warmup):
        step()
    wait()
    seconds, start = [], time.perf_counter()
    while len(seconds) < args.reps and (time.perf_counter() - start < args.max_seconds or len(seconds) < 3):
        begin = time.perf_counter()
        step(), wait()
        seconds.append(time.perf_counter() - begin)
    return first, sorted(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, default="W1")
    for key in ("image-size", "channels", "width", "latent", "batch"):
        parser.add_argument(f"--{key}", type=int)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", choices=("sequential", "vmap"))
    parser.add_argument("--reps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--max-seconds", type=float, default=60.0)
    args = parser.parse_args()
    for key, value in WORKLOADS[args.workload].items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    torch.manual_seed(1)
    device = torch.device(args.device)

    def sequential():
        clients = [Client(args, device) for _ in range(args.clients)]
        return lambda: [c.step() for c in clients]

    variants = {"sequential": sequential}
    if args.clients > 1 and args.mode == "eager":
        variants["vmap"] = lambda: Stacked(args, device).step
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    for variant, build in variants.items():
        if args.only not in (None, variant):
            continue
        first, seconds = time_steps(build(), device, args)
        at = lambda q: round(1e3 * seconds[int(q * (len(seconds) - 1))], 3)
        print(json.dumps(dict(
            torch=torch.__version__, device=name, variant=variant, mode=args.mode, channels_last=args.channels_last,
            tf32=args.tf32, image_size=args.image_size, channels=args.channels, width=args.width, latent=args.latent,
            batch=args.batch, clients=args.clients, median_ms=round(1e3 * statistics.median(seconds), 3), p20_ms=at(0.2),
            p80_ms=at(0.8), min_ms=at(0), n=len(seconds), first_ms=round(1e3 * first, 1),
            images_per_second=round(args.clients * args.batch / statistics.median(seconds), 1))), flush=True)


if __name__ == "__main__":
    main()
