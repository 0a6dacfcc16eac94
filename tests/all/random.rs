//! Random problems of every kernel on every engine, and a shader with a fault that no case of the catalogue reaches.
//!
//! `FEDGAN_RANDOM=N` sets another number of problems per kernel, `FEDGAN_RANDOM_SEED=S` another seed.

use super::federation::classes;
use fedgan::check::random::{Limits, Tally, problem, shrink};
use fedgan::check::{Checker, Options, PreparedCase, Repro};
use fedgan::exec::{CpuEngine, Engine};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::{CATALOGUE, Class, find, shader};
use std::time::Instant;

/// Problems per kernel, and their seed.
const NUMBER: u32 = 10;
const SEED: u64 = 20;

/// Small enough for an unoptimised build.
const LIMITS: Limits = Limits { flops: 2e5, words: 1 << 18 };

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

fn gpu(options: GpuOptions) -> GpuEngine {
    GpuEngine::open("gpu", options).unwrap_or_else(|e| {
        panic!("this test needs a GPU adapter, if only a software one (Debian: apt install mesa-vulkan-drivers): {e}")
    })
}

/// Runs every problem on every engine, but once on a device where classes of shader variants build the same; failures are
/// shrunk.
fn all_pass(mut engines: Vec<(&str, Option<Class>, Box<dyn Engine>)>) {
    let (problems, seed) = (number("FEDGAN_RANDOM", NUMBER.into()) as u32, number("FEDGAN_RANDOM_SEED", SEED));
    let (mut tally, start, mut failed) = (Tally::default(), Instant::now(), Vec::new());
    for kernel in CATALOGUE {
        for index in 0..problems {
            let repro = problem(*kernel, seed, index, &LIMITS, &mut tally).unwrap();
            let case = PreparedCase::new(&repro, Options::default()).unwrap();
            let mut built = Vec::new();
            for (name, class, engine) in &mut engines {
                let build = class.map(|class| kernel.build(&repro.params, class));
                if build.is_some() && built.contains(&build) {
                    continue;
                }
                built.push(build);
                let mut checker = Checker::new(engine.as_mut());
                if !checker.prepared(&case).passed() {
                    let small = shrink(&mut checker, &repro, 200).unwrap().expect("it has just failed");
                    failed.push(format!("{name}: {} {:?}", small.result.repro, small.result.verdict));
                }
            }
        }
    }
    println!("{tally:?} in {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(tally.problems, CATALOGUE.len() * problems as usize);
    assert!(failed.is_empty(), "seed {seed}:\n{}", failed.join("\n"));
}

#[test]
fn on_the_cpu_engine() {
    all_pass(vec![("cpu", None, Box::new(CpuEngine::new()))]);
}

/// Every class of shader variants that the adapter runs.
#[test]
fn on_an_adapter() {
    let engine = |class: Class| -> (&str, Option<Class>, Box<dyn Engine>) {
        (class.name(), Some(class), Box::new(gpu(GpuOptions { class: Some(class), ..GpuOptions::default() })))
    };
    all_pass(classes().into_iter().map(engine).collect());
}

/// A copy that skips all words from 1200 on: no case of the catalogue is longer. Random problems find it, and the
/// shrunk problem is the smallest that shows it.
#[test]
fn a_broken_shader_is_found_and_the_problem_shrunk() {
    let copy = find("copy").unwrap();
    let text = shader::source("util/copy.wgsl").unwrap();
    let broken = text.replace("i < p.n / V;", "i < min(p.n, 1200u) / V;");
    assert_ne!(broken, text);
    let sources = [("util/copy.wgsl".to_string(), shader::Source::new("copy.wgsl", broken))].into();
    let mut engine = gpu(GpuOptions { sources, ..GpuOptions::default() });
    let mut checker = Checker::new(&mut engine);
    for repro in Repro::cases(copy) {
        assert!(checker.case(&repro, Options::default()).unwrap().passed(), "{repro}");
    }
    let mut tally = Tally::default();
    let found = (0..200).find_map(|index| {
        let repro = problem(copy, SEED, index, &LIMITS, &mut tally).unwrap();
        shrink(&mut checker, &repro, 200).unwrap()
    });
    let small = found.expect("none of 200 problems is longer than 1200 words");
    let repro = Repro::parse(&small.result.repro).unwrap();
    assert_eq!(repro.params[..2], [1, 1201], "{repro}, from {}", small.original);
    assert!(!checker.case(&repro, Options::default()).unwrap().passed());
    assert!(Checker::new(&mut CpuEngine::new()).case(&repro, Options::default()).unwrap().passed());
}
