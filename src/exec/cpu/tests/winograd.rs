//! Winograd's form against the direct twins on integers, where both are exact: shapes that no catalogue case has.

use super::conv::launch;
use crate::kernels::Params;
use crate::kernels::nn::conv::ConvParams;
use crate::kernels::nn::winograd::{WinogradParams, plain, transformed};
use crate::kernels::nn::winograd_conv_transpose2d::WinogradConvTranspose2d;
use crate::kernels::nn::winograd_conv2d::WinogradConv2d;
use crate::kernels::nn::winograd_weight_grad::WinogradWeightGrad;
use crate::kernels::nn::winograd_weights::{WinogradWeights, WinogradWeightsParams};
use crate::kernels::nn::{conv_transpose2d::ConvTranspose2d, conv2d::Conv2d, conv2d_weight_grad::Conv2dWeightGrad};

/// Integers in -3..=3, different for every seed.
fn integers(words: u32, seed: u32) -> Vec<f32> {
    (0..words)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 20) % 7)
        .map(|v| v as f32 - 3.0)
        .collect()
}

/// Clients, images, sides and channels: tasks of several rows of tiles and a shorter last one, several blocks of the weight
/// gradient and a shorter last one, more clients than it holds at a time, odd numbers of panels.
const SHAPES: [(u32, u32, [u32; 2], [u32; 2]); 4] =
    [(2, 3, [24, 40], [48, 16]), (1, 5, [16, 208], [16, 32]), (6, 2, [8, 8], [16, 80]), (1, 1, [4, 2400], [16, 16])];

#[test]
fn both_forms_give_the_same_integers() {
    for (clients, n, [h, w], [ci, co]) in SHAPES {
        let direct = ConvParams::new(clients, n, [h, w, ci], [h / 2, w / 2, co], 4, 2, 1);
        let p = WinogradParams::of(&direct).unwrap();
        let large = integers(clients * direct.large_stride, 1);
        let small = integers(clients * direct.small_stride, 2);
        let weights = integers(clients * direct.weight_stride, 3);
        let v = [0, 1].map(|transposed| {
            let (w_stride, y_stride) = (direct.weight_stride, transformed(ci, co));
            let p = WinogradWeightsParams { clients, ci, co, w_stride, y_stride, transposed };
            launch(&WinogradWeights, &p.words(), &[&weights], vec![f32::NAN; (clients * y_stride) as usize])
        });
        assert!(v.iter().flatten().all(|v| v.abs() <= 12.0));
        let what = format!("{clients} clients, {n} x {h} x {w}, {ci} to {co} channels");
        let empty = |like: &[f32]| vec![0.0; like.len()];
        let want = launch(&Conv2d, &direct.words(), &[&large, &weights], empty(&small));
        let got = launch(&WinogradConv2d, &p.words(), &[&large, &v[0]], empty(&small));
        assert!(got == want, "{what}: convolution");
        let want = launch(&ConvTranspose2d, &direct.words(), &[&small, &weights], empty(&large));
        let got = launch(&WinogradConvTranspose2d, &p.words(), &[&small, &v[1]], empty(&large));
        assert!(got == want, "{what}: transposed convolution");
        for accumulate in [0, 1] {
            let direct = ConvParams { accumulate, ..direct };
            let p = WinogradParams { accumulate, weight_stride: direct.weight_stride, ..p };
            assert!(p.weight_stride >= plain(ci, co));
            let want = launch(&Conv2dWeightGrad, &direct.words(), &[&large, &small], weights.clone());
            let got = launch(&WinogradWeightGrad, &p.words(), &[&large, &small], weights.clone());
            assert!(got == want, "{what}: weight gradient, accumulate {accumulate}");
        }
    }
}
