//! Every gradient row against finite differences of its forward rows, in f64 on the rows' references.
//!
//! Inputs and steps are multiples of powers of two, so they are exact in f32. Intermediate tensors between two rows
//! (statistics, moments) are rounded to f32, which leaves relative errors of about 1e-7; a wrong term leaves an error
//! of its own size.

use fedgan::check::fill::Random;
use fedgan::kernels::nn::{
    activation::{ActivationParams, kind},
    activation_backward::ActivationBackwardParams,
    batch_norm_apply::BatchNormApplyParams,
    batch_norm_backward_apply::BatchNormBackwardApplyParams,
    batch_norm_backward_reduce::BatchNormBackwardReduceParams,
    batch_norm_stats::BatchNormStatsParams,
    bce_with_logits::BceParams,
    bias_add::BiasAddParams,
    channel_sum::ChannelSumParams,
    conv::ConvParams,
    gradient_penalty::GradientPenaltyParams,
    gradient_penalty_seed::GradientPenaltySeedParams,
    image_square_sum::ImageSquareSumParams,
    instance::{InstanceParams, place},
    split_sum::SplitSumParams,
    wasserstein_loss::WassersteinLossParams,
    winograd::{WinogradParams, transformed},
    winograd_weights::WinogradWeightsParams,
};
use fedgan::kernels::{AnyKernel, CATALOGUE, Elem, Inputs, Params, find};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Forward rows, the rows of their gradients, and the function that compares them.
struct Pair {
    forward: &'static [&'static str],
    backward: &'static [&'static str],
    check: fn(&mut Random),
}

const PAIRS: &[Pair] = &[
    Pair {
        forward: &["conv2d"],
        backward: &["conv_transpose2d", "conv2d_weight_grad", "split_sum"],
        check: convolution,
    },
    Pair { forward: &["conv_transpose2d"], backward: &["conv2d", "conv2d_weight_grad"], check: transposed },
    Pair {
        forward: &["winograd_weights", "winograd_conv2d"],
        backward: &["winograd_conv_transpose2d", "winograd_weight_grad"],
        check: winograd,
    },
    Pair { forward: &["activation"], backward: &["activation_backward"], check: activation },
    Pair { forward: &["bce_with_logits"], backward: &["bce_with_logits"], check: bce },
    Pair { forward: &["wasserstein_loss"], backward: &["wasserstein_loss"], check: wasserstein },
    Pair { forward: &["bias_add"], backward: &["channel_sum"], check: bias },
    Pair {
        forward: &["batch_norm_stats", "batch_norm_apply"],
        backward: &["batch_norm_backward_reduce", "batch_norm_backward_apply"],
        check: batch_norm,
    },
    Pair {
        forward: &["instance_norm_stats", "instance_norm_apply"],
        backward: &["instance_norm_backward_reduce", "instance_norm_backward_apply", "instance_norm_param_grad"],
        check: instance_norm,
    },
    Pair {
        forward: &["instance_norm_backward_reduce", "instance_norm_backward_apply"],
        backward: &["instance_norm_second_reduce", "instance_norm_second_apply", "instance_norm_second_param_grad"],
        check: instance_second,
    },
    Pair { forward: &["image_square_sum", "gradient_penalty"], backward: &["gradient_penalty_seed"], check: penalty },
];

