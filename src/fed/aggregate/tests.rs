//! What a rule decides is what the server's networks become, whatever the chunks.

use super::*;
use crate::exec::{CpuEngine, Tensor, write_f32};
use crate::fed::Given;
use crate::fed::detector::{Detector, LossReport};
use crate::fed::{Attack, ClientData, Federation, Local, OnNonfinite, Settings};
use crate::model::{Architecture, Gan};

/// Three clients with images of their own, in chunks of two and one.
fn federation() -> Federation {
    let arch = Architecture { image_size: 16, channels: 1, width: 2, latent: 4 };
    let pixels: Vec<u8> = (0..12 * 256u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let holdings = (0..3).map(|c| (4 * c..4 * c + 4).collect()).collect();
    let settings = Settings {
        seed: 1,
        batch: 4,
        lr: 2e-4,
        local: Local::Steps(2),
        shared: Shared::Generator,
        rule: Rule::default(),
        pre: pre::Pre::default(),
        statistics: Default::default(),
        client_momentum: 0.0,
        weights: Weights::Equal,
        clients_per_launch: Some(2),
        attack: Attack::checker(vec![]),
        report: LossReport::True,
        detector: Detector::None {},
        nonfinite: OnNonfinite::Stop,
    };
    let gan = Gan::new(arch, 0.5, 0.999, 1e-8).unwrap();
    Federation::new(
        Box::new(CpuEngine::new()),
        gan,
        settings,
        ClientData { pixels: &pixels, holdings, server: Vec::new() },
    )
    .unwrap()
}

/// Takes one client's row, or writes a value over the server's weights.
enum Decides {
    Client(usize),
    Value(Tensor, f32),
}

impl Aggregation for Decides {
    fn recordings(&self) -> Vec<&Recording> {
        Vec::new()
    }

    fn decide(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Decision> {
        assert_eq!((round.weights.len(), round.present), (3, &[true; 3][..]));
        let mut weights = vec![0.0; 3];
        match *self {
            Decides::Client(client) => {
                weights[client] = 1.0;
                Ok(Decision { weights, result: Combination::WeightedSum, networks: Vec::new() })
            }
            Decides::Value(server, value) => {
                write_f32(engine, server, &vec![value; server.words])?;
                weights[0] = 1.0;
                Ok(Decision { weights, result: Combination::Written, networks: Vec::new() })
            }
        }
    }
}

#[test]
fn the_server_takes_the_client_that_a_rule_selects() {
    for client in 0..3u32 {
        let mut f = federation();
        f.rule = Box::new(Decides::Client(client as usize));
        let report = f.run_round().unwrap();
        let weights: Vec<f64> = report.clients.iter().map(|c| c.weighted.weight).collect();
        assert_eq!(weights, [0, 1, 2].map(|c| f64::from(u8::from(c == client))));
        let server = f.export_generator().unwrap();
        for other in 0..3 {
            assert_eq!(server == f.export_client_generator(other).unwrap(), other == client, "{client} {other}");
        }
    }
}

#[test]
fn rows_that_a_rule_has_written_stay() {
    let mut f = federation();
    let server = f.server_generator().weights;
    f.rule = Box::new(Decides::Value(server, 0.5));
    f.run_round().unwrap();
    let trained = f.export_generator().unwrap();
    let convolutions = trained.values().filter(|(shape, _)| shape.len() == 4);
    assert!(convolutions.clone().count() > 1);
    assert!(convolutions.flat_map(|(_, values)| values).all(|v| *v == 0.5));
}

/// Updates of seven clients over several slices of coordinates, in chunks of three.
fn trial<'a>(rule: &'a Rule, pre: &'a pre::Pre, updates: &'a [f32]) -> Trial<'a> {
    Trial {
        rule,
        pre,
        given: Given { updates, clients: 7, chunk: 3, server: None },
        weights: None,
        root: None,
        memory: None,
        draws: Draws::Seeded(1),
    }
}

fn drawn(words: usize) -> Vec<f32> {
    let mut rng = crate::kernels::rng::HostRng::new(1, crate::kernels::rng::Stream::CHECK, 0, 0);
    (0..7 * words).map(|_| rng.normal() as f32).collect()
}

#[test]
fn every_slice_of_coordinates_counts() {
    let words = 1500;
    let updates = drawn(words);
    let at = |c: usize, k: usize| f64::from(updates[c * words + k]);
    let none = pre::Pre::default();
    let mut engine = CpuEngine::new();
    let median = Rule::Median(Median {});
    let got = trial(&median, &none, &updates).run(&mut engine).unwrap().server;
    for (k, got) in got.iter().enumerate() {
        let mut values: Vec<f64> = (0..7).map(|c| at(c, k)).collect();
        values.sort_by(f64::total_cmp);
        assert_eq!(f64::from(*got), values[3], "{k}");
    }
    let krum = Rule::Krum(Krum { f: 1, neighbours: None });
    let outcome = trial(&krum, &none, &updates).run(&mut engine).unwrap();
    let scores = &outcome.decision.networks[0].scores;
    for (i, score) in scores.iter().enumerate() {
        let distance = |j: usize| (0..words).map(|k| (at(i, k) - at(j, k)).powi(2)).sum::<f64>();
        let mut others: Vec<f64> = (0..7).filter(|j| *j != i).map(distance).collect();
        others.sort_by(f64::total_cmp);
        let expected: f64 = others[..4].iter().sum();
        assert!((score.unwrap() - expected).abs() < 1e-5 * expected, "{i}");
    }
    let chosen = outcome.decision.weights.iter().position(|w| *w == 1.0).unwrap();
    assert_eq!(outcome.server, updates[chosen * words..(chosen + 1) * words]);
    let margin = outcome.decision.networks[0].margin.unwrap();
    assert!(margin > 0.0 && !outcome.decision.networks[0].close);
}

