//! Tuning files, baselines, round logs, summaries.

use super::{ORIGIN, Target, text};
use fedgan::check::watch::Checked;
use fedgan::exec::{Descriptor, Engine, ReferenceEngine};
use fedgan::gpu::tuning::Tuning;
use fedgan::kernels::Params;
use fedgan::kernels::nn::conv::ConvParams;
use fedgan::kernels::nn::conv2d::Conv2d;
use fedgan::perf::baseline;
use fedgan::report::metrics::parse_jsonl;
use fedgan::report::rates::Rates;
use fedgan::report::summary::{DetectorSummary, Digests, Summary, Timing};
use fedgan::report::{ClientRecord, RoundRecord};
use fedgan::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

const WORDS: &[&str] = &[
    "null",
    "true",
    "false",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "\"\"",
    "1e999",
    "-0",
    "\\ud800",
    "\\u0000",
    "\"round\":",
    "\"clients\":",
    "\"client\":",
    "\"malicious\":",
    "\"weight\":",
    "\"extra\":",
    "\"flagged\":",
    "\"format\":",
    "\"picks\":",
    "\"schema\":",
    "\"rows\":",
    "\"outcome\":",
    "\"timed\"",
    "\"skipped\"",
    "\"why\":",
    "\"samples\":",
    "\"wall\":",
    "\"name\":",
    "\"device\":",
    "\"metrics\":",
    "\"detector\":",
    "\"timing\":",
    "\n",
];

pub(super) const TARGETS: &[Target] = &[
    Target { name: "tuning", seeds: tunings, words: WORDS, most: 4096, repair: None, run: tuning },
    Target { name: "baseline", seeds: baselines, words: WORDS, most: 8192, repair: None, run: measured },
    Target { name: "metrics", seeds: logs, words: WORDS, most: 4096, repair: None, run: log },
    Target { name: "summary", seeds: summaries, words: WORDS, most: 4096, repair: None, run: summary },
];

fn launch() -> Vec<u32> {
    ConvParams::new(1, 3, [8, 8, 16], [4, 4, 32], 4, 2, 1).words()
}

fn tunings() -> Result<Vec<Vec<u8>>> {
    let key = fedgan::gpu::tuning::key(&Conv2d, &launch());
    let text = format!(
        r#"{{"format": 1, "version": "0.1.0", "adapter": "A", "backend": "Vulkan", "driver": "d", "picks": {{"{key}": "128x128"}}}}"#
    );
    Ok(vec![text.into_bytes()])
}

fn tuning(input: &[u8]) -> Result<()> {
    Tuning::parse(Path::new(ORIGIN), &text(input)).map(|tuning| drop(tuning.build(&Conv2d, &launch())))
}

fn baselines() -> Result<Vec<Vec<u8>>> {
    const ROW: &str = r#"{"kernel": "fill", "origin": "case", "shape": "fill:n=1", "variant": "direct", "shader": "-", "flops": 1.0, "bytes": 4.0"#;
    let timed = r#""outcome": "timed", "verified": {"elements": 1, "percent": 2.5, "failure": null}, "first": 1.0, "clock": "wall",
        "summary": {"n": 3, "median": 1.0, "p20": 1.0, "p80": 1.0, "min": 1.0}, "wall": {"n": 3, "median": 1.0, "p20": 1.0, "p80": 1.0, "min": 1.0},
        "roofline": null, "samples": {"batch": 1, "wall": [1.0, 1.0, 1.1], "device": []}"#;
    let device = r#"{"engine": "gpu", "adapter": "a", "backend": "Vulkan", "device_type": "Cpu", "driver": "d", "variant": "direct"}"#;
    let skipped = r#""outcome": "skipped", "why": "no room""#;
    let document = format!(
        r#"{{"schema": 1, "version": "0.1.0", "device": {device}, "adapter": {{"a": [1]}}, "threads": null, "checked": true, "ceilings": null,
        "rows": [{ROW}, {timed}}}, {ROW}, {skipped}}}], "steps": [], "rounds": [], "shaders": []}}"#
    );
    Ok(vec![document.into_bytes()])
}

fn measured(input: &[u8]) -> Result<()> {
    let document = baseline::parse(Path::new(ORIGIN), &text(input))?;
    baseline::same_device(&document, &document)
        .map_err(|e| Error::internal(format!("a device differs from itself: {e}")))?;
    drop((document.measurements(), document.wrong()));
    Ok(())
}

fn logs() -> Result<Vec<Vec<u8>>> {
    let client = |client: usize| ClientRecord {
        client,
        malicious: client == 0,
        weight: 0.5,
        loss_g: 1.5,
        loss_d_real: 0.1,
        loss_d_fake: f64::NAN,
        last_loss_g: 1.0,
        last_loss_d_real: 1.0,
        last_loss_d_fake: 1.0,
        update_norm: Some(2.0),
        update_cosine: None,
        penalty: None,
        probe_deviation: Some(0.5),
        flagged: client == 0,
        score: None,
        nonfinite: (client == 1).then(|| "the loss D(fake)".into()),
        name: (client == 0).then(|| "a, \"b\"".into()),
    };
    let extra = BTreeMap::from([("kid_n4".to_string(), 0.5)]);
    let lines = (0..3).map(|round| {
        RoundRecord { round, clients: vec![client(0), client(1)], aggregation: Vec::new(), extra: extra.clone() }
            .to_json()
    });
    Ok(vec![(lines.collect::<Result<Vec<_>>>()?.join("\n") + "\n").into_bytes()])
}

fn log(input: &[u8]) -> Result<()> {
    let records = parse_jsonl(Path::new(ORIGIN), &text(input))?;
    let rates = Rates::of(&records, 0, 1);
    drop((rates.describe(), rates.suppression()));
    records.iter().try_for_each(|r| r.to_json().map(|_| ()))
}

fn summaries() -> Result<Vec<Vec<u8>>> {
    let values = |name: &str| BTreeMap::from([(name.to_string(), 0.5)]);
    let device: Descriptor = ReferenceEngine::new().descriptor().clone();
    let summary = Summary {
        name: "x".into(),
        seed: 3,
        rounds: 3,
        version: "0.1.0".into(),
        device,
        reason: "asked for".into(),
        clients: vec!["a".into()],
        warnings: vec!["few images".into()],
        diverged: 0,
        metrics: values("fd_lite0_n8"),
        untrained: values("fd_lite0_n8"),
        floors: values("floor_fd"),
        digests: Some(Digests { images: "a1".into(), split: "b2".into(), trigger: None, extractor: None }),
        detector: Some(DetectorSummary {
            false_flags: 1,
            honest_rounds: 6,
            true_flags: 2,
            malicious_rounds: 2,
            suppressed_after: Some(1),
            malicious_weight_last: 0.01,
            least_honest_weight_last: 0.3,
        }),
        resumed: Vec::new(),
        verified: Some(Checked { launches: 3, elements: 7, percent: 12.5, label: "D".into(), too_large: 0 }),
        timing: Timing { seconds: 41.25 },
    };
    Ok(vec![summary.to_json()?.into_bytes()])
}

fn summary(input: &[u8]) -> Result<()> {
    let summary = Summary::parse(Path::new(ORIGIN), &text(input))?;
    summary.headline();
    summary.to_json().map(|_| ())
}
