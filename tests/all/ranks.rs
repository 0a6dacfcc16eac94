//! Federations over several ranks: the same bits as with one, whatever the rule, the attack and the objective.

use super::attacks::attacks;
use super::federation::{build, cpu, gpu, settings, shared, try_build};
use super::nonfinite::{D_WEIGHTS, G_WEIGHTS, Into, poisoned, wgan};
use super::robust::{pres, rules};
use fedgan::exec::{Cluster, Engine, Open, Purpose, Recording, RemoteEngine, Tensor, Thread, serve};
use fedgan::fed::aggregate::TrimmedMean;
use fedgan::fed::attack::image::{Dba, Pattern, Place, Warp};
use fedgan::fed::attack::{OnImages, OnUpdate, Scale};
use fedgan::fed::detector::{Detector, IsolationForest};
use fedgan::fed::state::SavedState;
use fedgan::fed::{Attack, Federation, OnNonfinite, Pre, RoundReport, Rule, Settings, Shared, Statistics};
use fedgan::kernels::Class;
use fedgan::model::NamedTensors;
use fedgan::{Error, Result};
use std::collections::BTreeMap;

type OpenEngine = fn() -> Box<dyn Engine>;

/// The rows of every tensor of a state.
type Tensors = BTreeMap<String, Vec<Vec<u32>>>;

/// Joins `own` with workers in threads, one for each of `engines`.
fn cluster(own: Box<dyn Engine>, engines: Vec<OpenEngine>) -> Box<dyn Engine> {
    let worker = |(rank, engine): (usize, OpenEngine)| {
        let (root, mut worker) = Thread::pair();
        std::thread::spawn(move || serve(&mut worker, |_| Ok(engine())));
        RemoteEngine::open(rank, Box::new(root), &Open { device: "cpu".into(), tuned: false }).unwrap()
    };
    Box::new(Cluster::new(own, (1..).zip(engines).map(worker).collect()))
}

/// So many ranks with the cpu engine.
fn ranks(n: usize) -> Box<dyn Engine> {
    if n == 1 { cpu() } else { cluster(cpu(), vec![cpu; n - 1]) }
}

/// Everything that a federation leaves: reports, the networks of server and clients, and the state between rounds.
#[derive(PartialEq)]
struct Left {
    reports: Vec<RoundReport>,
    generator: NamedTensors,
    discriminators: Vec<NamedTensors>,
    generators: Vec<NamedTensors>,
    state: Tensors,
}

fn left(f: &mut Federation, rounds: u32) -> Left {
    let reports = (0..rounds).map(|_| f.run_round().unwrap()).collect();
    let clients = 0..f.clients();
    Left {
        reports,
        generator: f.export_generator().unwrap(),
        discriminators: clients.clone().map(|c| f.export_discriminator(c).unwrap()).collect(),
        generators: clients.map(|c| f.export_client_generator(c).unwrap()).collect(),
        state: state(f),
    }
}

fn state(f: &mut Federation) -> Tensors {
    let rows = |f: &mut Federation, part| (0..).map_while(|row| f.read_row(part, row).ok()).collect();
    f.parts().iter().map(|part| (part.name.clone(), rows(f, part))).collect()
}

#[test]
fn ranks_do_not_change_a_bit_of_any_rule() {
    let scaled = || Attack { update: OnUpdate::Scale(Scale { factor: 4.0 }), ..Attack::checker(vec![2]) };
    let with = |rule: &Rule, pre: &Pre| Settings {
        rule: rule.clone(),
        pre: pre.clone(),
        attack: scaled(),
        shared: Shared::Both,
        ..settings()
    };
    for rule in rules() {
        let with = || with(&rule, &Pre::default());
        let one = left(&mut build(ranks(1), with(), shared(7)), 2);
        let one_wgan = left(&mut wgan(ranks(1), with(), 7), 1);
        for n in [2, 3, 5] {
            assert!(left(&mut build(ranks(n), with(), shared(7)), 2) == one, "{rule:?} on {n} ranks");
            assert!(left(&mut wgan(ranks(n), with(), 7), 1) == one_wgan, "{rule:?} on {n} ranks with WGAN-GP");
        }
    }
    let rule = Rule::TrimmedMean(TrimmedMean { f: 1 });
    for pre in pres() {
        let run = |n: usize| left(&mut build(ranks(n), with(&rule, &pre), shared(7)), 2);
        assert!(run(3) == run(1), "{pre:?}");
    }
}

