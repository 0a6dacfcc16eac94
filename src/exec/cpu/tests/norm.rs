//! Properties of the row-wise kernels that no catalogue case covers: threads, and the derivatives of the batch norm's
//! backward pass.

use crate::exec::cpu::CpuEngine;
use crate::exec::{Engine, Purpose, Recording, Tensor};
use crate::kernels::nn::activation::{Activation, ActivationParams, kind};
use crate::kernels::nn::activation_backward::{ActivationBackward, ActivationBackwardParams};
use crate::kernels::nn::batch_norm_backward_apply::{BatchNormBackwardApply, BatchNormBackwardApplyParams};
use crate::kernels::nn::batch_norm_backward_reduce::{BatchNormBackwardReduce, BatchNormBackwardReduceParams};
use crate::kernels::nn::batch_norm_stats::{BatchNormStats, BatchNormStatsParams};
use crate::kernels::nn::bce_with_logits::{BceParams, BceWithLogits};
use crate::kernels::nn::channel_sum::{ChannelSum, ChannelSumParams};
use crate::kernels::{AnyKernel, Params};

/// Launches once with f32 operands; returns all of them afterwards.
fn launch<P: Params>(kernel: &'static dyn AnyKernel, params: &P, before: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut engine = CpuEngine::new();
    let args: Vec<Tensor> = before
        .iter()
        .map(|values| {
            let tensor = engine.alloc("operand", values.len()).unwrap();
            engine.write(tensor, bytemuck::cast_slice(values)).unwrap();
            tensor
        })
        .collect();
    let mut recording = Recording::new();
    recording.launch_words(kernel, params.words(), &args, "test").unwrap();
    engine.run(&recording, 1).unwrap();
    args.into_iter().map(|t| bytemuck::cast_vec(engine.read(t, Purpose::Check).unwrap())).collect()
}

/// Irregular values in -1..1.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let hash = |i: u32| (i ^ seed).wrapping_mul(0x9e37_79b9).rotate_left(15).wrapping_mul(0x85eb_ca6b);
    (0..n).map(|i| (hash(i as u32 + 1) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Sums are split by shape, so one thread and five give the same bits.
#[test]
fn threads_do_not_change_a_bit() {
    let (rows, c) = (3001, 24);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = noise((rows * c) as usize, 1);
            let sum = ChannelSumParams { clients: 1, rows, c, ..Default::default() };
            let stats = BatchNormStatsParams { clients: 1, rows, c, eps: 1e-5, ..Default::default() };
            let row = || vec![0.0; c as usize];
            let mut after = launch(&ChannelSum, &sum, &[x.clone(), row()]);
            after.extend(launch(&BatchNormStats, &stats, &[x, row(), row(), row(), row(), vec![0.0; 4], vec![0.0]]));
            after
        })
    };
    assert_eq!(on(1), on(5));
}

/// d/dx of sum dy y, y = gamma (x - mean) / sqrt(var + eps) + beta, by central differences in f64.
#[test]
fn batch_norm_backward_is_the_derivative() {
    let (rows, eps, gamma) = (7u32, 1e-2f64, 1.3f64);
    let (x, dy) = (noise(7, 2), noise(7, 3));
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let var = |x: &[f64]| x.iter().map(|v| (v - mean(x)).powi(2)).sum::<f64>() / x.len() as f64;
    let loss = |x: &[f64]| {
        let scale = gamma / (var(x) + eps).sqrt();
        x.iter().zip(&dy).map(|(v, d)| f64::from(*d) * (v - mean(x)) * scale).sum::<f64>()
    };
    let wide: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
    let stats = [vec![mean(&wide) as f32], vec![(1.0 / (var(&wide) + eps).sqrt()) as f32]];
    let reduce = BatchNormBackwardReduceParams { clients: 1, rows, c: 1, mode: 2, ..Default::default() };
    let [m, s] = stats.clone();
    let reduced =
        launch(&BatchNormBackwardReduce, &reduce, &[dy.clone(), x.clone(), m, s, vec![0.0; 2], vec![0.0], vec![0.0]]);
    let apply = BatchNormBackwardApplyParams { clients: 1, rows, c: 1, ..Default::default() };
    let [m, s] = stats;
    let operands = [dy.clone(), x, m, s, vec![gamma as f32], reduced[4].clone(), vec![0.0; 7]];
    let dx = launch(&BatchNormBackwardApply, &apply, &operands).pop().unwrap();
    for i in 0..7 {
        let moved = |h: f64| {
            let mut x = wide.clone();
            x[i] += h;
            loss(&x)
        };
        let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
        assert!((slope - f64::from(dx[i])).abs() < 1e-5, "x[{i}]: {slope} by differences, {} by kernel", dx[i]);
    }
}

/// Compared with central differences of the kernels' own forward passes.
#[test]
fn activations_and_the_loss_have_their_derivatives() {
    let x = vec![-2.0f32, -0.3, 0.4, 3.0];
    let h = 1e-2f32;
    let at = |shift: f32| x.iter().map(|v| v + shift).collect::<Vec<f32>>();
    for kind in kind::RELU..=kind::SIGMOID {
        let p = ActivationParams { clients: 1, n: 4, kind, slope: 0.2, ..Default::default() };
        let f = |x: Vec<f32>| launch(&Activation, &p, &[x, vec![0.0; 4]]).pop().unwrap();
        let kept = if kind == kind::TANH || kind == kind::SIGMOID { f(at(0.0)) } else { at(0.0) };
        let b = ActivationBackwardParams { clients: 1, n: 4, kind, slope: 0.2, ..Default::default() };
        let dx = launch(&ActivationBackward, &b, &[kept, vec![1.0; 4], vec![0.0; 4]]).pop().unwrap();
        for (i, (up, down)) in f(at(h)).iter().zip(f(at(-h))).enumerate() {
            let slope = (up - down) / (2.0 * h);
            assert!((slope - dx[i]).abs() < 1e-4, "kind {kind}, x = {}: {slope} and {}", x[i], dx[i]);
        }
    }
    let p = BceParams { clients: 1, n: 1, target: 0.7, ..Default::default() };
    let f = |x: f32| launch(&BceWithLogits, &p, &[vec![x], vec![0.0], vec![0.0]]);
    for x in x {
        let slope = (f(x + h)[2][0] - f(x - h)[2][0]) / (2.0 * h);
        assert!((slope - f(x)[1][0]).abs() < 1e-4, "x = {x}: {slope} and {}", f(x)[1][0]);
    }
}
