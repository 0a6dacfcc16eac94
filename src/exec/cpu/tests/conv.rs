//! The host convolutions against a loop over every (pixel, tap, channel) triple in f64.

use crate::exec::cpu::{Args, twin};
use crate::exec::{BufferId, Tensor};
use crate::kernels::nn::conv::ConvParams;
use crate::kernels::nn::split_sum::{SplitSum, SplitSumParams};
use crate::kernels::nn::{conv_transpose2d::ConvTranspose2d, conv2d::Conv2d, conv2d_weight_grad::Conv2dWeightGrad};
use crate::kernels::{AnyKernel, Binding, Params, gamma};

/// Marks gaps between clients and outputs that have not been written.
const UNTOUCHED: u32 = 0x7fc0_dead;

/// Runs the kernel's twin with read operands `inputs` and write operand `out`; returns the contents of `out`.
pub(super) fn launch(kernel: &dyn AnyKernel, words: &[u32], inputs: &[&[f32]], out: Vec<f32>) -> Vec<f32> {
    let mut buffers: Vec<Vec<u32>> = inputs.iter().map(|i| bytemuck::cast_slice(i).to_vec()).collect();
    buffers.push(bytemuck::cast_vec(out));
    let mut bindings = vec![Binding::read("in", ""); inputs.len()];
    bindings.push(Binding::write("out", ""));
    let tensors: Vec<Tensor> =
        (0..buffers.len()).map(|i| Tensor { buffer: BufferId(i as u32), offset: 0, words: buffers[i].len() }).collect();
    (twin(kernel).unwrap().run)(words, &Args::new(&mut buffers, &bindings, &tensors));
    bytemuck::cast_vec(buffers.pop().unwrap())
}

/// Value, sum of |terms| and number of terms of one output element.
type Sums = Vec<(f64, f64, usize)>;

/// A shape with random operands, and the three results in f64.
struct Case {
    p: ConvParams,
    large: Vec<f32>,
    weights: Vec<f32>,
    small: Vec<f32>,
}

impl Case {
    /// `sides`: h, w; `channels`: ci, co; `window`: k, stride, pad.
    fn new(
        clients: u32,
        n: u32,
        sides: [u32; 2],
        channels: [u32; 2],
        window: [u32; 3],
        integers: bool,
    ) -> Option<Self> {
        let [k, stride, pad] = window;
        let [oh, ow] = sides.map(|s| (s + 2 * pad).checked_sub(k).map(|v| v / stride + 1));
        let ([h, w], [ci, co], oh, ow) = (sides, channels, oh?, ow?);
        let gap = |words: u32| words.next_multiple_of(64) + 64;
        let (large, weights, small) = (n * h * w * ci, co * k * k * ci, n * oh * ow * co);
        let p = ConvParams {
            clients,
            n,
            h,
            w,
            ci,
            oh,
            ow,
            co,
            k,
            stride,
            pad,
            large_stride: gap(large),
            weight_stride: gap(3 * weights),
            small_stride: gap(small),
            splits: 1,
            accumulate: 0,
        };
        let mut state = u64::from(large + 31 * weights + 1009 * small) + 1;
        let mut fill = |words: u32| -> Vec<f32> {
            (0..words).map(|_| random(&mut state)).map(|v| if integers { (v * 4.0).round() } else { v }).collect()
        };
        let [a, b, c] = [p.large_stride, p.weight_stride, p.small_stride].map(|s| fill(clients * s));
        Some(Case { p, large: a, weights: b, small: c })
    }