/// A run writes its first checkpoint before any round.
#[test]
fn ranks_begin_with_the_state_of_one() {
    for shared_networks in [Shared::Generator, Shared::Both] {
        let s = || Settings { shared: shared_networks, ..settings() };
        let run = |n: usize| left(&mut build(ranks(n), s(), shared(7)), 0);
        let one = run(1);
        assert!(one.state["clients.generator.weights"].iter().all(|row| row.iter().any(|word| *word != 0)));
        assert!(run(3) == one, "{shared_networks:?}");
    }
}

#[test]
fn ranks_do_not_change_a_bit_of_any_attack() {
    for update in attacks() {
        let s = || Settings { attack: Attack { update: update.clone(), ..Attack::checker(vec![1, 4]) }, ..settings() };
        let run = |n: usize| left(&mut build(ranks(n), s(), shared(7)), 2);
        assert!(run(3) == run(1), "{update:?}");
    }
    let (place, opacity) = (Place::BottomRight, 1.0);
    let dba = Dba {
        picture: None,
        pattern: Some(Pattern::Checker),
        parts: 4,
        length: Some(3),
        thickness: None,
        gap: None,
        margin: None,
        place,
        opacity,
    };
    let warp = Warp { strength: 0.5, grid: 4, seed: 0 };
    for image in [OnImages::Dba(dba), OnImages::Warp(warp)] {
        let s = || Settings { attack: Attack { image: image.clone(), ..Attack::checker(vec![0, 6]) }, ..settings() };
        let run = |n: usize| left(&mut build(ranks(n), s(), shared(7)), 2);
        assert!(run(3) == run(1), "{image:?}");
    }
}

/// The probe, momentum, every kind of statistics, chunks that do not fill a rank's share, and more ranks than clients.
#[test]
fn ranks_do_not_change_what_the_server_measures() {
    let detector = || Detector::IsolationForest(IsolationForest { warmup: 1, ..IsolationForest::default() });
    for statistics in [Statistics::Average, Statistics::Pooled, Statistics::Recompute] {
        let s = |chunk| Settings {
            detector: detector(),
            statistics,
            client_momentum: 0.5,
            clients_per_launch: chunk,
            ..settings()
        };
        let run = |n: usize, chunk| left(&mut build(ranks(n), s(chunk), shared(7)), 3);
        let one = run(1, None);
        assert!(one.reports[2].clients.iter().all(|c| c.measured.probe_deviation > 0.0), "the probe runs");
        for (n, chunk) in [(2, Some(2)), (3, Some(2)), (5, None), (9, Some(1))] {
            assert!(run(n, chunk) == one, "{statistics:?}: {n} ranks, {chunk:?} clients per launch");
        }
    }
    let run = |n: usize| left(&mut build(ranks(n), settings(), shared(2)), 2);
    assert!(run(3) == run(1), "2 clients on 3 ranks");
}

#[test]
fn two_ranks_on_the_gpu_engine_give_the_bits_of_one() {
    let direct = || gpu(Class::Direct);
    for rule in rules() {
        let s = || Settings { rule: rule.clone(), shared: Shared::Both, ..settings() };
        let one = left(&mut build(direct(), s(), shared(7)), 1);
        let two = left(&mut build(cluster(direct(), vec![direct]), s(), shared(7)), 1);
        assert!(one == two, "{rule:?}");
    }
    let one = left(&mut wgan(direct(), settings(), 3), 1);
    assert!(one == left(&mut wgan(cluster(direct(), vec![direct]), settings(), 3), 1), "WGAN-GP");
}

/// A client of another rank diverges: it is dropped, restarts there from the server's networks, and takes part again.
#[test]
fn clients_of_other_ranks_are_screened_and_restarted() {
    const SENT: Into = Into { client: 0, ..G_WEIGHTS };
    const KEPT: Into = Into { client: 0, ..D_WEIGHTS };
    let s =
        |shared| Settings { nonfinite: OnNonfinite::Drop, attack: Attack::checker(Vec::new()), shared, ..settings() };
    for both in [Shared::Generator, Shared::Both] {
        // Client 4 of 7 is in one process the fifth, on the last of three ranks the first but one.
        let one = |into: Into| left(&mut build(poisoned(cpu(), Into { client: 5, ..into }), s(both), shared(7)), 4);
        let cases: [(Into, OpenEngine); 2] = [(SENT, || poisoned(cpu(), SENT)), (KEPT, || poisoned(cpu(), KEPT))];
        for (into, engine) in cases {
            let engine = cluster(cpu(), vec![cpu, engine]);
            let (want, got) = (one(into), left(&mut build(engine, s(both), shared(7)), 4));
            let faults: Vec<usize> = got.reports.iter().map(|report| report.diverged().len()).collect();
            assert_eq!(faults, [0, 1, 0, 0], "client 5 diverges in round 2");
            assert_eq!(got.reports[1].diverged()[0].0, 5);
            assert!(want == got, "{both:?}");
        }
    }
}