#[test]
fn close_decisions_are_marked() {
    let words = 64;
    let mut updates = drawn(words);
    // Client 6 is client 5 but for a millionth: as good a choice.
    let (five, six) = (5 * words, 6 * words);
    for k in 0..words {
        updates[six + k] = updates[five + k] * 0.1;
        updates[five + k] = updates[six + k] * (1.0 + 1e-6);
    }
    let (krum, none) = (Rule::Krum(Krum { f: 1, neighbours: Some(1) }), pre::Pre::default());
    let outcome = trial(&krum, &none, &updates).run(&mut CpuEngine::new()).unwrap();
    // With one neighbour the two nearest tie exactly: the lower one is chosen, and the tie is no margin.
    assert_eq!(outcome.decision.weights[5], 1.0);
    assert!(!outcome.decision.networks[0].close);
    let krum = Rule::Krum(Krum { f: 1, neighbours: None });
    let outcome = trial(&krum, &none, &updates).run(&mut CpuEngine::new()).unwrap();
    assert!(outcome.decision.networks[0].close, "{:?}", outcome.decision.networks[0].margin);
}

#[test]
fn conditions_name_the_rules_that_would_do() {
    let krum = Rule::Krum(Krum { f: 1, neighbours: None });
    assert_eq!(
        krum.check(4).unwrap_err(),
        "needs n > 2f + 2; n = 4, f = 1. With 4 clients and f = 1: median, trimmed-mean, meamed, geometric-median, \
         centred-clipping, norm-clip, crfl, mda, dnc, foolsgold, flame, sign-majority, robust-lr, fltrust (with federation.server_images)"
    );
    assert!(krum.check(5).is_ok());
    let half = Rule::TrimmedMean(TrimmedMean { f: 2 });
    assert_eq!(half.check(4).unwrap_err(), "needs n > 2f; n = 4, f = 2. No rule resists 2 of 4 clients");
    let bulyan = Rule::Bulyan(Bulyan { f: 2 });
    assert!(bulyan.check(10).unwrap_err().contains("n >= 4f + 3; n = 10, f = 2") && bulyan.check(11).is_ok());
    let mda = Rule::Mda(Mda { f: 12 });
    assert!(mda.check(40).unwrap_err().contains("100000"), "{:?}", mda.check(40));
    for (rule, clients, what) in [
        (Rule::MultiKrum(MultiKrum { f: 2, m: Some(7), neighbours: None }), 8, "at most n - f = 6"),
        (Rule::Krum(Krum { f: 1, neighbours: Some(8) }), 8, "have at most 7"),
        (Rule::TrimmedMean(TrimmedMean { f: 4 }), 8, "n > 2f"),
        (Rule::Dnc(Dnc { f: 3, c: 3.0, iterations: 1, sample: 10 }), 8, "drops 9 of 8"),
        (Rule::RobustLr(RobustLr { theta: 9 }), 8, "at most 8 votes"),
        (Rule::FoolsGold(FoolsGold { kappa: 1.0 }), 1, "n >= 2"),
    ] {
        let error = rule.check(clients).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    assert!(pre::Pre::Nnm(pre::Nnm { f: 4 }).check(8).unwrap_err().contains("n > 2f"));
    let buckets = pre::Pre::Bucketing(pre::Bucketing { s: 3 });
    assert_eq!((buckets.outputs(8), buckets.check(2).is_err()), (3, true));
}

#[test]
fn more_clients_than_kernels_take_are_refused() {
    let (none, median) = (pre::Pre::default(), Rule::Median(Median {}));
    assert_eq!(suits(&none, &median, 1024), Ok(()));
    let refusal = "federation.aggregation.rule = \"median\": takes at most 1024 clients; n = 1025";
    assert_eq!(suits(&none, &median, 1025), Err(vec![refusal.to_string()]));
    // The rule counts buckets.
    let buckets = pre::Pre::Bucketing(pre::Bucketing { s: 2 });
    assert_eq!(suits(&buckets, &median, 2048), Ok(()));
    let error = suits(&buckets, &median, 2050).unwrap_err();
    assert!(error[0].contains("takes at most 1024 clients; n = 1025 (n counts the rows after"), "{error:?}");
    let nnm = pre::Pre::Nnm(pre::Nnm { f: 1 });
    assert_eq!(suits(&nnm, &Rule::default(), 1025).unwrap_err().len(), 1);
    let fltrust = Rule::FlTrust(FlTrust {});
    assert!(suits(&none, &fltrust, 1023).is_ok() && suits(&none, &fltrust, 1024).is_err());
    for rule in [Rule::default(), Rule::SignMajority(SignMajority { step: 1e-3 })] {
        assert_eq!(suits(&none, &rule, 100_000), Ok(()), "{}", rule.name());
    }
}

#[test]
fn the_server_stays_if_dnc_keeps_nobody() {
    // Every iteration keeps one client of seven, by one coordinate: different ones.
    let rule = Rule::Dnc(Dnc { f: 3, c: 2.0, iterations: 20, sample: 1 });
    let (none, words) = (pre::Pre::default(), 64);
    let server: Vec<f32> = (0..words).map(|k| k as f32).collect();
    let updates = drawn(words);
    let mut trial = trial(&rule, &none, &updates);
    trial.given.server = Some(&server);
    let outcome = trial.run(&mut CpuEngine::new()).unwrap();
    assert_eq!((outcome.decision.weights, outcome.server), (vec![0.0; 7], server));
    let note = outcome.decision.networks[0].note.clone();
    assert_eq!(note.as_deref(), Some("no client is kept: the server's networks do not change"));
}