thread_local! {
    /// The rows that [`run`] evaluated.
    static USED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

/// A row is a gradient if its name or an output says so.
fn is_gradient(kernel: &dyn AnyKernel) -> bool {
    let name = ["backward", "grad", "second"].iter().any(|part| kernel.name().replace("winograd", "").contains(part));
    let written = kernel.bindings().iter().filter(|b| b.access == fedgan::kernels::Access::ReadWrite);
    let outputs = ["dx", "dy", "dw", "dz", "db", "dgamma", "dbeta"];
    name || written.map(|b| b.name).any(|b| outputs.contains(&b))
}

#[test]
fn every_gradient_row_has_its_pair() {
    let covered: BTreeSet<&str> = PAIRS.iter().flat_map(|p| p.backward).copied().collect();
    // Its name contains `gradient`, but it is the loss, whose gradient is the seed.
    let forward_only = "gradient_penalty";
    let rows: Vec<&str> = CATALOGUE.iter().filter(|k| is_gradient(**k)).map(|k| k.name()).collect();
    let missing: Vec<&&str> = rows.iter().filter(|n| **n != forward_only && !covered.contains(*n)).collect();
    assert!(missing.is_empty(), "no pair in PAIRS for {missing:?}");
    assert!(rows.len() >= 13 && PAIRS.iter().any(|p| p.forward.contains(&forward_only)), "{rows:?}");
}

#[test]
fn gradients_are_the_finite_differences_of_their_forward_rows() {
    for pair in PAIRS {
        USED.take();
        for shape in 0..4 {
            (pair.check)(&mut Random::new(3, pair.forward[0], &[shape], 0));
        }
        let used = USED.take();
        for name in pair.forward.iter().chain(pair.backward) {
            assert!(used.contains(name), "{:?} never evaluates {name}", pair.forward);
        }
    }
}

/// Every operand of row `name` after a launch: inputs rounded to f32, outputs from the f64 reference.
fn run<P: Params>(name: &'static str, p: &P, args: &[&[f64]]) -> Vec<Vec<f64>> {
    let kernel = find(name).unwrap();
    USED.with_borrow_mut(|used| used.insert(name));
    let word = |elem, v: f64| if elem == Elem::U32 { v as u32 } else { (v as f32).to_bits() };
    let bindings = kernel.bindings();
    let words: Vec<Vec<u32>> =
        args.iter().zip(bindings).map(|(a, b)| a.iter().map(|v| word(b.elem, *v)).collect()).collect();
    let extents = kernel.extents(&p.words()).unwrap();
    assert_eq!(words.iter().map(Vec::len).collect::<Vec<_>>(), extents, "{name}: operands");
    let inputs = Inputs(words.iter().map(Vec::as_slice).collect());
    let element = |slot: usize, i: usize| match bindings[slot].access {
        fedgan::kernels::Access::Read => args[slot][i],
        _ => kernel.at(&p.words(), &inputs, slot, i).map_or(args[slot][i], |eval| eval.value),
    };
    (0..args.len()).map(|slot| (0..args[slot].len()).map(|i| element(slot, i)).collect()).collect()
}

/// Multiples of 1/64 in -2..2, never 0: half a step away from ReLU's kink.
fn values(random: &mut Random, n: u32) -> Vec<f64> {
    (0..n).map(|_| (f64::from(random.below(256)) - 127.5) / 64.0).collect()
}

fn zeros(n: u32) -> Vec<f64> {
    vec![0.0; n as usize]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Central differences of fourth order with steps that are exact in f32.
fn differences(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let h = 1.0 / 512.0;
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|i| {
            let mut at = |steps: f64| {
                moved[i] = x[i] + steps * h;
                let value = f(&moved);
                moved[i] = x[i];
                value
            };
            (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h)
        })
        .collect()
}

fn close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-5 * size + 1e-9, "{what}[{i}] is {g}, by differences {w}");
    }
}

#[test]
fn a_wrong_gradient_is_detected() {
    let wrong = |got: &[f64]| std::panic::catch_unwind(|| close("x", got, &[1.0, -2.0])).is_err();
    assert!(wrong(&[1.0, -2.001]) && wrong(&[f64::NAN, -2.0]) && wrong(&[1.0, 2.0]) && !wrong(&[1.0, -2.0]));
}

