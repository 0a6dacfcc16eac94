use super::*;
use crate::exec::Descriptor;
use crate::report::ClientRecord;
use crate::report::summary::{DetectorSummary, Timing};
use std::collections::BTreeMap;

fn summary(leakage: f64, detector: Option<DetectorSummary>) -> Summary {
    let word = |w: &str| w.to_string();
    let values = |pairs: &[(&str, f64)]| pairs.iter().map(|(k, v)| (k.to_string(), *v)).collect::<BTreeMap<_, _>>();
    Summary {
        name: word("x"),
        seed: 1,
        rounds: 2,
        version: word("0"),
        device: Descriptor {
            engine: word("cpu"),
            adapter: word("f32"),
            address: word(""),
            backend: word("-"),
            device_type: word("Cpu"),
            driver: word("-"),
            variant: word("-"),
        },
        reason: word("test"),
        clients: Vec::new(),
        diverged: 0,
        metrics: values(&[("leakage_n256", leakage), ("sliced_wasserstein_px_n256_r70", 0.125)]),
        untrained: BTreeMap::new(),
        floors: values(&[("floor_sliced_wasserstein_px_n35_r35", 0.0625)]),
        digests: None,
        detector,
        verified: None,
        resumed: Vec::new(),
        warnings: Vec::new(),
        timing: Timing { seconds: 1.0 },
    }
}

fn record(round: usize, malicious: bool) -> RoundRecord {
    let client = |client: usize| ClientRecord {
        weight: if malicious && client == 0 { 0.0001 } else { 0.3 },
        ..ClientRecord::example(client, malicious && client == 0)
    };
    RoundRecord { round, clients: (0..3).map(client).collect(), aggregation: Vec::new(), extra: BTreeMap::new() }
}

fn story() -> Story {
    let found = DetectorSummary {
        false_flags: 1,
        honest_rounds: 60,
        true_flags: 29,
        malicious_rounds: 30,
        suppressed_after: Some(1),
        malicious_weight_last: 0.001,
        least_honest_weight_last: 0.3,
    };
    let png = crate::report::picture::encode_png(&image::RgbImage::new(4, 4)).unwrap();
    let chapter = |name: &str, leakage: f64, detector: Option<DetectorSummary>| Chapter {
        name: name.into(),
        directory: format!("demo/<{name}>"),
        summary: summary(leakage, detector),
        records: (0..2).map(|round| record(round, name != "honest")).collect(),
        samples: png.clone(),
    };
    Story {
        chapters: vec![
            chapter("honest", 0.0, None),
            chapter("attacked", 0.984, None),
            chapter("defended", 0.01, Some(found)),
        ],
        poison: [png.clone(), png.clone()],
        sides: [2, 32],
        clients: [1, 3],
        warmup: Some(0),
    }
}

#[test]
fn the_page_has_the_numbers_of_the_runs() {
    let html = story().page();
    for part in [
        "98.4 %",
        "0.1250 (0.06250)",
        "<td>below 0.001</td>",
        "2 x 2 pixels, 0.39 %",
        "flagged in 29 of 30 rounds and it was suppressed one round after the warm-up",
        "flagged in 1 of 60 cases",
        "demo/&lt;attacked&gt;/generator.safetensors",
        "after 2 rounds",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert!(html.starts_with(BEGIN) && html.ends_with("</html>\n"));
    // One broken line for the malicious hospital, two solid ones.
    assert_eq!((html.matches("class=\"line c1 dashed\"").count(), html.matches("class=\"line c0\"").count()), (2, 3));
    assert_eq!((html.matches("<img ").count(), html.matches(" alt=\"").count()), (5, 5));
    assert!(!html.contains("://"), "nothing is fetched");
}

#[test]
fn a_story_without_detector_says_so() {
    let mut story = story();
    story.chapters.truncate(2);
    assert!(story.page().contains("No run of this demo has a detector."));
}
