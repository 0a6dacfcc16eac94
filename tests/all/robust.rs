//! Aggregation rules: the golden cases, and what holds for every rule.

use crate::federation::{build, cpu, gpu, relative_l2, settings, shared};
use fedgan::check::golden::{self, Outcome};
use fedgan::exec::{Engine, Purpose, ReferenceEngine};
use fedgan::fed::aggregate::pre::{Arc, Bucketing, Nnm, None as NoPre};
use fedgan::fed::aggregate::{
    Bulyan, CentredClipping, Crfl, Dnc, Draws, FlTrust, Flame, FoolsGold, GeometricMedian, Krum, Mda, Meamed, Median,
    MultiKrum, NormClip, RobustLr, SignMajority, Start, Trial, TrimmedMean,
};
use fedgan::fed::attack::{OnUpdate, Scale};
use fedgan::fed::state::Part;
use fedgan::fed::{Attack, Federation, Given, OnNonfinite, Pre, Rule, Settings, Shared, Statistics};
use fedgan::kernels::Class;
use fedgan::kernels::rng::{HostRng, Stream};
use fedgan::model::NamedTensors;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Every rule, for seven clients or more of which one is faulty.
pub fn rules() -> Vec<Rule> {
    let median = |start| GeometricMedian { nu: 1e-6, iterations: 3, start };
    let rules = vec![
        Rule::default(),
        Rule::Median(Median {}),
        Rule::TrimmedMean(TrimmedMean { f: 1 }),
        Rule::Meamed(Meamed { f: 1 }),
        Rule::Krum(Krum { f: 1, neighbours: None }),
        Rule::MultiKrum(MultiKrum { f: 1, m: Some(3), neighbours: None }),
        Rule::Bulyan(Bulyan { f: 1 }),
        Rule::GeometricMedian(median(Start::Median)),
        Rule::GeometricMedian(median(Start::Mean)),
        Rule::GeometricMedian(median(Start::Zero)),
        Rule::CentredClipping(CentredClipping { tau: 0.05, iterations: 3 }),
        Rule::NormClip(NormClip { c: None, sigma: 1e-4 }),
        Rule::Crfl(Crfl { rho: 1.0, sigma: 1e-4 }),
        Rule::Mda(Mda { f: 1 }),
        Rule::Dnc(Dnc { f: 1, c: 1.0, iterations: 3, sample: 100 }),
        Rule::FoolsGold(FoolsGold { kappa: 1.0 }),
        Rule::Flame(Flame { sigma: 1e-3 }),
        Rule::SignMajority(SignMajority { step: 1e-3 }),
        Rule::RobustLr(RobustLr { theta: 4 }),
        Rule::FlTrust(FlTrust {}),
    ];
    let names: BTreeSet<&str> = rules.iter().map(Rule::name).collect();
    assert_eq!(names, Rule::NAMES.iter().copied().collect(), "a rule is missing here");
    rules
}

/// Every pre-aggregator.
pub fn pres() -> Vec<Pre> {
    let pres =
        vec![Pre::None(NoPre {}), Pre::Nnm(Nnm { f: 1 }), Pre::Bucketing(Bucketing { s: 2 }), Pre::Arc(Arc { f: 1 })];
    assert_eq!(pres.iter().map(Pre::name).collect::<Vec<_>>(), Pre::NAMES, "a pre-aggregator is missing here");
    pres
}

#[test]
fn golden_cases_pass_on_every_engine() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/robust");
    let files = golden::files(&folder).unwrap();
    let engines: [(&str, Box<dyn Engine>); 4] = [
        ("cpu", cpu()),
        ("reference", Box::new(ReferenceEngine::new())),
        ("tiled", gpu(Class::Tiled)),
        ("direct", gpu(Class::Direct)),
    ];
    let mut ops = BTreeSet::new();
    for (name, mut engine) in engines {
        for file in &files {
            let report = golden::run_file(engine.as_mut(), file);
            assert_eq!(report.outcome, Outcome::Passed, "{name}: {}", file.display());
            assert!(!report.tensors.is_empty());
            ops.insert(report.op);
        }
    }
    assert_eq!(ops.len(), 21, "{ops:?}");
}