fn geometry(random: &mut Random) -> ConvParams {
    loop {
        let mut next = |n: u32| 1 + random.below(n);
        let (k, stride) = (next(4), next(2));
        let (pad, sides, channels) = (next(k) - 1, [next(6), next(6)], [next(3), next(3)]);
        let small = sides.map(|side| ConvParams::small_side(side, k, stride, pad));
        if let [Some(oh), Some(ow)] = small {
            let (large, small) = ([sides[0], sides[1], channels[0]], [oh, ow, channels[1]]);
            return ConvParams::new(1, next(3), large, small, k, stride, pad);
        }
    }
}

fn convolution(random: &mut Random) {
    let p = geometry(random);
    let (x, w, g) = (values(random, p.large()), values(random, p.weights()), values(random, p.small()));
    let loss = |x: &[f64], w: &[f64]| dot(&run("conv2d", &p, &[x, w, &zeros(p.small())])[2], &g);
    let dx = run("conv_transpose2d", &p, &[&g, &w, &zeros(p.large())]).remove(2);
    close("dx", &dx, &differences(&x, |x| loss(x, &w)));
    let dw = differences(&w, |w| loss(&x, w));
    close("dw", &run("conv2d_weight_grad", &p, &[&x, &g, &zeros(p.weights())])[2], &dw);
    let split = ConvParams { splits: 3, ..p };
    let parts = run("conv2d_weight_grad", &split, &[&x, &g, &zeros(3 * p.weights())]).remove(2);
    let sum = SplitSumParams { clients: 1, splits: 3, n: p.weights(), ..Default::default() };
    close("dw in parts", &run("split_sum", &sum, &[&parts, &zeros(p.weights())])[1], &dw);
}

fn transposed(random: &mut Random) {
    let p = geometry(random);
    let (z, w, g) = (values(random, p.small()), values(random, p.weights()), values(random, p.large()));
    let loss = |z: &[f64], w: &[f64]| dot(&run("conv_transpose2d", &p, &[z, w, &zeros(p.large())])[2], &g);
    close("dz", &run("conv2d", &p, &[&g, &w, &zeros(p.small())])[2], &differences(&z, |z| loss(z, &w)));
    let dw = run("conv2d_weight_grad", &p, &[&g, &z, &zeros(p.weights())]).remove(2);
    close("dw", &dw, &differences(&w, |w| loss(&z, w)));
}

/// The convolution of transformed weights, differentiated at the plain weights. It is linear in either operand, so a sample of
/// the differences is enough: each is compared with the whole gradient's element.
fn winograd(random: &mut Random) {
    let [h, w] = [4 * (1 + random.below(2)), 4 * (1 + random.below(2))];
    let [ci, co] = [16 * (1 + random.below(2)), 16];
    let p = WinogradParams { clients: 1, n: 1 + random.below(2), h, w, ci, co, ..Default::default() };
    let (large, small, plain, words) = (p.large(), p.small(), 16 * ci * co, transformed(ci, co));
    let (x, weights, g) = (values(random, large), values(random, plain), values(random, small));
    let transform = |weights: &[f64], transposed| {
        let p = WinogradWeightsParams { clients: 1, ci, co, transposed, ..Default::default() };
        run("winograd_weights", &p, &[weights, &zeros(words)]).remove(1)
    };
    let loss = |x: &[f64], v: &[f64]| dot(&run("winograd_conv2d", &p, &[x, v, &zeros(small)])[2], &g);
    let dx = run("winograd_conv_transpose2d", &p, &[&g, &transform(&weights, 1), &zeros(large)]).remove(2);
    let dw = run("winograd_weight_grad", &p, &[&x, &g, &zeros(plain)]).remove(2);
    let v = transform(&weights, 0);
    for _ in 0..12 {
        let [i, j] = [random.below(large) as usize, random.below(plain) as usize];
        let at = |values: &[f64], i: usize, value: f64| {
            let mut moved = values.to_vec();
            moved[i] = value;
            moved
        };
        close("dx", &dx[i..=i], &differences(&x[i..=i], |moved| loss(&at(&x, i, moved[0]), &v)));
        let by_weight = |moved: &[f64]| loss(&x, &transform(&at(&weights, j, moved[0]), 0));
        close("dw", &dw[j..=j], &differences(&weights[j..=j], by_weight));
    }
}

