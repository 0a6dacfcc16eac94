//! The random numbers: integers equal on every engine, and the statistics of the derived numbers.

mod integers;
mod statistics;

use fedgan::exec::{CpuEngine, Engine, Purpose, Recording, ReferenceEngine};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::rng::{RngParams, rng_bits::RngBits, rng_normal::RngNormal, rng_uniform::RngUniform};
use fedgan::kernels::{AnyKernel, Class, Params};

fn gpu(class: Class) -> Box<dyn Engine> {
    let options = GpuOptions { class: Some(class), ..GpuOptions::default() };
    Box::new(GpuEngine::open("gpu", options).expect("tests need a Vulkan adapter: run scripts/test --install-driver"))
}

/// Every engine; the reference is slow.
fn engines(with_reference: bool) -> Vec<(&'static str, Box<dyn Engine>)> {
    let mut all: Vec<(&'static str, Box<dyn Engine>)> = vec![("cpu", Box::new(CpuEngine::new()))];
    all.extend(Class::ALL.map(|class| (class.name(), gpu(class))));
    if with_reference {
        all.push(("reference", Box::new(ReferenceEngine::new())));
    }
    all
}

/// The words from `kernel` at step `step` (of all) and round `round`; words between clients stay 0.
fn words(engine: &mut dyn Engine, kernel: &'static dyn AnyKernel, p: &RngParams, step: u32, round: u32) -> Vec<u32> {
    let extent = (p.clients as usize - 1) * p.y_stride as usize + p.n as usize;
    let y = engine.alloc("numbers", extent).unwrap();
    let state = engine.alloc("state", 4).unwrap();
    engine.write(state, &[9, round, step, 77]).unwrap();
    let mut recording = Recording::new();
    recording.launch_words(kernel, p.words(), &[y, state], "numbers").unwrap();
    engine.run(&recording, 1).unwrap();
    engine.forget(&recording);
    engine.read(y, Purpose::Check).unwrap()
}

fn bits(engine: &mut dyn Engine, p: &RngParams, step: u32, round: u32) -> Vec<u32> {
    words(engine, &RngBits, p, step, round)
}

fn floats(words: Vec<u32>) -> Vec<f64> {
    words.into_iter().map(|w| f64::from(f32::from_bits(w))).collect()
}

/// Uniform in [0, 1), and standard normal.
fn uniforms(engine: &mut dyn Engine, p: &RngParams) -> Vec<f64> {
    floats(words(engine, &RngUniform, p, 0, 0))
}

fn normals(engine: &mut dyn Engine, p: &RngParams) -> Vec<f64> {
    floats(words(engine, &RngNormal, p, 0, 0))
}