    /// Calls `f` for every product with its indices (large, weight, small) within a client.
    fn products(&self, mut f: impl FnMut(usize, usize, usize)) {
        let p = &self.p;
        for n in 0..p.n {
            for (oy, ox) in (0..p.oh).flat_map(|y| (0..p.ow).map(move |x| (y, x))) {
                for (ky, kx) in (0..p.k).flat_map(|y| (0..p.k).map(move |x| (y, x))) {
                    let y = (oy * p.stride + ky) as i64 - p.pad as i64;
                    let x = (ox * p.stride + kx) as i64 - p.pad as i64;
                    if y < 0 || x < 0 || y >= p.h as i64 || x >= p.w as i64 {
                        continue;
                    }
                    for (co, ci) in (0..p.co).flat_map(|o| (0..p.ci).map(move |i| (o, i))) {
                        let large = ((n * p.h + y as u32) * p.w + x as u32) * p.ci + ci;
                        let weight = ((co * p.k + ky) * p.k + kx) * p.ci + ci;
                        let small = ((n * p.oh + oy) * p.ow + ox) * p.co + co;
                        f(large as usize, weight as usize, small as usize);
                    }
                }
            }
        }
    }

    /// The expected output of `which`, including client stride and gaps (of zero terms).
    fn expected(&self, which: Which, old: &[f32]) -> Sums {
        let p = &self.p;
        let mut sums: Sums = vec![(0.0, 0.0, 0); which.words(p)];
        if p.accumulate == 1 {
            sums = old.iter().map(|v| (f64::from(*v), f64::from(v.abs()), 1)).collect();
        }
        let (pixels, size) = ((p.n * p.oh * p.ow) as usize, (p.co * p.k * p.k * p.ci) as usize);
        let part = pixels.div_ceil(p.splits as usize);
        for c in 0..p.clients as usize {
            let [l, w, s] = [p.large_stride, p.weight_stride, p.small_stride].map(|stride| c * stride as usize);
            self.products(|large, weight, small| {
                let (large, small_pixel, weight, small) = (l + large, small / p.co as usize, w + weight, s + small);
                let f = |v: &Vec<f32>, i: usize| f64::from(v[i]);
                let (to, term) = match which {
                    Which::Forward => (small, f(&self.large, large) * f(&self.weights, weight)),
                    Which::Transposed => (large, f(&self.small, small) * f(&self.weights, weight)),
                    Which::Weights => {
                        (weight + small_pixel / part * size, f(&self.large, large) * f(&self.small, small))
                    }
                };
                sums[to].0 += term;
                sums[to].1 += term.abs();
                sums[to].2 += 1;
            });
        }
        sums
    }

    /// Runs `which` over `old`.
    fn run(&self, which: Which, old: Vec<f32>) -> Vec<f32> {
        let words = self.p.words();
        match which {
            Which::Forward => launch(&Conv2d, &words, &[&self.large, &self.weights], old),
            Which::Transposed => launch(&ConvTranspose2d, &words, &[&self.small, &self.weights], old),
            Which::Weights => launch(&Conv2dWeightGrad, &words, &[&self.large, &self.small], old),
        }
    }

    /// Contents of the output before the run: unreadable, or values to add to.
    fn old(&self, which: Which) -> Vec<f32> {
        let words = which.words(&self.p);
        match self.p.accumulate {
            1 => (0..words).map(|i| (i % 7) as f32 - 3.0).collect(),
            _ => vec![f32::from_bits(UNTOUCHED); words],
        }
    }

    /// Compares `which` with the loop: integers exactly, others within gamma(K + 1); gaps must be unchanged.
    fn check(&self, which: Which, exact: bool) {
        let old = self.old(which);
        let got = self.run(which, old.clone());
        let (len, stride) = which.shape(&self.p);
        for (i, (value, scale, terms)) in self.expected(which, &old).into_iter().enumerate() {
            if i % stride >= len {
                assert_eq!(got[i].to_bits(), old[i].to_bits(), "{which:?} {:?}: gap word {i}", self.p);
                continue;
            }
            let bound = if exact { 0.0 } else { gamma(terms + 1) * scale };
            let error = (f64::from(got[i]) - value).abs();
            assert!(error <= bound, "{which:?} {:?}: {i}: {} for {value}, bound {bound}", self.p, got[i]);
        }
    }

    /// All three kernels; the weight gradient also accumulated and split into parts.
    fn check_all(mut self, exact: bool) {
        for which in [Which::Forward, Which::Transposed, Which::Weights] {
            self.check(which, exact);
        }
        self.p.accumulate = 1;
        self.check(Which::Weights, exact);
        (self.p.accumulate, self.p.splits) = (0, 3);
        self.check(Which::Weights, exact);
    }
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Forward,
    Transposed,
    Weights,
}