fn activation(random: &mut Random) {
    let n = 40 + random.below(40);
    let (x, g) = (values(random, n), values(random, n));
    for kind in kind::RELU..=kind::SIGMOID {
        let p = ActivationParams { clients: 1, n, kind, slope: 0.25, ..Default::default() };
        let y = |x: &[f64]| run("activation", &p, &[x, &zeros(n)]).remove(1);
        let s = if kind == kind::TANH || kind == kind::SIGMOID { y(&x) } else { x.clone() };
        let back = ActivationBackwardParams { clients: 1, n, kind, slope: 0.25, ..Default::default() };
        let dx = run("activation_backward", &back, &[&s, &g, &zeros(n)]).remove(2);
        close(&format!("dx of kind {kind}"), &dx, &differences(&x, |x| dot(&y(x), &g)));
    }
}

fn bce(random: &mut Random) {
    let n = 1 + random.below(9);
    let x = values(random, n);
    for target in [0.0, 1.0, 0.25] {
        let p = BceParams { clients: 1, n, target, ..Default::default() };
        let all = |x: &[f64]| run("bce_with_logits", &p, &[x, &zeros(n), &[0.0]]);
        close("dx", &all(&x)[1], &differences(&x, |x| all(x)[2][0]));
    }
}

fn wasserstein(random: &mut Random) {
    let n = 1 + random.below(9);
    let x = values(random, n);
    let p = WassersteinLossParams { clients: 1, n, scale: -1.0, ..Default::default() };
    let all = |x: &[f64]| run("wasserstein_loss", &p, &[x, &zeros(n), &[0.0]]);
    close("dx", &all(&x)[1], &differences(&x, |x| all(x)[2][0]));
}

fn bias(random: &mut Random) {
    let (rows, c) = (1 + random.below(7), 1 + random.below(5));
    let (x, b, g) = (values(random, rows * c), values(random, c), values(random, rows * c));
    let add = BiasAddParams { clients: 1, rows, c, ..Default::default() };
    let db = differences(&b, |b| dot(&run("bias_add", &add, &[b, &x])[1], &g));
    let sum = ChannelSumParams { clients: 1, rows, c, ..Default::default() };
    close("db", &run("channel_sum", &sum, &[&g, &zeros(c)])[1], &db);
}

const EPS: f32 = 1.0 / 1024.0;

/// x normalised over the rows of each of `n` images of c channels, and 1 / sqrt(variance + eps).
fn normalised(x: &[f64], n: usize, c: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = x.len() / n / c;
    let (mut y, mut inverse) = (vec![0.0; x.len()], vec![0.0; n * c]);
    for (image, channel) in (0..n).flat_map(|i| (0..c).map(move |k| (i, k))) {
        let at = |row: usize| (image * rows + row) * c + channel;
        let mean = (0..rows).map(|r| x[at(r)]).sum::<f64>() / rows as f64;
        let variance = (0..rows).map(|r| (x[at(r)] - mean).powi(2)).sum::<f64>() / rows as f64;
        inverse[image * c + channel] = 1.0 / (variance + f64::from(EPS)).sqrt();
        (0..rows).for_each(|r| y[at(r)] = (x[at(r)] - mean) * inverse[image * c + channel]);
    }
    (y, inverse)
}

/// gamma x^ + beta, weighted by g.
fn norm_loss(x: &[f64], gamma: &[f64], beta: &[f64], g: &[f64], n: usize) -> f64 {
    let c = gamma.len();
    let (xhat, _) = normalised(x, n, c);
    (0..x.len()).map(|i| (gamma[i % c] * xhat[i] + beta[i % c]) * g[i]).sum()
}

