//! Every engine produces the integers of Threefry-4x32-20, for all sizes and offsets.

use super::{bits, engines};
use fedgan::kernels::rng::{RngParams, threefry4x32};

/// The expected element `i` of client `c`.
fn expected(p: &RngParams, step: u32, round: u32, c: u32, i: u32) -> u32 {
    let key = [p.seed_lo, p.seed_hi, p.stream, p.client_base.wrapping_add(c)];
    threefry4x32(key, [i / 4, step, round, 0])[i as usize % 4]
}

fn assert_bits(name: &str, got: &[u32], p: &RngParams, step: u32, round: u32) {
    for (at, word) in got.iter().enumerate() {
        let (c, i) = match p.clients {
            1 => (0, at as u32),
            _ => (at as u32 / p.y_stride, at as u32 % p.y_stride),
        };
        let want = if i < p.n { expected(p, step, round, c, i) } else { 0 };
        assert_eq!(*word, want, "{name}: {p:?}, step {step}, round {round}, client {c}, element {i}");
    }
}

/// Random123's known answer for the zero key and counter, computed by the kernel on every engine. The other published
/// vectors have a counter whose last word is not 0, which no kernel uses: a separate test compares
/// `kernels::rng::threefry` with them.
#[test]
fn every_engine_gives_the_known_answer_of_random123() {
    let p = RngParams { clients: 1, n: 4, y_stride: 64, ..Default::default() };
    for (name, mut engine) in engines(true) {
        assert_eq!(bits(engine.as_mut(), &p, 0, 0), [0x9c6c_a96a, 0xe17e_ae66, 0xfc10_ecd4, 0x5256_a7d8], "{name}");
    }
}

#[test]
fn odd_sizes_offsets_and_wrapping_words_are_equal_on_all_engines() {
    let p = RngParams { seed_lo: 0xffff_ffff, seed_hi: 0x8000_0001, stream: 0xffff_fffe, ..Default::default() };
    let mut engines = engines(true);
    for (clients, n, y_stride) in
        [(1, 1, 64), (1, 2, 64), (1, 3, 0), (2, 5, 64), (3, 63, 64), (7, 1021, 1024), (2, 4097, 4160)]
    {
        // Client numbers, steps and rounds up to the largest u32; client numbers wrap.
        for (client_base, step, round) in [(0, 0, 0), (5, 17, 3), (u32::MAX - 1, u32::MAX, u32::MAX)] {
            let p = RngParams { clients, n, y_stride, client_base, ..p };
            for (name, engine) in &mut engines {
                assert_bits(name, &bits(engine.as_mut(), &p, step, round), &p, step, round);
            }
        }
    }
}

/// More elements than one pass of the grid covers (4096 workgroups of 1024): the loop must stride.
#[test]
fn large_counts_are_equal_on_all_engines() {
    let p = RngParams { clients: 1, n: 4096 * 1024 + 1027, seed_lo: 3, seed_hi: 5, stream: 6, ..Default::default() };
    let mut all = engines(false).into_iter().map(|(name, mut engine)| (name, bits(engine.as_mut(), &p, 7, 8)));
    let (_, first) = all.next().unwrap();
    // Threefry itself at a prime stride and at both ends of each pass; the other engines for all elements.
    let edges = [0, 1, 4096 * 1024 - 1, 4096 * 1024, p.n - 1];
    for i in (0..p.n).step_by(101).chain(edges) {
        assert_eq!(first[i as usize], expected(&p, 7, 8, 0, i), "element {i}");
    }
    for (name, other) in all {
        let differs = first.iter().zip(&other).position(|(a, b)| a != b);
        assert!(differs.is_none() && other.len() == first.len(), "{name} at {differs:?}");
    }
}