impl Which {
    /// Words of a client's output, and its stride.
    fn shape(self, p: &ConvParams) -> (usize, usize) {
        let (len, stride) = match self {
            Which::Forward => (p.n * p.oh * p.ow * p.co, p.small_stride),
            Which::Transposed => (p.n * p.h * p.w * p.ci, p.large_stride),
            Which::Weights => (p.splits * p.co * p.k * p.k * p.ci, p.weight_stride),
        };
        (len as usize, stride as usize)
    }
    fn words(self, p: &ConvParams) -> usize {
        p.clients as usize * self.shape(p).1
    }
}

/// Uniform in -1..1.
fn random(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

/// Odd shapes: every kernel side and stride with three paddings, cycling through channels and clients.
fn odd_shapes(integers: bool) -> Vec<Case> {
    let sides = [[5, 7], [1, 1], [8, 8], [9, 4], [7, 13]];
    let channels = [[1, 3], [3, 17], [16, 1], [5, 3], [16, 17], [1, 1], [3, 1]];
    let mut list = Vec::new();
    let mut turn = 0;
    for k in 1..=7 {
        for stride in 1..=2 {
            for pad in [0, k / 2, k - 1] {
                turn += 1;
                let (clients, n) = ([1, 3, 2][turn % 3], [2, 1, 3, 5][turn % 4]);
                let window = [k, stride, pad];
                list.extend(Case::new(clients, n, sides[turn % 5], channels[turn % 7], window, integers));
            }
        }
    }
    assert!(list.len() > 30, "{} shapes are possible", list.len());
    list
}

/// Shapes that need several bands, slices, groups and tasks, and both ends of a network, which gather nothing.
fn large_shapes(integers: bool) -> Vec<Case> {
    [
        (1, 2, [40, 30], [3, 5], [3, 1, 1]),
        (2, 1, [41, 38], [16, 3], [3, 1, 1]),
        (1, 2, [9, 8], [130, 6], [7, 2, 3]),
        (1, 3, [6, 6], [300, 20], [4, 2, 1]),
        (2, 33, [4, 4], [20, 1], [4, 1, 0]),
        (2, 9, [4, 4], [24, 10], [4, 1, 0]),
        (1, 4, [24, 24], [4, 100], [4, 2, 1]),
        (2, 3, [5, 5], [18, 34], [1, 1, 0]),
        (1, 70, [4, 4], [33, 65], [4, 2, 1]),
    ]
    .into_iter()
    .map(|(clients, n, sides, channels, window)| Case::new(clients, n, sides, channels, window, integers).unwrap())
    .collect()
}

#[test]
fn odd_shapes_stay_within_the_rounding_bound() {
    odd_shapes(false).into_iter().for_each(|case| case.check_all(false));
}

#[test]
fn odd_shapes_are_exact_on_integers() {
    odd_shapes(true).into_iter().for_each(|case| case.check_all(true));
}

#[test]
fn large_shapes_stay_within_the_rounding_bound() {
    large_shapes(false).into_iter().for_each(|case| case.check_all(false));
}

#[test]
fn large_shapes_are_exact_on_integers() {
    large_shapes(true).into_iter().for_each(|case| case.check_all(true));
}

#[test]
fn positions_that_no_tap_reaches_are_zero() {
    // Kernel 2, stride 2 and side 2 reach 4 of 6 positions per axis: no tap meets the last two rows and columns.
    let mut case = Case::new(2, 2, [6, 6], [3, 2], [2, 2, 0], false).unwrap();
    (case.p.oh, case.p.ow) = (2, 2);
    case.check(Which::Transposed, false);
    let got = case.run(Which::Transposed, case.old(Which::Transposed));
    assert!(got[4 * 6 * 3..6 * 6 * 3].iter().all(|v| *v == 0.0));
}

#[test]
fn threads_do_not_change_a_bit() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (one, two) = (pool(1), pool(2));
    let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for mut case in large_shapes(false) {
        for (which, splits) in [(Which::Forward, 1), (Which::Transposed, 1), (Which::Weights, 1), (Which::Weights, 3)] {
            case.p.splits = splits;
            let [a, b] = [&one, &two].map(|pool| bits(pool.install(|| case.run(which, case.old(which)))));
            assert!(a == b, "{which:?} {:?}", case.p);
        }
    }
}

