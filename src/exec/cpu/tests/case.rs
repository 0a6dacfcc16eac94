//! Catalogue cases of the CPU functions against the reference, and properties that no case covers.

use crate::exec::cpu::CpuEngine;
use crate::exec::{Engine, Purpose, Recording, Tensor};
use crate::kernels::attack::paste_trigger::{PasteTrigger, PasteTriggerParams};
use crate::kernels::fed::weighted_mean::{WeightedMean, WeightedMeanParams};
use crate::kernels::optim::adam::{Adam, AdamParams, adam_table};
use crate::kernels::rng::{HostRng, RngParams, Stream, rng_bits::RngBits, rng_normal::RngNormal, threefry4x32};
use crate::kernels::util::step_advance::{StepAdvance, StepAdvanceParams};
use crate::kernels::{Access, AnyKernel, CATALOGUE, Contents, Elem, Inputs, Params};

/// Operands for a case: small integers in the exact pass, normally distributed numbers otherwise.
fn fill(fill: &Contents, len: usize, exact: bool, rng: &mut HostRng) -> Vec<u32> {
    let real = |x: f64| (x as f32).to_bits();
    (0..len)
        .map(|i| match fill {
            Contents::Real { .. } if exact => real(rng.below(9) as f64 - 4.0),
            Contents::Real { scale, shift } => real(rng.normal() * scale + shift),
            Contents::Positive { .. } if exact => real(rng.below(4) as f64 + 1.0),
            Contents::Positive { scale } => real((rng.normal().abs() + 1e-3) * scale),
            Contents::Words(words) => words[i % words.len()],
            Contents::Below(n) => rng.below(*n),
            Contents::Nan => f32::NAN.to_bits(),
        })
        .collect()
}

/// Uploads the operands, launches once, downloads them.
fn launch(kernel: &'static dyn AnyKernel, params: &[u32], before: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut engine = CpuEngine::new();
    let args: Vec<Tensor> = before
        .iter()
        .map(|words| {
            let tensor = engine.alloc("operand", words.len()).unwrap();
            engine.write(tensor, words).unwrap();
            tensor
        })
        .collect();
    let mut recording = Recording::new();
    recording.launch_words(kernel, params.to_vec(), &args, "case").unwrap();
    engine.run(&recording, 1).unwrap();
    args.into_iter().map(|tensor| engine.read(tensor, Purpose::Check).unwrap()).collect()
}

/// Panics at the first element outside its bound; returns how many elements were compared and how many were skipped.
fn compare(
    kernel: &dyn AnyKernel,
    params: &[u32],
    before: &[Vec<u32>],
    after: &[Vec<u32>],
    exact: bool,
) -> (usize, usize) {
    let inputs = Inputs(before.iter().map(Vec::as_slice).collect());
    let (mut compared, mut kept) = (0, 0);
    for (slot, binding) in kernel.bindings().iter().enumerate() {
        if binding.access == Access::Read {
            continue;
        }
        for (i, eval) in kernel.whole(params, &inputs, slot, before[slot].len()).into_iter().enumerate() {
            let at = format!("{} {params:?} {}[{i}]", kernel.name(), binding.name);
            let Some(eval) = eval else {
                assert_eq!(before[slot][i], after[slot][i], "{at}: must not be written");
                kept += 1;
                continue;
            };
            compared += 1;
            let got = match binding.elem {
                Elem::F32 => f32::from_bits(after[slot][i]) as f64,
                Elem::U32 => after[slot][i] as f64,
            };
            let bound = if exact { 0.0 } else { eval.bound };
            let want = if bound == 0.0 && binding.elem == Elem::F32 { eval.value as f32 as f64 } else { eval.value };
            // An infinite value, whose bound is also infinite, must match, and so must NaN.
            let same = got == want || got.is_nan() && want.is_nan();
            let close = same || bound.is_finite() && (got - want).abs() <= bound;
            assert!(close, "{at}: {got:e}, expected {want:e} within {bound:e}");
        }
    }
    (compared, kept)
}