fn batch_norm(random: &mut Random) {
    let (rows, c) = (2 + random.below(9), 1 + random.below(4));
    let (x, g) = (values(random, rows * c), values(random, rows * c));
    let (gamma, beta) = (values(random, c), values(random, c));
    let p = BatchNormStatsParams { clients: 1, rows, c, eps: EPS, ..Default::default() };
    let none = zeros(c);
    let stats = run("batch_norm_stats", &p, &[&x, &none, &none, &none, &none, &[0.0; 4], &[0.0]]);
    let (mean, invstd) = (&stats[1], &stats[2]);
    let p = BatchNormApplyParams { clients: 1, rows, c, slope: 1.0, ..Default::default() };
    let y = run("batch_norm_apply", &p, &[&x, mean, invstd, &gamma, &beta, &zeros(rows * c)]).remove(5);
    close("loss", &[dot(&y, &g)], &[norm_loss(&x, &gamma, &beta, &g, 1)]);

    let p = BatchNormBackwardReduceParams { clients: 1, rows, c, ..Default::default() };
    let reduced = run("batch_norm_backward_reduce", &p, &[&g, &x, mean, invstd, &zeros(2 * c), &none, &none]);
    close("dgamma", &reduced[5], &differences(&gamma, |gamma| norm_loss(&x, gamma, &beta, &g, 1)));
    close("dbeta", &reduced[6], &differences(&beta, |beta| norm_loss(&x, &gamma, beta, &g, 1)));
    let p = BatchNormBackwardApplyParams { clients: 1, rows, c, ..Default::default() };
    let args: [&[f64]; 7] = [&g, &x, mean, invstd, &gamma, &reduced[4], &zeros(rows * c)];
    let dx = run("batch_norm_backward_apply", &p, &args).remove(6);
    close("dx", &dx, &differences(&x, |x| norm_loss(x, &gamma, &beta, &g, 1)));
}

/// Shape, x, gamma, beta, two tensors like x, and the statistics.
type Images = (InstanceParams, Vec<f64>, Vec<f64>, Vec<f64>, [Vec<f64>; 2], Vec<f64>);

fn images(random: &mut Random, places: u32) -> Images {
    let [n, rows, c] = [1 + random.below(3), 3 + random.below(7), 1 + random.below(4)];
    let p = InstanceParams { eps: EPS, ..InstanceParams::new(1, n, rows, c, places) };
    let (x, gamma, beta) = (values(random, n * rows * c), values(random, c), values(random, c));
    let like = [values(random, n * rows * c), values(random, n * rows * c)];
    let stats = run("instance_norm_stats", &p, &[&x, &zeros(2 * n * c)]).remove(1);
    (p, x, gamma, beta, like, stats)
}

fn instance_norm(random: &mut Random) {
    let (p, x, gamma, beta, [g, _], stats) = images(random, 2);
    let (n, none) = (p.n as usize, zeros(p.c));
    let y = run("instance_norm_apply", &p, &[&x, &stats, &gamma, &beta, &vec![0.0; x.len()]]).remove(4);
    close("loss", &[dot(&y, &g)], &[norm_loss(&x, &gamma, &beta, &g, n)]);
    let moments = run("instance_norm_backward_reduce", &p, &[&g, &x, &stats, &zeros(2 * p.n * p.c)]).remove(3);
    let args: [&[f64]; 6] = [&g, &x, &stats, &gamma, &moments, &vec![0.0; x.len()]];
    let dx = run("instance_norm_backward_apply", &p, &args).remove(5);
    close("dx", &dx, &differences(&x, |x| norm_loss(x, &gamma, &beta, &g, n)));
    let grads = run("instance_norm_param_grad", &p, &[&moments, &none, &none]);
    close("dgamma", &grads[1], &differences(&gamma, |gamma| norm_loss(&x, gamma, &beta, &g, n)));
    close("dbeta", &grads[2], &differences(&beta, |beta| norm_loss(&x, &gamma, beta, &g, n)));
}

