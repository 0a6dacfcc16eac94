//! Attacks on updates: what malicious clients send is what the formulas say, on every engine and in federations; nothing else changes.

mod formulas;

use crate::federation::{build, cpu, gpu, settings, shared};
use fedgan::exec::{Engine, ReferenceEngine};
use fedgan::fed::aggregate::Draws;
use fedgan::fed::attack::*;
use fedgan::fed::{Attack, Settings, Shared};
use fedgan::kernels::Class;
use fedgan::kernels::rng::{HostRng, Stream};
use fedgan::model::NamedTensors;
use formulas::{Given, dot, mean};
use std::collections::BTreeSet;

/// All attacks, each in every setting that changes its formula.
pub fn attacks() -> Vec<OnUpdate> {
    let (all, own) = (Reach::All, Reach::Own);
    let alie = |ddof, knowledge| OnUpdate::Alie(Alie { z: Some(1.25), ddof, knowledge });
    let max = |direction, knowledge| OnUpdate::MinMax(MinMax { direction, knowledge });
    let sum = |direction, bound, knowledge| OnUpdate::MinSum(MinSum { direction, bound, knowledge });
    let attacks = vec![
        OnUpdate::Scale(Scale { factor: 3.0 }),
        OnUpdate::SignFlip(SignFlip { factor: 1.5 }),
        OnUpdate::Gaussian(Gaussian { sigma: 2e-3, around: Around::Zero }),
        OnUpdate::Gaussian(Gaussian { sigma: 2e-3, around: Around::Own }),
        OnUpdate::Ipm(Ipm { epsilon: 0.5, knowledge: all }),
        OnUpdate::Ipm(Ipm { epsilon: 2.0, knowledge: own }),
        alie(0, all),
        alie(1, own),
        max(Direction::Unit, all),
        max(Direction::Sign, all),
        max(Direction::Std, all),
        max(Direction::Std, own),
        sum(Direction::Unit, SumBound::Max, all),
        sum(Direction::Sign, SumBound::Min, all),
        sum(Direction::Std, SumBound::Max, all),
        sum(Direction::Std, SumBound::Min, own),
        OnUpdate::Mimic(Mimic { target: Some(3) }),
        OnUpdate::Mimic(Mimic { target: None }),
        OnUpdate::FreeRider(FreeRider { send: Sent::Last, sigma: 0.0 }),
        OnUpdate::FreeRider(FreeRider { send: Sent::Zero, sigma: 0.0 }),
        OnUpdate::FreeRider(FreeRider { send: Sent::Last, sigma: 2e-3 }),
        OnUpdate::Neurotoxin(Neurotoxin { top: 0.3, norm: None }),
        OnUpdate::Neurotoxin(Neurotoxin { top: 0.1, norm: Some(0.01) }),
        OnUpdate::FangKrum(FangKrum {}),
        OnUpdate::FangMedian(FangMedian { spread: 2.0 }),
    ];
    let with: BTreeSet<&str> = attacks.iter().map(OnUpdate::name).collect();
    let all: BTreeSet<&str> = OnUpdate::NAMES.iter().copied().filter(|name| *name != "none").collect();
    assert_eq!(with, all, "an attack is missing here");
    attacks
}

const CLIENTS: usize = 8;
const WORDS: usize = 4_200;
const MALICIOUS: [u32; 2] = [2, 5];
/// A benign client that sends NaN.
const ABSENT: usize = 6;

/// Updates with a common part, and the last aggregate, with equal magnitudes among its values.
fn problem() -> (Vec<f32>, Vec<f32>) {
    let mut rng = HostRng::new(11, Stream::SYNTHETIC, 0, 0);
    let common: Vec<f64> = (0..WORDS).map(|_| rng.normal()).collect();
    let mut updates = Vec::new();
    for client in 0..CLIENTS {
        let size = 1e-3 * (1.0 + 0.1 * client as f64);
        updates.extend(common.iter().map(|c| (size * (0.5 * c + rng.normal())) as f32));
    }
    updates[ABSENT * WORDS + 77] = f32::NAN;
    let last = (0..WORDS).map(|_| ((rng.normal() * 8.0).round() / 4096.0) as f32).collect();
    (updates, last)
}