#[test]
fn every_case_agrees_with_the_reference() {
    for kernel in CATALOGUE.iter().copied() {
        for params in kernel.cases() {
            let extents = kernel.extents(&params).unwrap();
            for exact in [false, true].into_iter().take(1 + kernel.exact_on_integers(&params) as usize) {
                let mut rng = HostRng::new(11, Stream::CHECK, 0, exact as u32);
                let fills = kernel.contents(&params);
                assert_eq!(fills.len(), extents.len());
                let before: Vec<_> = fills.iter().zip(&extents).map(|(f, n)| fill(f, *n, exact, &mut rng)).collect();
                let after = launch(kernel, &params, &before);
                assert!(
                    compare(kernel, &params, &before, &after, exact).0 > 0,
                    "{}: no element was compared",
                    kernel.name()
                );
            }
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn random_words_are_the_blocks_of_their_client_step_and_round() {
    let p = RngParams { clients: 2, n: 7, y_stride: 64, client_base: 3, seed_lo: 5, seed_hi: 6, ..Default::default() };
    let p = RngParams { stream: Stream::SAMPLE.0, ..p };
    let after = launch(&RngBits, &p.words(), &[vec![0; 71], vec![99, 8, 21, 0]]);
    for (c, i) in [(0, 0), (0, 6), (1, 2), (1, 5)] {
        let block = threefry4x32([5, 6, Stream::SAMPLE.0, 3 + c as u32], [i as u32 / 4, 21, 8, 0]);
        assert_eq!(after[0][64 * c + i], block[i % 4]);
    }
    // A chunk that starts at client 4 produces the words that client 4 gets in the launch over both.
    let chunk = RngParams { clients: 1, client_base: 4, ..p };
    assert_eq!(launch(&RngBits, &chunk.words(), &[vec![0; 7], vec![0, 8, 21, 0]])[0], after[0][64..71]);
}

#[test]
fn normals_have_the_moments_of_normals() {
    const N: usize = 200_000;
    let p = RngParams { clients: 1, n: N as u32, y_stride: 0, seed_lo: 1, a: 2.0, b: 3.0, ..Default::default() };
    let after = launch(&RngNormal, &p.words(), &[vec![0; N], vec![0; 4]]);
    let z: Vec<f64> = after[0].iter().map(|w| (f32::from_bits(*w) as f64 - 2.0) / 3.0).collect();
    let moment = |k: i32| z.iter().map(|z| z.powi(k)).sum::<f64>() / N as f64;
    // Six standard deviations of each estimate: var(z^k) = E z^2k - (E z^k)^2.
    for (k, want, var) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let allowed = 6.0 * (var / N as f64).sqrt();
        assert!((moment(k) - want).abs() < allowed, "moment {k}: {} +- {allowed}", moment(k));
    }
    // Neighbours (the two numbers of a pair, and of adjacent blocks) are uncorrelated.
    for lag in [1, 2, 3, 4] {
        let correlation = z.iter().zip(&z[lag..]).map(|(a, b)| a * b).sum::<f64>() / N as f64;
        assert!(correlation.abs() < 6.0 / (N as f64).sqrt(), "lag {lag}: {correlation}");
    }
    let beyond = z.iter().filter(|z| z.abs() > 3.0).count() as f64 / N as f64;
    assert!((beyond - 0.0027).abs() < 6.0 * (0.0027f64 / N as f64).sqrt(), "{beyond} beyond three");
}

#[test]
fn a_client_of_weight_zero_is_not_read() {
    let p = WeightedMeanParams { clients: 3, n: 2, x_stride: 64, first: 1, accumulate: 0 };
    let mut x = vec![f32::NAN; 130];
    x[..2].copy_from_slice(&[1.0, 2.0]);
    x[128..].copy_from_slice(&[10.0, 20.0]);
    let before = [bits(&x), bits(&[7.0, 0.5, 0.0, 0.25]), bits(&[f32::NAN; 2])];
    let after = launch(&WeightedMean, &p.words(), &before);
    assert_eq!(after[2], bits(&[3.0, 6.0]));
    assert_eq!(compare(&WeightedMean, &p.words(), &before, &after, true), (2, 0));
    // Accumulating chunks give the same bits as one launch.
    let first = WeightedMeanParams { clients: 1, ..p };
    let half = launch(&WeightedMean, &first.words(), &[before[0][..2].to_vec(), before[1].clone(), before[2].clone()]);
    let rest = WeightedMeanParams { clients: 2, first: 2, accumulate: 1, ..p };
    let both = launch(&WeightedMean, &rest.words(), &[before[0][64..].to_vec(), before[1].clone(), half[2].clone()]);
    assert_eq!(both[2], after[2]);
}

#[test]
fn adam_takes_its_first_step_and_leaves_inactive_clients() {
    let p = AdamParams { clients: 2, n: 1, stride: 64, table_stride: 64, ..AdamParams::new(0.5, 0.999, 1e-8) };
    let table: Vec<f32> = [adam_table(0.01, 0.5, 0.999, 1, 1), vec![0.0; 62]].concat().repeat(2);
    let mut g = vec![0.0; 65];
    (g[0], g[64]) = (-3.0, -3.0);
    let zero = bits(&[0.0; 65]);
    let before = [zero.clone(), bits(&g), zero.clone(), zero.clone(), bits(&table), vec![0; 4], vec![1, 0]];
    let after = launch(&Adam, &p.words(), &before);
    // The first step moves by lr against the sign of the gradient.
    assert!((f32::from_bits(after[0][0]) - 0.01).abs() < 1e-8);
    assert_eq!(f32::from_bits(after[2][0]), -1.5);
    for slot in [0, 2, 3] {
        assert_eq!(after[slot][1..], before[slot][1..], "slot {slot} of the inactive client");
    }
}

#[test]
fn an_opaque_trigger_is_copied_bit_for_bit_and_must_fit() {
    let p = PasteTriggerParams {
        clients: 1,
        batch: 2,
        h: 2,
        w: 2,
        c: 1,
        th: 1,
        tw: 1,
        top: 1,
        left: 1,
        ..Default::default()
    };
    let p = PasteTriggerParams { opacity: 1.0, order_stride: 4, ..p };
    let before = [bits(&[f32::NAN; 8]), bits(&[-0.0]), vec![0, 0, 0, 1 << 31], vec![1, 0, 0, 0]];
    let after = launch(&PasteTrigger, &p.words(), &before);
    let mut want = before[0].clone();
    want[7] = (-0.0f32).to_bits();
    assert_eq!(after[0], want);
    for (top, left, tw, opacity) in
        [(2, 1, 1, 1.0), (1, u32::MAX, 1, 1.0), (0, 1, 2, 1.0), (0, 0, 1, 1.5), (0, 0, 1, f32::NAN)]
    {
        let bad = PasteTriggerParams { top, left, tw, opacity, ..p };
        assert!(PasteTrigger.extents(&bad.words()).is_err(), "{bad:?}");
    }
}

#[test]
fn losses_are_booked_and_the_step_advances() {
    let p = StepAdvanceParams { clients: 2, loss_stride: 64, stat_stride: 64 };
    let mut losses = vec![0.0; 68];
    losses[..4].copy_from_slice(&[1.0, 2.0, 3.0, 0.25]);
    let stats = bits(&[0.5; 72]);
    let before = [bits(&losses), vec![2, 1], stats.clone(), vec![1, 4, 9, 77]];
    let after = launch(&StepAdvance, &p.words(), &before);
    assert_eq!(after[3], [2, 4, 10, 77]);
    assert_eq!(after[2][..8], bits(&[1.5, 2.5, 3.5, 1.5, 1.0, 2.0, 3.0, 0.75]));
    assert_eq!(after[2][8..], stats[8..]);
}