/// A state of three ranks continues with two, with one, and again with five.
#[test]
fn a_state_continues_with_another_number_of_ranks() {
    let s = || Settings {
        rule: Rule::CentredClipping(fedgan::fed::aggregate::CentredClipping { tau: 0.05, iterations: 2 }),
        client_momentum: 0.5,
        shared: Shared::Both,
        ..settings()
    };
    let whole = left(&mut build(cpu(), s(), shared(7)), 4);
    let mut kept: Option<(SavedState, Tensors)> = None;
    let mut last = None;
    for n in [3, 2, 1, 5] {
        let mut f = build(ranks(n), s(), shared(7));
        if let Some((memory, tensors)) = kept.take() {
            for part in f.parts() {
                for (row, words) in tensors[&part.name].iter().enumerate() {
                    f.write_row(&part, row, words).unwrap();
                }
            }
            f.recall(memory).unwrap();
        }
        last = Some(left(&mut f, 1));
        kept = Some((f.memory(), state(&mut f)));
    }
    let last = last.unwrap();
    assert!(last.generator == whole.generator && last.state == whole.state && last.reports[0] == whole.reports[3]);
}

/// An engine that fails at its `runs`-th execution, or has little memory.
struct Weak {
    inner: Box<dyn Engine>,
    runs: u32,
    words: usize,
}

impl Engine for Weak {
    fedgan::forward_engine!(descriptor, write, read, finish, traffic, max_binding_words, allocated_bytes);

    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        self.words = self.words.checked_sub(words).ok_or_else(|| Error::OutOfMemory {
            what: format!("no memory for {label}"),
            held: self.inner.allocated_bytes(),
        })?;
        self.inner.alloc(label, words)
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        self.runs = self.runs.checked_sub(1).ok_or_else(|| Error::device("lost"))?;
        self.inner.run(recording, times)
    }
}

#[test]
fn what_fails_on_a_rank_is_one_error_that_names_it() {
    let lost = cluster(cpu(), vec![cpu, || Box::new(Weak { inner: cpu(), runs: 7, words: usize::MAX })]);
    let mut f = build(lost, settings(), shared(7));
    let error = (0..9).find_map(|_| f.run_round().err()).expect("the device is lost in a later round");
    assert!(matches!(error, Error::Device(_)), "{error}");
    assert_eq!(error.to_string(), "device: rank 2: lost");
    // And so is everything after it.
    assert_eq!(f.run_round().unwrap_err().to_string(), "device: rank 2: lost");
    let small = cluster(cpu(), vec![|| Box::new(Weak { inner: cpu(), runs: 99, words: 20_000 })]);
    let error = try_build(small, settings(), shared(7)).err().expect("rank 1 has no memory");
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert!(error.to_string().contains("rank 1: no memory for "), "{error}");
}

/// A round moves each client's network once to rank 0 and the server's once to each other rank; the rest is small.
#[test]
fn a_round_moves_a_row_of_each_client_and_one_to_each_rank() {
    let mut f = build(ranks(3), settings(), shared(7));
    f.run_round().unwrap();
    let before = f.engine().exchanged();
    f.run_round().unwrap();
    f.engine().finish().unwrap();
    let bytes = f.engine().exchanged() - before;
    let row = 4 * (f.gan().g.stride + f.gan().g.running_stride) as u64;
    let (clients, workers) = (5, 2);
    let rows = (clients + workers) * row;
    assert!(bytes > rows && bytes < rows + 16 * 1024, "{bytes} bytes, {rows} of rows");
    let read = f.engine().traffic().bytes(Purpose::RoundScalars);
    assert!(read < 2 * 7 * 1024, "{read} bytes of scalars");
}
