//! Checkpoints of runs, with corrected digests.

use super::tensors::header_length;
use super::{ORIGIN, Target};
use fedgan::exec::{Engine, ReferenceEngine};
use fedgan::fed::detector::{Detection, Detector};
use fedgan::fed::drop::Dropped;
use fedgan::fed::state::SavedState;
use fedgan::report::RunDir;
use fedgan::report::checkpoint::{Checkpoint, Measured, RunState, hex, save};
use fedgan::report::metrics::Positions;
use fedgan::report::summary::Resumed;
use fedgan::{Error, Result};
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::path::Path;

const WORDS: &[&str] = &[
    "\"dtype\":",
    "\"shape\":",
    "\"data_offsets\":",
    "\"F32\"",
    "\"sha256\":\"",
    "\"format\":",
    "\"state\":",
    "fedgan-run-state 1",
    "[1,2]",
    "[0,18446744073709551615]",
    "\\\"round\\\":",
    "\\\"weights\\\":",
    "\\\"detection\\\":",
    "\\\"none\\\"",
    "null",
];

pub(super) const TARGETS: &[Target] =
    &[Target { name: "checkpoint", seeds, words: WORDS, most: 8192, repair: Some(repair), run }];

fn seeds() -> Result<Vec<Vec<u8>>> {
    let device = ReferenceEngine::new().descriptor().clone();
    let detection = Detection::new(&Detector::default(), vec![0.5; 2], 1).memory();
    let state = RunState {
        version: "0".into(),
        plan: "seed = 1".into(),
        device: device.clone(),
        tuning: None,
        images: "0".into(),
        logs: Positions { jsonl: 1, csv: 2, timing: 3, evaluation: None },
        unevaluated: None,
        federation: SavedState {
            round: 3,
            weights: vec![0.25, f64::NAN],
            dropped: Dropped { since: vec![0; 2], empty: 0 },
            detection,
        },
        first: Measured::default(),
        last: Measured { names: vec!["a".into()], entries: [("a".to_string(), 0.5)].into() },
        diverged: 0,
        seconds: 1.5,
        verified: None,
        resumed: vec![Resumed { round: 1, device, version: "0".into() }],
    };
    let failed = |e: std::io::Error| Error::internal(format!("seed: {e}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let run = RunDir::create(None, folder.path(), "r")?;
    let path = save(&run, &state, &[("a".into(), [2, 2])], 1, |_, r| Ok(vec![r as u32; 2]))?;
    Ok(vec![std::fs::read(path).map_err(failed)?])
}

fn repair(input: &mut [u8]) {
    const KEY: &[u8] = b"\"sha256\":\"";
    header_length(input);
    let Some(at) = input.windows(KEY.len()).position(|w| w == KEY).map(|at| at + KEY.len()) else { return };
    if let Some(digits) = input.get_mut(at..at + 64) {
        digits.fill(b'0');
        let mut digest = Sha256::new();
        digest.update(&*input);
        input[at..at + 64].copy_from_slice(hex(digest).as_bytes());
    }
}

fn run(input: &[u8]) -> Result<()> {
    let mut checkpoint = Checkpoint::of(Cursor::new(input), Path::new(ORIGIN))?;
    let memory = checkpoint.state().federation.detection.clone();
    Detection::new(&Detector::default(), vec![0.5; 2], 1).recall(memory)?;
    checkpoint.expect(&[("a".into(), [2, 2])])?;
    checkpoint.row("a", 1).map(|_| ())
}