/// Updates of `clients` clients around a common direction, the first of them five times as large.
fn updates(clients: usize, words: usize) -> Vec<f32> {
    let mut rng = HostRng::new(5, Stream::CHECK, 0, 0);
    let common: Vec<f64> = (0..words).map(|_| 0.02 * rng.normal()).collect();
    let mut update = |c: usize| -> Vec<f32> {
        let size = if c == 0 { 5.0 } else { 1.0 };
        common.iter().map(|v| (size * (v + 0.02 * rng.normal())) as f32).collect()
    };
    (0..clients).flat_map(&mut update).collect()
}

/// The outcome of each rule after each pre-aggregator does not depend on the division into chunks.
#[test]
fn chunks_do_not_change_a_bit_of_any_rule() {
    let (clients, words) = (9, 5000);
    let (updates, root) = (updates(clients, words), updates(1, words));
    for (name, mut engine) in [("cpu", cpu()), ("gpu", gpu(Class::Direct))] {
        for rule in rules() {
            for pre in pres() {
                // Five buckets are too few for these.
                let few = matches!(rule, Rule::Bulyan(_)) && matches!(pre, Pre::Bucketing(_));
                if few || (name == "gpu" && !matches!(pre, Pre::None(_)) && !matches!(rule, Rule::Krum(_))) {
                    continue;
                }
                let mut run = |chunk: usize| {
                    let trial = Trial {
                        rule: &rule,
                        pre: &pre,
                        given: Given { updates: &updates, clients, chunk, server: None },
                        weights: None,
                        root: Some(&root),
                        memory: None,
                        draws: Draws::Seeded(3),
                    };
                    trial.run(engine.as_mut()).unwrap()
                };
                let whole = run(clients);
                assert!(whole.server.iter().all(|v| v.is_finite()) && whole.server.iter().any(|v| *v != 0.0));
                for chunk in [1, 3] {
                    let parts = run(chunk);
                    let what = format!("{name}: {rule:?} after {pre:?} in chunks of {chunk}");
                    assert_eq!(parts.decision, whole.decision, "{what}");
                    assert!(parts.server == whole.server && parts.memory == whole.memory, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_federation_aggregates_with_every_rule() {
    let run = |rule: &Rule, pre: &Pre, per_launch: u32, engine: Box<dyn Engine>| {
        let attack = Attack { update: OnUpdate::Scale(Scale { factor: 4.0 }), ..Attack::checker(vec![2]) };
        let s = Settings {
            rule: rule.clone(),
            pre: pre.clone(),
            attack,
            shared: Shared::Both,
            clients_per_launch: Some(per_launch),
            ..settings()
        };
        let mut f = build(engine, s, shared(8));
        let before = f.export_generator().unwrap();
        let reports: Vec<_> = (0..2).map(|_| f.run_round().unwrap()).collect();
        let read = f.engine().traffic().bytes(Purpose::RoundScalars);
        assert!(read < 2 * 8 * 1024, "{rule:?}: {read} bytes in two rounds of eight clients");
        let after = f.export_generator().unwrap();
        assert_ne!(before, after, "{rule:?}");
        assert!(after.values().all(|(_, v)| v.iter().all(|v| v.is_finite())), "{rule:?}");
        let variances = after.iter().filter(|(name, _)| name.ends_with("running_var"));
        assert!(variances.flat_map(|(_, (_, v))| v).all(|v| *v > 0.0), "{rule:?}: a variance is not positive");
        (reports, after, f.export_discriminator(7).unwrap())
    };
    let none = Pre::default();
    for rule in rules() {
        let whole = run(&rule, &none, 8, cpu());
        assert!(run(&rule, &none, 3, cpu()) == whole, "{rule:?} in chunks of 3");
        let networks: Vec<&str> = whole.0[1].networks.iter().map(|n| n.network.as_str()).collect();
        if matches!(rule, Rule::Mean(_)) {
            assert!(networks.is_empty());
        } else {
            assert_eq!(networks, ["generator", "discriminator"]);
        }
        // What is chosen among clients leaves out the enlarged update.
        if matches!(rule, Rule::Krum(_) | Rule::MultiKrum(_) | Rule::Mda(_) | Rule::Dnc(_) | Rule::Bulyan(_)) {
            assert_eq!(whole.0[0].clients[2].weighted.weight, 0.0, "{rule:?}");
        }
    }
    for pre in pres() {
        let rule = Rule::TrimmedMean(TrimmedMean { f: 1 });
        assert!(run(&rule, &pre, 1, cpu()) == run(&rule, &pre, 8, cpu()), "{pre:?}");
    }
    for rule in [rules().remove(4), rules().remove(1), rules().remove(10)] {
        let (all, one) = (run(&rule, &none, 8, gpu(Class::Direct)), run(&rule, &none, 3, gpu(Class::Direct)));
        assert!(all == one, "{rule:?} on the GPU in chunks of 3");
        let chosen = |reports: &[fedgan::fed::RoundReport]| -> Vec<f64> {
            reports[0].clients.iter().map(|c| c.weighted.weight).collect()
        };
        let cpu = run(&rule, &none, 8, cpu());
        for (a, b) in chosen(&all.0).iter().zip(chosen(&cpu.0)) {
            assert!((a - b).abs() < 1e-3, "{rule:?}: other weights than on the CPU");
        }
    }
}

/// A client with non-finite values uses up one of the assumed faults, whether it is dropped or only recorded.
#[test]
fn rules_never_see_values_that_are_not_finite() {
    for nonfinite in [OnNonfinite::Drop, OnNonfinite::Record] {
        for rule in rules().into_iter().filter(|rule| !matches!(rule, Rule::Mean(_))) {
            let update = OnUpdate::Scale(Scale { factor: 1e30 });
            let attack = Attack { update, ..Attack::checker(vec![1]) };
            let s = Settings { rule: rule.clone(), attack, nonfinite, ..settings() };
            let mut f = build(cpu(), s, shared(7));
            let report = f.run_round().unwrap();
            assert!(report.clients[1].trained.nonfinite.is_some());
            assert_eq!(report.clients[1].weighted.weight, 0.0, "{rule:?}");
            let generator = f.export_generator().unwrap();
            assert!(generator.values().all(|(_, v)| v.iter().all(|v| v.is_finite())), "{rule:?}");
        }
    }
    // With two of five rejected Krum has too few left, and says so.
    let update = OnUpdate::Scale(Scale { factor: 1e30 });
    let attack = Attack { update, ..Attack::checker(vec![1, 2, 3]) };
    let rule = Rule::Krum(Krum { f: 1, neighbours: None });
    let s = Settings { rule, attack, nonfinite: OnNonfinite::Drop, ..settings() };
    let error = build(cpu(), s, shared(5)).run_round().unwrap_err().to_string();
    assert!(error.contains("2 of 5 clients are left") && error.contains("n > 2f + 2"), "{error}");
}

/// What a client sent: its generator's weights minus the server's before the round.
fn sent(f: &mut Federation, server: &NamedTensors, client: u32) -> Vec<f32> {
    let own = f.export_client_generator(client).unwrap();
    let weights = own.iter().filter(|(name, _)| !name.contains("running"));
    weights.flat_map(|(name, (_, own))| own.iter().zip(&server[name].1).map(|(a, b)| a - b)).collect()
}

/// m = b m + (1 - b) update, sent in place of the update, and set to 0 after non-finite values.
#[test]
fn clients_send_the_momentum_of_their_updates() {
    let b = 0.75f32;
    for (engine, per_launch) in [(cpu as fn() -> Box<dyn Engine>, 3), (cpu, 2), (|| gpu(Class::Direct), 3)] {
        let s = |client_momentum| Settings {
            client_momentum,
            attack: Attack::checker(Vec::new()),
            clients_per_launch: Some(per_launch),
            ..settings()
        };
        let (mut plain, mut f) = (build(engine(), s(0.0), shared(3)), build(engine(), s(f64::from(b)), shared(3)));
        let mut kept: Vec<Vec<f32>> = Vec::new();
        for round in 0..3 {
            // The plain federation repeats the round from the same state, so that its clients send this round's updates.
            let parts = plain.parts();
            let from: BTreeMap<String, Part> = f.parts().into_iter().map(|part| (part.name.clone(), part)).collect();
            for part in parts {
                for row in 0..part.rows {
                    let words = f.read_row(&from[&part.name], row).unwrap();
                    plain.write_row(&part, row, &words).unwrap();
                }
            }
            let server = f.export_generator().unwrap();
            f.run_round().unwrap();
            plain.run_round().unwrap();
            for client in 0..3 {
                let update = sent(&mut plain, &server, client as u32);
                let expected: Vec<f32> = match round {
                    0 => update.iter().map(|u| (1.0 - b) * u).collect(),
                    _ => kept[client].iter().zip(&update).map(|(m, u)| b * m + (1.0 - b) * u).collect(),
                };
                let found = sent(&mut f, &server, client as u32);
                assert!(relative_l2(&found, &expected) < 1e-4, "round {round}, client {client}");
                if round == 0 { kept.push(expected) } else { kept[client] = expected }
            }
        }
    }
}

#[test]
fn non_finite_momentum_ends_with_the_round() {
    for nonfinite in [OnNonfinite::Drop, OnNonfinite::Record] {
        let (rule, attack) = (Rule::Median(Median {}), Attack::checker(Vec::new()));
        let mut f = build(cpu(), Settings { client_momentum: 0.9, rule, attack, nonfinite, ..settings() }, shared(4));
        let part = |f: &Federation, name: &str| f.parts().into_iter().find(|p| p.name == name).unwrap();
        let discriminators = part(&f, "clients.discriminator.weights");
        f.write_row(&discriminators, 1, &vec![f32::NAN.to_bits(); discriminators.words]).unwrap();
        let report = f.run_round().unwrap();
        assert!(report.clients[1].trained.nonfinite.is_some());
        let momentum = part(&f, "clients.generator.momentum of updates");
        for client in 0..4 {
            let row = f.read_row(&momentum, client).unwrap();
            assert_eq!(row.iter().all(|w| *w == 0), client == 1, "{nonfinite:?}: client {client}");
        }
        let server = f.export_generator().unwrap();
        assert!(server.values().all(|(_, v)| v.iter().all(|v| v.is_finite())), "{nonfinite:?}");
    }
}

/// Without its own update the server has no measure of the clients.
#[test]
fn the_servers_own_fault_ends_the_run() {
    for nonfinite in [OnNonfinite::Stop, OnNonfinite::Drop, OnNonfinite::Record] {
        let s =
            Settings { rule: Rule::FlTrust(FlTrust {}), attack: Attack::checker(Vec::new()), nonfinite, ..settings() };
        let mut f = build(cpu(), s, shared(3));
        f.run_round().unwrap();
        let part = f.parts().into_iter().find(|p| p.name == "server's training.discriminator.weights").unwrap();
        f.write_row(&part, 0, &vec![f32::NAN.to_bits(); part.words]).unwrap();
        let server = f.export_generator().unwrap();
        let error = f.run_round().unwrap_err().to_string();
        assert!(error.contains("round 2: in the server's own training") && error.contains("is not finite"), "{error}");
        assert_eq!(f.export_generator().unwrap(), server);
    }
}

/// A huge update is clipped to the norm asked for, not to 0: its squares exceed f32.
#[test]
fn norms_do_not_overflow() {
    let mut updates = updates(4, 300);
    updates[..300].iter_mut().for_each(|v| *v *= 1e22);
    let rule = Rule::NormClip(NormClip { c: Some(0.5), sigma: 0.0 });
    for mut engine in [cpu(), gpu(Class::Direct)] {
        let trial = Trial {
            rule: &rule,
            pre: &Pre::default(),
            given: Given { updates: &updates, clients: 4, chunk: 2, server: None },
            weights: Some(&[1.0, 0.0, 0.0, 0.0]),
            root: None,
            memory: None,
            draws: Draws::Seeded(1),
        };
        let server = trial.run(engine.as_mut()).unwrap().server;
        let norm = server.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        assert!((norm - 0.5).abs() < 1e-6, "{norm}");
    }
}

/// The variance of the pooled data: that of the clients' variances and of the spread of their means.
#[test]
fn pooled_variances_count_the_spread_of_means() {
    for (per_launch, engine) in [(3, cpu()), (2, cpu()), (2, gpu(Class::Direct))] {
        let s = Settings { statistics: Statistics::Pooled, clients_per_launch: Some(per_launch), ..settings() };
        let mut f = build(engine, s, shared(3));
        f.run_round().unwrap();
        let clients: Vec<_> = (0..3).map(|c| f.export_client_generator(c).unwrap()).collect();
        let server = f.export_generator().unwrap();
        let mut checked = 0;
        for (name, (_, values)) in server.iter().filter(|(name, _)| name.ends_with("running_var")) {
            let means = name.replace("running_var", "running_mean");
            for (i, got) in values.iter().enumerate() {
                let mean = |c: usize| f64::from(clients[c][&means].1[i]);
                let centre = (0..3).map(mean).sum::<f64>() / 3.0;
                let spread = (0..3).map(|c| f64::from(clients[c][name].1[i]) + (mean(c) - centre).powi(2));
                let expected = spread.sum::<f64>() / 3.0;
                assert!((f64::from(*got) - expected).abs() <= 1e-5 * expected, "{name}[{i}]: {got} {expected}");
                checked += 1;
            }
        }
        assert!(checked > 8);
    }
}

/// Recomputed statistics follow from the server's weights and its own latents: engines agree, chunks do not matter, and the next
/// generator's images are those of its batches.
#[test]
fn the_server_measures_statistics_itself() {
    let run = |statistics, per_launch, engine: Box<dyn Engine>| {
        let s = Settings { statistics, clients_per_launch: Some(per_launch), ..settings() };
        let mut f = build(engine, s, shared(3));
        f.run_round().unwrap();
        f.export_generator().unwrap()
    };
    let reference = run(Statistics::Recompute, 3, Box::new(ReferenceEngine::new()));
    let own = run(Statistics::Recompute, 3, cpu());
    assert!(own == run(Statistics::Recompute, 1, cpu()), "in chunks of one client");
    let averaged = run(Statistics::Average, 3, cpu());
    for (name, (_, values)) in &own {
        let same = values == &averaged[name].1;
        assert_eq!(same, !name.contains("running"), "{name}: weights do not depend on statistics in the first round");
        if name.contains("running") {
            let error = relative_l2(values, &reference[name].1);
            assert!(error < 5e-2, "{name}: {error}");
        }
    }
    let gpu = run(Statistics::Recompute, 3, gpu(Class::Direct));
    for (name, (_, values)) in gpu.iter().filter(|(name, _)| name.ends_with("running_var")) {
        assert!(relative_l2(values, &own[name].1) < 5e-2, "{name}");
        assert!(values.iter().all(|v| *v > 0.0), "{name}");
    }
}
