//! Rounds whose convolutions are in Winograd's form: against the reference in the direct form, chunks, threads, and the choice of
//! the form.

use super::federation::{build_gan, cpu, gpu, gradients_agree, outcome, relative_l2, settings, shared};
use fedgan::check::fill::Random;
use fedgan::exec::{Engine, ReferenceEngine};
use fedgan::fed::detector::{Detector, IsolationForest};
use fedgan::fed::{Federation, Local, Settings, Shared};
use fedgan::kernels::Class;
use fedgan::kernels::nn::conv::ConvParams;
use fedgan::kernels::nn::winograd::{WinogradParams, transformed};
use fedgan::kernels::nn::winograd_weights::WinogradWeightsParams;
use fedgan::kernels::{Inputs, Params, find};
use fedgan::model::{Architecture, Convolution, Gan, Interpolation, Norm, Objective, Optimizer, Training};
use std::collections::BTreeMap;

const BATCH: u32 = 8;

/// BCE with batch norm, and WGAN-GP with two critic steps and its penalty.
fn trainings() -> [Training; 2] {
    let objective = Objective::WganGp { lambda: 10.0, n_critic: 2, interpolation: Interpolation::Uniform };
    let optimizer = Optimizer::RmsProp { lr: 2e-4, alpha: 0.99 };
    [Training::default(), Training { norm: Norm::Instance, objective, optimizer, ..Training::default() }]
}

/// Three clients whose networks have 16 and 32 channels between the ends.
fn build(engine: Box<dyn Engine>, training: Training, settings: Settings, clients: usize) -> Federation {
    let arch = Architecture { image_size: 16, channels: 3, width: 16, latent: 6 };
    build_gan(engine, Gan::with(arch, 0.5, 0.9, 1e-8, training).unwrap(), settings, shared(clients))
}

fn one_step() -> Settings {
    Settings { batch: BATCH, local: Local::Steps(1), ..settings() }
}

/// Launches of a round of `f`, by kernel.
fn launches(f: &Federation) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for launch in f.recordings().flat_map(|recording| recording.launches()) {
        *counts.entry(launch.kernel.name()).or_default() += 1;
    }
    counts
}

/// Gradients of the first step within 2e-5 relative L2 of those of the direct form in f64.
#[test]
fn a_round_agrees_with_the_reference_in_the_direct_form() {
    for training in trainings() {
        let mut truth = build(Box::new(ReferenceEngine::new()), training, one_step(), 2);
        let mut tried = build(cpu(), training, one_step(), 2);
        assert!(launches(&truth).keys().all(|kernel| !kernel.contains("winograd")));
        for kernel in ["winograd_weights", "winograd_conv2d", "winograd_conv_transpose2d", "winograd_weight_grad"] {
            assert!(launches(&tried).contains_key(kernel), "{training:?}: {kernel}");
        }
        truth.run_round().unwrap();
        tried.run_round().unwrap();
        (0..2).for_each(|client| gradients_agree(&mut truth, &mut tried, client, &format!("{training:?}")));
    }
}

/// Weights are transformed again after every update: two steps differ from the reference as little as two of the direct form.
#[test]
fn the_second_step_uses_the_updated_weights() {
    for training in trainings() {
        let after = |convolution| {
            let settings = Settings { local: Local::Steps(3), ..one_step() };
            let mut f = build(cpu(), Training { convolution, ..training }, settings, 1);
            f.run_round().unwrap();
            f.export_gradients(0).unwrap()
        };
        let (auto, direct) = (after(Convolution::Auto), after(Convolution::Direct));
        assert!(auto != direct, "{training:?}: both forms round alike");
        for (want, got) in direct.iter().zip(&auto) {
            for (tensor, (_, values)) in want {
                let error = relative_l2(&got[tensor].1, values);
                assert!(error <= 1e-3, "{training:?}: gradient of {tensor} after three steps: {error:.2e}");
            }
        }
    }
}

/// Five clients: more than the weight gradient holds in memory at a time. Each chunk finds data left by others.
#[test]
fn chunks_and_threads_give_the_same_bits() {
    for training in trainings() {
        let run = |chunk, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let detector = Detector::IsolationForest(IsolationForest::default());
            let s = Settings { clients_per_launch: chunk, shared: Shared::Both, detector, ..one_step() };
            pool.install(|| outcome(build(cpu(), training, s, 5), 2))
        };
        let whole = run(None, 2);
        for (chunk, threads) in [(Some(1), 1), (Some(3), 3), (None, 3)] {
            assert!(run(chunk, threads) == whole, "{training:?}: chunks of {chunk:?}, {threads} threads");
        }
    }
}