#[test]
fn clients_in_one_launch_equal_clients_alone() {
    let case = large_shapes(false).swap_remove(5);
    for which in [Which::Forward, Which::Transposed, Which::Weights] {
        let together = case.run(which, case.old(which));
        let from = |v: &[f32], stride: u32| v[stride as usize..].to_vec();
        let mut alone = Case {
            p: case.p,
            large: from(&case.large, case.p.large_stride),
            weights: from(&case.weights, case.p.weight_stride),
            small: from(&case.small, case.p.small_stride),
        };
        alone.p.clients = 1;
        let second = alone.run(which, alone.old(which));
        let stride = which.shape(&case.p).1;
        assert!(together[stride..].iter().map(|v| v.to_bits()).eq(second.iter().map(|v| v.to_bits())), "{which:?}");
    }
}

#[test]
fn split_sum_adds_in_order() {
    let (splits, n) = (3, 40_000);
    let p = SplitSumParams { clients: 2, splits, n, x_stride: 120_064, y_stride: 40_064, accumulate: 0 };
    let mut state = 1;
    let x: Vec<f32> = (0..2 * p.x_stride).map(|_| random(&mut state)).collect();
    for accumulate in [0, 1] {
        let old = match accumulate {
            1 => (0..2 * p.y_stride).map(|_| random(&mut state)).collect(),
            _ => vec![f32::from_bits(UNTOUCHED); 2 * p.y_stride as usize],
        };
        let got = launch(&SplitSum, &SplitSumParams { accumulate, ..p }.words(), &[&x], old.clone());
        for i in 0..2 * p.y_stride as usize {
            let (c, e) = (i / p.y_stride as usize, i % p.y_stride as usize);
            let part = |s: usize| x[c * p.x_stride as usize + s * n as usize + e];
            let want = match (e < n as usize, accumulate) {
                (false, _) => old[i],
                (_, 0) => part(0) + part(1) + part(2),
                _ => old[i] + part(0) + part(1) + part(2),
            };
            assert_eq!(got[i].to_bits(), want.to_bits(), "element {e} of client {c}");
        }
    }
}

#[test]
fn the_rows_cases_meet_their_references() {
    use crate::kernels::{Access, Inputs, find};
    for name in ["conv2d", "conv_transpose2d", "conv2d_weight_grad", "split_sum"] {
        let kernel = find(name).unwrap();
        let slot = kernel.bindings().iter().position(|b| b.access == Access::ReadWrite).unwrap();
        assert_eq!(slot, kernel.bindings().len() - 1, "{name} writes its last operand");
        for words in kernel.cases() {
            let extents = kernel.extents(&words).unwrap();
            let mut state = 5;
            let operands: Vec<Vec<f32>> =
                extents.iter().map(|n| (0..*n).map(|_| random(&mut state)).collect()).collect();
            let slices: Vec<&[f32]> = operands.iter().map(Vec::as_slice).collect();
            let got = launch(kernel, &words, &slices[..slot], operands[slot].clone());
            let inputs = Inputs(slices.iter().map(|s| bytemuck::cast_slice(s)).collect());
            for (i, eval) in kernel.whole(&words, &inputs, slot, extents[slot]).into_iter().enumerate() {
                let Some(eval) = eval else {
                    assert_eq!(got[i].to_bits(), operands[slot][i].to_bits(), "{name} {words:?}: gap word {i}");
                    continue;
                };
                let error = (f64::from(got[i]) - eval.value).abs();
                assert!(error <= eval.bound, "{name} {words:?}: {i}: {} for {}", got[i], eval.value);
            }
        }
    }
}
