//! Convolution, data gradient and weight gradient are adjoint: <conv(x, w), g> = <x, dx(g, w)> = <w, dw(x, g)>, for any
//! numbers. Tested on every engine, within the sum of the rows' bounds: the exact products are equal, so |<y, g> - <x,
//! dx>| <= sum bound(y) |g| + sum bound(dx) |x|.

use super::federation::classes;
use fedgan::check::fill::Random;
use fedgan::check::random::{Limits, Tally, problem};
use fedgan::exec::{CpuEngine, Engine, Purpose, Recording, ReferenceEngine, align, read_f32};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::nn::conv::ConvParams;
use fedgan::kernels::{Inputs, Params, find};

/// A tensor with client strides, and its bounds.
struct Output {
    values: Vec<f64>,
    bounds: Vec<f64>,
}

/// Launches `name` on `engine`; words that the launch does not write count as 0.
fn launch(engine: &mut dyn Engine, name: &str, p: &ConvParams, operands: [&[u32]; 2]) -> Output {
    let kernel = find(name).unwrap();
    let extents = kernel.extents(&p.words()).unwrap();
    let output = vec![0; extents[2]];
    let words = [operands[0], operands[1], &output];
    let tensors: Vec<_> = words
        .iter()
        .map(|w| {
            let tensor = engine.alloc("operand", align(w.len())).unwrap();
            engine.write(tensor, w).unwrap();
            tensor
        })
        .collect();
    let mut recording = Recording::new();
    recording.launch_words(kernel, p.words(), &tensors, name).unwrap();
    engine.run(&recording, 1).unwrap();
    let read = read_f32(engine, tensors[2], Purpose::Check).unwrap();
    let inputs = Inputs(words.to_vec());
    let evals = kernel.whole(&p.words(), &inputs, 2, extents[2]);
    let values = read[..extents[2]].iter().map(|v| f64::from(*v)).collect();
    Output { values, bounds: evals.iter().map(|e| e.map_or(0.0, |e| e.bound)).collect() }
}

fn drawn(random: &mut Random, words: usize) -> Vec<u32> {
    (0..words).map(|_| (random.normal() as f32).to_bits()).collect()
}

fn product(a: &[f64], words: &[u32]) -> f64 {
    a.iter().zip(words).map(|(a, w)| a * f64::from(f32::from_bits(*w))).sum()
}

/// <output, other> and its possible error.
fn product_of(output: &Output, other: &[u32]) -> (f64, f64) {
    let size: Vec<u32> = other.iter().map(|w| w & 0x7fff_ffff).collect();
    // The f64 sum itself is rounded: 2^-52 per term is far below the smallest bound of a term, 2^-24 of it.
    (product(&output.values, other), product(&output.bounds, &size) * 1.001)
}

fn agree(a: (f64, f64), b: (f64, f64)) -> bool {
    (a.0 - b.0).abs() <= a.1 + b.1
}

/// The identities of one geometry; both directions share them: conv2d is the data gradient of the transposed convolution.
fn adjoint(name: &str, engine: &mut dyn Engine, p: &ConvParams, seed: u64) {
    let mut random = Random::new(seed, "adjoint", &p.words(), 0);
    let [large, weights, small] =
        ["conv_transpose2d", "conv2d_weight_grad", "conv2d"].map(|n| find(n).unwrap().extents(&p.words()).unwrap()[2]);
    let (x, w, g) = (drawn(&mut random, large), drawn(&mut random, weights), drawn(&mut random, small));
    let y = launch(engine, "conv2d", p, [&x, &w]);
    let dx = launch(engine, "conv_transpose2d", p, [&g, &w]);
    let dw = launch(engine, "conv2d_weight_grad", p, [&x, &g]);
    let products = [product_of(&y, &g), product_of(&dx, &x), product_of(&dw, &w)];
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        assert!(agree(products[a], products[b]), "{name}: {p:?}: {products:?}");
    }
    // Results that differ by one per cent are no longer adjoint, so the bounds are meaningful.
    let more = (
        products[2].0 + 0.01 * product(&dw.values.iter().map(|v| v.abs()).collect::<Vec<_>>(), &ones(&w)),
        products[2].1,
    );
    assert!(!agree(products[0], more), "{name}: {p:?}: the bounds allow anything: {products:?}");
}

fn ones(like: &[u32]) -> Vec<u32> {
    vec![1f32.to_bits(); like.len()]
}

#[test]
fn convolutions_and_their_gradients_are_adjoint_on_every_engine() {
    let gpu = |class| {
        let engine = GpuEngine::open("gpu", GpuOptions { class: Some(class), ..GpuOptions::default() });
        engine
            .unwrap_or_else(|e| panic!("this test needs a GPU adapter (Debian: apt install mesa-vulkan-drivers): {e}"))
    };
    let mut engines: Vec<(&str, Box<dyn Engine>)> =
        vec![("reference", Box::new(ReferenceEngine::new())), ("cpu", Box::new(CpuEngine::new()))];
    engines.extend(classes().into_iter().map(|class| (class.name(), Box::new(gpu(class)) as Box<dyn Engine>)));
    let mut tally = Tally::default();
    let limits = Limits { flops: 2e5, words: 1 << 15 };
    for index in 0..12 {
        let words = problem(find("conv2d").unwrap(), 9, index, &limits, &mut tally).unwrap().params;
        // Written directly to the gradient: another kernel adds the parts.
        let p = ConvParams { splits: 1, accumulate: 0, ..ConvParams::from_words(&words) };
        for (name, engine) in &mut engines {
            adjoint(name, engine.as_mut(), &p, u64::from(index));
        }
    }
}