/// u . (J t), where J is the norm's Jacobian.
fn jacobian_product(x: &[f64], gamma: &[f64], t: &[f64], u: &[f64], n: usize) -> f64 {
    let c = gamma.len();
    let rows = x.len() / n / c;
    let (xhat, inverse) = normalised(x, n, c);
    let mut sum = 0.0;
    for (image, k) in (0..n).flat_map(|i| (0..c).map(move |k| (i, k))) {
        let places = || (0..rows).map(move |row| (image * rows + row) * c + k);
        let mean = |f: &dyn Fn(usize) -> f64| places().map(f).sum::<f64>() / rows as f64;
        let (level, slope) = (mean(&|i| t[i]), mean(&|i| t[i] * xhat[i]));
        let scale = gamma[k] * inverse[image * c + k];
        sum += places().map(|i| u[i] * scale * (t[i] - level - xhat[i] * slope)).sum::<f64>();
    }
    sum
}

fn instance_second(random: &mut Random) {
    let (p, x, gamma, _, [t, u], stats) = images(random, place::ALL);
    let (n, none) = (p.n as usize, vec![0.0; x.len()]);
    let [tangent, delta] = [place::TANGENT, place::DELTA].map(|place| InstanceParams { place, ..p });
    let reduce = |p: &InstanceParams, d: &[f64], m: &[f64]| {
        run("instance_norm_backward_reduce", p, &[d, &x, &stats, m]).remove(3)
    };
    let moments = reduce(&delta, &u, &reduce(&tangent, &t, &zeros(place::ALL * p.n * p.c)));
    let args: [&[f64]; 6] = [&t, &x, &stats, &gamma, &moments, &none];
    let product = dot(&run("instance_norm_backward_apply", &tangent, &args)[5], &u);
    close("u J t", &[product], &[jacobian_product(&x, &gamma, &t, &u, n)]);

    let moments = run("instance_norm_second_reduce", &p, &[&u, &t, &moments]).remove(2);
    let args: [&[f64]; 7] = [&x, &t, &u, &stats, &gamma, &moments, &none];
    let dx = run("instance_norm_second_apply", &p, &args).remove(6);
    close("dx", &dx, &differences(&x, |x| jacobian_product(x, &gamma, &t, &u, n)));
    let dgamma = run("instance_norm_second_param_grad", &p, &[&stats, &moments, &zeros(p.c)]).remove(2);
    close("dgamma", &dgamma, &differences(&gamma, |gamma| jacobian_product(&x, gamma, &t, &u, n)));
}

fn penalty(random: &mut Random) {
    let (n, len, lambda) = (1 + random.below(4), 1 + random.below(12), 10.0);
    let g = values(random, n * len);
    let p = ImageSquareSumParams { clients: 1, n, len, ..Default::default() };
    let squares = run("image_square_sum", &p, &[&g, &zeros(n)]).remove(1);
    let direct = |g: &[f64]| {
        let norms = g.chunks(len as usize).map(|g| dot(g, g).sqrt());
        norms.map(|norm| f64::from(lambda) * (norm - 1.0).powi(2) / f64::from(n)).sum::<f64>()
    };
    let p = GradientPenaltyParams { clients: 1, n, lambda, ..Default::default() };
    close("penalty", &run("gradient_penalty", &p, &[&squares, &[0.0]])[1], &[direct(&g)]);
    let p = GradientPenaltySeedParams { clients: 1, n, len, lambda, ..Default::default() };
    let v = run("gradient_penalty_seed", &p, &[&g, &squares, &zeros(n * len)]).remove(2);
    // The loss must be curved for small norms: an image of one word has a kink at 0 only.
    close("v", &v, &differences(&g, direct));
}
