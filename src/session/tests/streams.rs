//! No two uses of random numbers in a run share a block: checked on the blocks (key and counter) that real runs draw.

use super::super::experiment::Experiment;
use super::*;
use crate::config::Resolved;
use crate::kernels::rng::Stream;
use crate::kernels::rng::witness::{Block, watch};
use std::collections::{BTreeMap, BTreeSet};

/// A seed with both words that no other test uses.
const SEED: u64 = 0x0051_7ea7_5eed_0001;
const CLIENTS: u32 = 4;
const ROUNDS: u32 = 3;

/// Every block that a whole run of a plan draws, in order.
fn drawn(set: &[&str]) -> Vec<Block> {
    let base = [
        "model.image_size=16",
        "model.width=2",
        "model.latent=5",
        "train.batch=6",
        "train.local_steps=3",
        "rounds=3",
        "federation.clients=4",
        "federation.partition=iid",
        "attack.malicious=2",
        "attack.fraction=0.5",
        "detection={ kind = \"isolation-forest\", warmup = 0 }",
        "evaluation.samples=16",
        "evaluation.grid=2",
        "evaluation.every=0",
        "evaluation.metrics=[\"leakage\", \"ms-ssim\"]",
        "data={ kind = \"dermoscopy\", n = 60 }",
    ];
    let set = base.iter().chain(set).map(|s| s.to_string()).collect();
    let overrides = Overrides { set, device: Some("cpu".into()), seed: Some(SEED), ..Default::default() };
    let plan = config::load(None, &overrides).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let dir = RunDir::create(Some(&temp.path().join("run")), temp.path(), "x").unwrap();
    // Without the memory plan, which builds the experiment a second time and discards it.
    let run = || {
        let images = Images::load(&plan).unwrap();
        let (engine, reason) = crate::gpu::open("cpu", crate::gpu::GpuOptions::default()).unwrap();
        let resolved = Resolved::new(engine.descriptor(), &reason);
        let parts = parts(&plan, &images, engine).unwrap();
        let experiment = Experiment::new(plan, images, parts, None).unwrap();
        Prepared { experiment, resolved }.train(&dir, &mut Silent).unwrap()
    };
    watch(SEED, run).1
}

/// How often each block was drawn.
fn counts(blocks: &[Block]) -> BTreeMap<Block, u32> {
    let mut counts = BTreeMap::new();
    blocks.iter().for_each(|block| *counts.entry(*block).or_default() += 1);
    counts
}

fn streams(blocks: &[Block]) -> BTreeSet<u32> {
    blocks.iter().map(|(key, _)| key[2]).filter(|stream| *stream < Stream::init(0, 0).0).collect()
}

/// Draws that repeat deliberately: the same latents at every evaluation, the same patches and pairs of images in every metric,
/// so that rounds differ only by their networks.
const REPEATED: [Stream; 3] = [Stream::SAMPLE, Stream::EVALUATION, Stream::RESAMPLE];

/// Every block of every other stream was drawn once; word 3 of the counter separates the device's blocks from the host's.
fn assert_disjoint(blocks: &[Block]) {
    let counts = counts(blocks);
    for ((key, counter), times) in &counts {
        let stream = Stream(key[2]);
        let drawn = format!("stream {} of client {}, counter {counter:?}, was drawn {times} times", stream.0, key[3]);
        assert!(*times == 1 || REPEATED.contains(&stream), "{drawn}");
        let host = [Stream::ORDER, Stream::POISON, Stream::DETECTOR, Stream::RESAMPLE].contains(&stream);
        let device = [Stream::LATENT_D, Stream::LATENT_G, Stream::INTERPOLATION, Stream::PROBE, Stream::SAMPLE];
        let device = device.contains(&stream) || stream.0 >= Stream::init(0, 0).0;
        assert!(counter[3] == u32::from(host) || !(host || device), "{drawn}");
        assert!(counter[3] <= 1 && key[3] < CLIENTS, "{drawn}");
    }
}

/// Blocks of a training stream: of every client, in every round, and as many of each.
fn assert_complete(blocks: &[Block], stream: Stream, first_client: u32, clients: u32) {
    let mut of: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for (key, counter) in blocks.iter().filter(|(key, _)| key[2] == stream.0) {
        *of.entry((key[3], counter[2])).or_default() += 1;
    }
    let expected: Vec<(u32, u32)> =
        (first_client..first_client + clients).flat_map(|c| (0..ROUNDS).map(move |r| (c, r))).collect();
    assert_eq!(of.keys().copied().collect::<Vec<_>>(), expected, "stream {}", stream.0);
    assert!(of.values().all(|n| *n == of[&expected[0]]), "{of:?}");
}

#[test]
fn no_two_uses_of_a_run_share_a_block() {
    let blocks = drawn(&[]);
    assert_disjoint(&blocks);
    let all = [Stream::LATENT_D, Stream::LATENT_G, Stream::ORDER, Stream::POISON, Stream::SAMPLE, Stream::EVALUATION];
    let all = all.into_iter().chain([Stream::RESAMPLE, Stream::DETECTOR, Stream::PROBE]);
    assert_eq!(streams(&blocks), all.map(|s| s.0).collect());
    assert_complete(&blocks, Stream::LATENT_D, 0, CLIENTS);
    assert_complete(&blocks, Stream::LATENT_G, 0, CLIENTS);
    // Both networks' weights, each tensor from its own stream.
    let init: BTreeSet<u32> = blocks.iter().map(|(key, _)| key[2]).filter(|s| *s >= Stream::init(0, 0).0).collect();
    assert!(init.iter().any(|s| *s < Stream::init(1, 0).0) && init.iter().any(|s| *s >= Stream::init(1, 0).0));

    // Chunks of clients, a smaller and a larger one, draw the same blocks as all clients at once.
    let chunked = drawn(&["federation.clients_per_launch=3"]);
    assert_eq!(counts(&chunked), counts(&blocks));
}

#[test]
fn no_two_uses_of_a_regularised_run_share_a_block() {
    let blocks =
        drawn(&["train.loss=wgan-gp", "train.n_critic=2", "train.optimizer=rmsprop", "detection={ kind = \"none\" }"]);
    assert_disjoint(&blocks);
    assert!(streams(&blocks).contains(&Stream::INTERPOLATION.0) && !streams(&blocks).contains(&Stream::PROBE.0));
    for stream in [Stream::LATENT_D, Stream::LATENT_G, Stream::INTERPOLATION] {
        assert_complete(&blocks, stream, 0, CLIENTS);
    }
    // Two critic steps draw twice the latents of one generator step.
    let of = |stream: Stream| blocks.iter().filter(|(key, _)| key[2] == stream.0).count();
    assert!(of(Stream::LATENT_D) >= 2 * of(Stream::LATENT_G));
}

/// The recorder detects a block that is drawn twice.
#[test]
#[should_panic(expected = "was drawn 2 times")]
fn a_shared_block_is_noticed() {
    use crate::kernels::rng::HostRng;
    let seed = SEED + 1;
    let draw = || (0..2).map(|_| HostRng::new(seed, Stream::ORDER, 1, 2).bits()).collect::<Vec<_>>();
    let (words, blocks) = watch(seed, draw);
    assert_eq!((words[0], blocks.len()), (words[1], 2));
    assert_disjoint(&blocks);
}