#[test]
fn the_form_follows_the_engine_the_plan_and_the_shape() {
    let layers = |engine: Box<dyn Engine>, convolution, settings| {
        let training = Training { convolution, ..Training::default() };
        build(engine, training, settings, 1).winograd_layers()
    };
    assert_eq!(layers(cpu(), Convolution::Auto, one_step()), 2);
    assert_eq!(layers(cpu(), Convolution::Direct, one_step()), 0);
    assert_eq!(layers(gpu(Class::Direct), Convolution::Auto, one_step()), 0);
    // Four images have too few tiles.
    assert_eq!(layers(cpu(), Convolution::Auto, Settings { batch: 4, ..one_step() }), 0);
}

/// The written operand, the last, after a launch in f64.
fn reference<P: Params>(name: &str, p: &P, operands: &[&[f64]], words: usize) -> Vec<f64> {
    let kernel = find(name).unwrap();
    let mut bits: Vec<Vec<u32>> = operands.iter().map(|o| o.iter().map(|v| (*v as f32).to_bits()).collect()).collect();
    bits.push(vec![0; words]);
    let inputs = Inputs(bits.iter().map(Vec::as_slice).collect());
    let extents = kernel.extents(&p.words()).unwrap();
    assert_eq!(extents, bits.iter().map(Vec::len).collect::<Vec<_>>(), "{name}");
    let evals = kernel.whole(&p.words(), &inputs, operands.len(), words);
    evals.into_iter().map(|eval| eval.unwrap().value).collect()
}

/// The references of both forms are written apart; on integers they agree exactly.
#[test]
fn both_forms_are_the_same_sums() {
    for (n, [h, w], [ci, co]) in [(1, [4, 4], [16, 16]), (2, [8, 4], [32, 16]), (3, [4, 12], [16, 32])] {
        let direct = ConvParams::new(1, n, [h, w, ci], [h / 2, w / 2, co], 4, 2, 1);
        let p = WinogradParams::of(&direct).unwrap();
        let mut random = Random::new(11, "winograd", &[n, h, w], 0);
        let mut integers = |words: u32| (0..words).map(|_| f64::from(random.below(9)) - 4.0).collect::<Vec<f64>>();
        let (large, small, weights) = (integers(p.large()), integers(p.small()), integers(16 * ci * co));
        let words = |v: &[f64]| v.len();
        let v = [0, 1].map(|transposed| {
            let p = WinogradWeightsParams { clients: 1, ci, co, transposed, ..Default::default() };
            reference("winograd_weights", &p, &[&weights], transformed(ci, co) as usize)
        });
        let forward = reference("conv2d", &direct, &[&large, &weights], words(&small));
        assert_eq!(reference("winograd_conv2d", &p, &[&large, &v[0]], words(&small)), forward);
        let back = reference("conv_transpose2d", &direct, &[&small, &weights], words(&large));
        assert_eq!(reference("winograd_conv_transpose2d", &p, &[&small, &v[1]], words(&large)), back);
        let gradient = reference("conv2d_weight_grad", &direct, &[&large, &small], words(&weights));
        let p = WinogradParams { weight_stride: 16 * ci * co, ..p };
        assert_eq!(reference("winograd_weight_grad", &p, &[&large, &small], words(&weights)), gradient);
    }
}

#[test]
fn only_layers_of_this_form_are_chosen() {
    let layer = |side: u32, channels: [u32; 2], [k, stride, pad]: [u32; 3]| {
        let small = ConvParams::small_side(side, k, stride, pad).unwrap();
        ConvParams::new(2, 3, [side, side, channels[0]], [small, small, channels[1]], k, stride, pad)
    };
    assert!(WinogradParams::of(&layer(8, [16, 32], [4, 2, 1])).is_some());
    for other in [
        layer(8, [3, 16], [4, 2, 1]),
        layer(8, [16, 8], [4, 2, 1]),
        layer(6, [16, 16], [4, 2, 1]),
        layer(9, [16, 16], [4, 2, 1]),
        layer(8, [16, 16], [4, 1, 1]),
        layer(8, [16, 16], [3, 2, 1]),
        layer(8, [16, 16], [4, 2, 0]),
        ConvParams { splits: 2, ..layer(8, [16, 32], [4, 2, 1]) },
    ] {
        assert!(WinogradParams::of(&other).is_none(), "{other:?}");
    }
}