fn run(engine: &mut dyn Engine, update: &OnUpdate, chunk: usize, seed: u64) -> Forgery {
    let (updates, last) = problem();
    let trial = Trial {
        update,
        given: fedgan::fed::Given { updates: &updates, clients: CLIENTS, chunk, server: None },
        malicious: &MALICIOUS,
        last: Some(&last),
        draws: Draws::Seeded(seed),
    };
    trial.run(engine).unwrap()
}

fn wide(of: &[f32]) -> Vec<f64> {
    of.iter().map(|v| f64::from(*v)).collect()
}

fn norm(of: &[f64]) -> f64 {
    dot(of, of).sqrt()
}

fn distance(got: &[f64], want: &[f64]) -> f64 {
    let off: Vec<f64> = got.iter().zip(want).map(|(g, w)| g - w).collect();
    let size = dot(want, want).sqrt();
    if size == 0.0 { dot(&off, &off).sqrt() } else { dot(&off, &off).sqrt() / size }
}

#[test]
fn malicious_rows_are_what_the_formulas_say() {
    let (updates, last) = problem();
    let rows: Vec<Vec<f64>> = updates.chunks(WORDS).map(wide).collect();
    let last = wide(&last);
    let given = Given { updates: &rows, malicious: &MALICIOUS, absent: &[ABSENT], last: Some(&last) };
    let engines: [fn() -> Box<dyn Engine>; 3] = [cpu, || Box::new(ReferenceEngine::new()), || gpu(Class::Direct)];
    let mut compared = 0;
    for update in attacks() {
        for engine in engines {
            let forged = run(engine().as_mut(), &update, CLIENTS, 5);
            for (client, row) in forged.updates.iter().enumerate() {
                if !given.is_malicious(client) {
                    let same = row.iter().zip(&updates[client * WORDS..]).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{update:?}: benign client {client}");
                } else if let Some(want) = given.sent(&update, client) {
                    let error = distance(&wide(row), &want);
                    assert!(error < 5e-6, "{update:?}: client {client} off by {error:e}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 3 * 2 * 21, "all attacks but four random ones");
}

#[test]
fn chunks_of_clients_give_the_same_rows() {
    let bits = |forged: Forgery| -> Vec<u32> { forged.updates.concat().iter().map(|v| v.to_bits()).collect() };
    for update in attacks() {
        for engine in [cpu, || gpu(Class::Direct)] {
            let [whole, threes, ones] = [CLIENTS, 3, 1].map(|chunk| bits(run(engine().as_mut(), &update, chunk, 5)));
            assert!(whole == threes && whole == ones, "{update:?}");
        }
    }
}

/// Mean and variance within five standard errors of those of N(0, sigma^2).
fn is_noise(noise: &[f64], sigma: f64) {
    let n = noise.len() as f64;
    let m = noise.iter().sum::<f64>() / n;
    let variance = noise.iter().map(|v| (v - m).powi(2)).sum::<f64>() / n;
    let (off, spread) = (m / (sigma / n.sqrt()), (variance / (sigma * sigma) - 1.0) / (2.0 / n).sqrt());
    assert!(off.abs() < 5.0 && spread.abs() < 5.0, "{off} {spread} standard errors");
    assert!(noise.iter().any(|v| v.abs() > 2.5 * sigma), "tails");
}

#[test]
fn noise_is_normal_and_every_client_and_seed_has_its_own() {
    let (updates, last) = problem();
    let sigma = 2e-3;
    /// What the noise of a coordinate is added to, from the own update and the last aggregate.
    type Centre = fn(usize, &[f32], &[f32]) -> f32;
    let around: [(OnUpdate, Centre); 3] = [
        (OnUpdate::Gaussian(Gaussian { sigma, around: Around::Zero }), |_, _, _| 0.0),
        (OnUpdate::Gaussian(Gaussian { sigma, around: Around::Own }), |k, own, _| own[k]),
        (OnUpdate::FreeRider(FreeRider { send: Sent::Last, sigma }), |k, _, last| last[k]),
    ];
    for (update, centre) in around {
        for engine in [cpu, || gpu(Class::Direct)] {
            let mut seen: Vec<Vec<f64>> = Vec::new();
            for seed in [5, 6] {
                let forged = run(engine().as_mut(), &update, 3, seed);
                for client in MALICIOUS {
                    let (row, own) = (&forged.updates[client as usize], &updates[client as usize * WORDS..]);
                    let noise: Vec<f64> = (0..WORDS).map(|k| f64::from(row[k] - centre(k, own, &last))).collect();
                    is_noise(&noise, sigma);
                    for other in &seen {
                        let correlation = dot(&noise, other) / (WORDS as f64 * sigma * sigma);
                        assert!(correlation.abs() < 5.0 / (WORDS as f64).sqrt(), "{correlation}");
                    }
                    seen.push(noise);
                }
            }
        }
    }
}

#[test]
fn values_against_the_median_lie_beyond_the_extremes() {
    let (updates, last) = problem();
    let rows: Vec<Vec<f64>> = updates.chunks(WORDS).map(wide).collect();
    let given = Given { updates: &rows, malicious: &MALICIOUS, absent: &[ABSENT], last: Some(&wide(&last)) };
    let (known, spread) = (given.known(Reach::All), 3.0);
    let m = mean(&known);
    for engine in [cpu, || gpu(Class::Direct)] {
        let forged = run(engine().as_mut(), &OnUpdate::FangMedian(FangMedian { spread }), 3, 5);
        assert_eq!(forged.updates[2], forged.updates[5], "all malicious clients send the same");
        // How far between its extreme and the furthest allowed value each value lies: uniform.
        let mut parts = Vec::new();
        for (k, row) in forged.updates[2].iter().enumerate() {
            let values = known.iter().map(|g| g[k]);
            let (e, out) = match m[k] >= 0.0 {
                true => (values.fold(f64::INFINITY, f64::min), -1.0),
                false => (values.fold(f64::NEG_INFINITY, f64::max), 1.0),
            };
            let furthest = if out * e > 0.0 { spread * e } else { e / spread };
            let part = (f64::from(*row) - e) / (furthest - e);
            assert!((-1e-5..=1.00001).contains(&part), "coordinate {k}: {row} from {e} to {furthest}");
            parts.push(part);
        }
        let n = parts.len() as f64;
        let (m, lower) = (parts.iter().sum::<f64>() / n, parts.iter().filter(|p| **p < 0.25).count() as f64 / n);
        assert!(
            (m - 0.5).abs() < 5.0 / (12.0 * n).sqrt() && (lower - 0.25).abs() < 5.0 * (0.1875 / n).sqrt(),
            "{m} {lower}"
        );
    }
}

#[test]
fn without_enough_rows_in_sight_updates_are_sent_as_trained() {
    let (updates, _) = problem();
    // Of three clients the two benign ones are not finite.
    let mut three = updates[..3 * WORDS].to_vec();
    [three[5], three[WORDS + 9]] = [f32::NAN, f32::INFINITY];
    for update in attacks() {
        let reads = matches!(update.knowledge(), Knowledge::Benign);
        if !reads || update.check(3, &[2]).is_err() {
            continue;
        }
        let trial = Trial {
            update: &update,
            given: fedgan::fed::Given { updates: &three, clients: 3, chunk: 2, server: None },
            malicious: &[2],
            last: None,
            draws: Draws::Seeded(1),
        };
        let forged = trial.run(cpu().as_mut()).unwrap();
        assert_eq!(forged.updates[2], three[2 * WORDS..], "{update:?}");
    }
}

/// Weights of a client's generator less the server's before the round.
fn step(end: &NamedTensors, start: &NamedTensors) -> Vec<f64> {
    let weights = start.iter().filter(|(tensor, _)| !tensor.contains("running"));
    let differences = weights.flat_map(|(tensor, (_, before))| {
        end[tensor].1.iter().zip(before).map(|(e, s)| f64::from(*e) - f64::from(*s)).collect::<Vec<f64>>()
    });
    differences.collect()
}

fn statistics(of: &NamedTensors) -> Vec<u32> {
    let running = of.iter().filter(|(tensor, _)| tensor.contains("running"));
    running.flat_map(|(_, (_, values))| values).map(|v| v.to_bits()).collect()
}

/// Seven clients, the attack in the second round: honest rows are the same to the bit, malicious ones and the mean are what the
/// formulas say, whatever the chunks.
#[test]
fn federations_send_what_the_formulas_say() {
    let malicious = [1u32, 4];
    for engine in [cpu, || gpu(Class::Direct)] {
        let run = |update: &OnUpdate, chunk: Option<u32>| {
            let attack =
                Attack { update: update.clone(), start_round: 1, fraction: 0.0, ..Attack::checker(malicious.to_vec()) };
            let settings = Settings { attack, clients_per_launch: chunk, shared: Shared::Generator, ..settings() };
            let mut f = build(engine(), settings, shared(7));
            let first = f.export_generator().unwrap();
            f.run_round().unwrap();
            let start = f.export_generator().unwrap();
            f.run_round().unwrap();
            let clients: Vec<NamedTensors> = (0..7).map(|c| f.export_client_generator(c).unwrap()).collect();
            (first, start, clients, f.export_generator().unwrap())
        };
        let plain = run(&OnUpdate::default(), None);
        let updates: Vec<Vec<f64>> = plain.2.iter().map(|client| step(client, &plain.1)).collect();
        let last = step(&plain.1, &plain.0);
        let zero: NamedTensors =
            plain.1.iter().map(|(name, (shape, v))| (name.clone(), (shape.clone(), vec![0.0; v.len()]))).collect();
        let rounding = norm(&step(&plain.1, &zero)) / 16_777_216.0;
        let given = Given { updates: &updates, malicious: &malicious, absent: &[], last: Some(&last) };
        for update in attacks() {
            let attacked = run(&update, None);
            assert!(plain.0 == attacked.0 && plain.1 == attacked.1, "{update:?}: not before the attack starts");
            let mut sent = Vec::new();
            for (client, end) in attacked.2.iter().enumerate() {
                let got = step(end, &attacked.1);
                if given.is_malicious(client) {
                    assert!(end != &plain.2[client], "{update:?}: client {client} sends something else");
                    assert_eq!(statistics(end), statistics(&plain.2[client]), "{update:?}: statistics as trained");
                    if let Some(want) = given.sent(&update, client) {
                        // Scalars such as gamma are within the bound of the golden cases. A row is w + a (x - w) = (1 - a) w + a x
                        // at worst: two products and a sum are rounded relative to (|1 - a| + |a|) |w|, with |a| as the update's growth.
                        let growth = norm(&want) / norm(&updates[client]);
                        let allowed = 5e-6 * norm(&want) + 3.0 * (1.0 + 2.0 * growth) * rounding;
                        let error = norm(&got.iter().zip(&want).map(|(g, w)| g - w).collect::<Vec<f64>>());
                        assert!(error < allowed, "{update:?}: client {client} off by {error:e}, allowed {allowed:e}");
                    }
                } else {
                    assert!(end == &plain.2[client], "{update:?}: benign client {client}");
                }
                sent.push(got);
            }
            let all: Vec<&[f64]> = sent.iter().map(Vec::as_slice).collect();
            assert!(distance(&step(&attacked.3, &attacked.1), &mean(&all)) < 1e-3, "{update:?}: the mean");
            let twos = run(&update, Some(2));
            assert!(twos.2 == attacked.2 && twos.3 == attacked.3, "{update:?}: two clients per launch");
        }
    }
}
