//! Every row can be drawn, and the row accepts every drawn problem.

use super::strides::extra as extra_of;
use super::{Limits, Tally, problem, shrink};
use crate::check::tests::faulty::{Faulty, Product};
use crate::check::{Checker, Repro, Style};
use crate::exec::CpuEngine;
use crate::kernels::{AnyKernel, CATALOGUE, Draw};

const DRAWS: u32 = 80;

fn draws(kernel: &'static dyn AnyKernel, seed: u64, number: u32) -> (Vec<Repro>, Tally) {
    let mut tally = Tally::default();
    let mut one = |i| problem(kernel, seed, i, &Limits::default(), &mut tally).unwrap();
    let all = (0..number).map(&mut one).collect();
    (all, tally)
}

#[test]
fn every_row_can_be_drawn() {
    let mut refused = 0;
    for kernel in CATALOGUE {
        let name = kernel.name();
        // A client of Winograd's form has at least 9216 transformed weights, and a tile as many multiply-adds: few fit.
        let large = name.starts_with("winograd");
        let (all, tally) = draws(*kernel, 7, DRAWS);
        assert_eq!(tally.problems, DRAWS as usize);
        refused += tally.refused;
        for repro in &all {
            let back = Repro::parse(&repro.to_string()).unwrap();
            assert_eq!((&back.params, back.seed, back.style), (&repro.params, repro.seed, repro.style), "{repro}");
            assert!(Limits::default().allow(*kernel, &repro.params), "{repro}");
        }
        for (at, field) in kernel.fields().iter().enumerate() {
            let mut values: Vec<u32> = all.iter().map(|r| r.params[at]).collect();
            values.sort_unstable();
            values.dedup();
            let least = match field.draw {
                Draw::Range(low, high) => (high - low + 1).min(6) as usize,
                Draw::OneOf(list) => list.len().min(2),
                Draw::Stride | Draw::StrideFrom(_) => 4,
                _ => 6,
            };
            // `places` is 5 for the rows of the second derivative.
            let fixed = field.name == "places";
            assert!(fixed || values.len() >= least, "{name}: {} is only ever one of {values:?}", field.name);
            if field.draw.is_count() {
                let few = if let Draw::Multiple(of) = field.draw { of.max(4) } else { 4 };
                let many = if large { 32 } else { 64 };
                assert!(values.iter().any(|v| *v > many) && values[0] <= few, "{name}: {} in {values:?}", field.name);
            }
        }
        // A row without clients counts something else, and some rows take only so many.
        if let Some(clients) = kernel.fields().iter().position(|f| f.name == "clients") {
            let refuses_many = all.iter().all(|r| {
                let mut params = r.params.clone();
                params[clients] = 4001;
                kernel.extents(&params).is_err()
            });
            // The reference is quadratic in the number of clients.
            let quadratic = name == "median_deviation";
            let dear = quadratic || large || refuses_many;
            assert!(dear || all.iter().any(|r| r.params[clients] > 4000), "{name}: never many clients");
        }
        assert!(Style::ALL.iter().all(|style| all.iter().any(|r| r.style == *style)), "{name}: styles");
    }
    assert!(refused > 100, "{refused} draws rejected: too few to test the shape rules");
}

#[test]
fn a_problem_depends_on_seed_and_index_only() {
    let kernel = crate::kernels::find("conv2d").unwrap();
    let texts = |seed, number| draws(kernel, seed, number).0.iter().map(Repro::to_string).collect::<Vec<_>>();
    assert_eq!(texts(3, 8)[..5], texts(3, 5)[..]);
    assert_ne!(texts(3, 5), texts(4, 5));
}

#[test]
fn strides_are_the_least_plus_their_extra() {
    let copy = crate::kernels::find("copy").unwrap();
    let mut words = vec![3, 130, 0, 0];
    super::strides::settle(copy, &mut words, &[0, 0, 0, 2]).unwrap();
    assert_eq!(words, [3, 130, 192, 320]);
    assert_eq!(extra_of(copy, &words), [0, 0, 0, 2]);
    let mut none = vec![0, 130, 0, 0];
    assert!(super::strides::settle(copy, &mut none, &[0; 4]).unwrap_err().contains("0 clients"));
}

#[test]
fn a_correct_engine_has_nothing_to_shrink() {
    let repro = draws(crate::kernels::find("copy").unwrap(), 1, 1).0.remove(0);
    assert!(shrink(&mut Checker::new(&mut CpuEngine::new()), &repro, 50).unwrap().is_none());
}

/// A fault in outputs with more than five columns is found, and shrinks to a problem with six columns and nothing else.
#[test]
fn a_fault_is_found_and_shrunk() {
    let mut tally = Tally::default();
    let mut tried = 0;
    for index in 0..40 {
        let drawn = problem(&Product, 11, index, &Limits { flops: 1e5, words: 1 << 18 }, &mut tally).unwrap();
        // The width of a row is that of its last row, after the guard bands.
        let mut engine = Faulty::new(|read: usize, words: &mut [u32]| {
            let (row, len) = (64, words.len() - 128);
            let written = (0..len).filter(|i| i / row == (len - 1) / row).count();
            if read % 3 == 2 && written > 5 {
                words[64 + len - 1] ^= 1 << 22;
            }
        });
        let mut checker = Checker::new(&mut engine);
        let Some(small) = shrink(&mut checker, &drawn, 300).unwrap() else { continue };
        tried += 1;
        let shrunk = small.result.repro.clone();
        assert_eq!(small.original, drawn.to_string());
        assert!(shrunk.starts_with("product:rows=1,cols=6,k=1,stride="), "{shrunk}");
        assert!(!shrunk.contains('@') && !small.result.passed() && small.attempts < 300, "{small:?}");
    }
    assert!(tried > 10, "{tried} of 40 problems hit the fault");
}

/// As small as the attempts allow, and still a failure.
#[test]
fn attempts_are_bounded() {
    let mut tally = Tally::default();
    let drawn = problem(&Product, 11, 3, &Limits { flops: 1e5, words: 1 << 18 }, &mut tally).unwrap();
    let mut engine = Faulty::new(|read: usize, words: &mut [u32]| {
        if read % 3 == 2 {
            words[64] ^= 1 << 22;
        }
    });
    let small = shrink(&mut Checker::new(&mut engine), &drawn, 2).unwrap().unwrap();
    assert!(small.attempts == 2 && !small.result.passed());
}
