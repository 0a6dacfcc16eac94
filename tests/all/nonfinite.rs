//! Non-finite values in a client's training: detected, named, isolated from the other clients, and traced to the launch
//! that produces them.

use super::federation::{build, build_gan, cpu, gpu, settings, shared};
use fedgan::check::watch::Sentinel;
use fedgan::exec::{CpuEngine, Engine, Purpose, Recording, Tensor};
use fedgan::fed::detector::{Detector, IsolationForest, Published};
use fedgan::fed::{Federation, Local, OnNonfinite, RoundReport, Settings, Shared};
use fedgan::kernels::Class;
use fedgan::model::{Architecture, Gan, Interpolation, NamedTensors, Norm, Objective, Optimizer, Training};
use fedgan::{Error, Result};

/// A wrapping engine that writes one value into an operand of one client, before or after a round's local training.
struct Poison {
    inner: Box<dyn Engine>,
    into: Into,
    /// Recordings with that launch, by first use: id, end of the launch's client range, executions so far.
    seen: Vec<(u64, usize, usize)>,
}

/// Position, time and value.
#[derive(Clone, Copy)]
pub struct Into {
    pub label: &'static str,
    pub slot: usize,
    pub client: usize,
    pub round: usize,
    pub before: bool,
    pub element: usize,
    pub value: f32,
}

/// The discriminator's weights of client 1 before round 1.
pub const D_WEIGHTS: Into =
    Into { label: "D Adam", slot: 0, client: 1, round: 1, before: true, element: 70, value: f32::NAN };
/// The same for the generator, after its training.
pub const G_WEIGHTS: Into = Into { label: "G Adam", before: false, ..D_WEIGHTS };

pub fn poisoned(inner: Box<dyn Engine>, into: Into) -> Box<dyn Engine> {
    Box::new(Poison { inner, into, seen: Vec::new() })
}

impl Poison {
    fn write_value(&mut self, operand: Tensor, client: usize, clients: usize) {
        let mut words = self.inner.read(operand, Purpose::Check).unwrap();
        words[client * (operand.words / clients) + self.into.element] = self.into.value.to_bits();
        self.inner.write(operand, &words).unwrap();
    }
}

impl Engine for Poison {
    fedgan::forward_engine!(descriptor, alloc, write, read, finish, traffic, max_binding_words, forget);

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        let Some(launch) = recording.launches().iter().find(|l| l.label == self.into.label) else {
            return self.inner.run(recording, times);
        };
        let (operand, clients) = (launch.args[self.into.slot], launch.params[0] as usize);
        let at = self.seen.iter().position(|s| s.0 == recording.id()).unwrap_or_else(|| {
            self.seen.push((recording.id(), self.seen.last().map_or(0, |s| s.1) + clients, 0));
            self.seen.len() - 1
        });
        let (_, end, round) = self.seen[at];
        self.seen[at].2 += 1;
        let client = self.into.client.checked_sub(end - clients).filter(|c| *c < clients && round == self.into.round);
        if let Some(client) = client.filter(|_| self.into.before) {
            self.write_value(operand, client, clients);
        }
        self.inner.run(recording, times)?;
        if let Some(client) = client.filter(|_| !self.into.before) {
            self.write_value(operand, client, clients);
        }
        Ok(())
    }
}

type Open = fn() -> Box<dyn Engine>;

fn engines() -> [(&'static str, Open); 2] {
    [("cpu", cpu), ("gpu", || gpu(Class::Direct))]
}

fn with(nonfinite: OnNonfinite, chunk: Option<u32>) -> Settings {
    Settings { nonfinite, clients_per_launch: chunk, ..settings() }
}

pub fn wgan(engine: Box<dyn Engine>, settings: Settings, clients: usize) -> Federation {
    let objective = Objective::WganGp { lambda: 10.0, n_critic: 2, interpolation: Interpolation::Uniform };
    let training = Training { norm: Norm::Instance, objective, optimizer: Optimizer::Adam, ..Default::default() };
    let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
    build_gan(engine, Gan::with(arch, 0.5, 0.9, 1e-8, training).unwrap(), settings, shared(clients))
}

fn bce(engine: Box<dyn Engine>, settings: Settings, clients: usize) -> Federation {
    build(engine, settings, shared(clients))
}

type Build = fn(Box<dyn Engine>, Settings, usize) -> Federation;

#[test]
fn a_run_stops_in_the_round_of_the_fault_and_names_it() {
    let after = |label, slot| Into { label, slot, before: false, ..D_WEIGHTS };
    let cases = [
        (after("D Adam", 0), "D weights main.0.weight["),
        (after("G Adam", 0), "G weights main.0.weight["),
        (after("G Adam", 1), "G gradients main.0.weight["),
        (after("D Adam", 2), "D first moments main.0.weight["),
        (Into { value: f32::INFINITY, ..after("G Adam", 3) }, "G second moments main.0.weight["),
        // Finite, but training with it overflows.
        (Into { value: -1e25, ..after("G Adam", 0) }, "the norm of the G update"),
    ];
    for (name, engine) in engines() {
        for ((into, what), chunk) in cases.into_iter().zip([None, Some(1), Some(2), None, Some(1), None]) {
            let mut f = bce(poisoned(engine(), into), with(OnNonfinite::Stop, chunk), 3);
            f.run_round().unwrap();
            let before = f.export_generator().unwrap();
            let error = f.run_round().unwrap_err();
            assert!(matches!(error, Error::NotFinite(_)) && error.exit_code() == 1);
            let text = error.to_string();
            assert!(text.starts_with(&format!("round 2: client 1: {what}")), "{name}: {text}");
            assert!(["is not finite; a smaller train.lr", "\"drop\""].iter().all(|t| text.contains(t)), "{text}");
            assert!(f.export_generator().unwrap() == before, "{name}: nothing is averaged");
        }
    }
}

#[test]
fn a_fault_that_training_spreads_is_found_with_both_objectives() {
    for (name, engine) in engines() {
        for build in [bce as Build, wgan] {
            let mut f = build(poisoned(engine(), D_WEIGHTS), with(OnNonfinite::Record, None), 3);
            assert!(f.run_round().unwrap().diverged().is_empty());
            let faults = f.run_round().unwrap().diverged();
            assert_eq!(faults.len(), 1, "{name}: {faults:?}");
            assert!(faults[0].0 == 1 && faults[0].1.to_string().starts_with("D weights main."), "{faults:?}");
            // Without dropping, the mean of all clients has the fault, and all of them have it in the next round.
            assert_eq!(f.run_round().unwrap().diverged().len(), 3, "{name}");
        }
    }
}

/// The reports of all rounds, and the server's generator after them.
fn run(mut f: Federation, rounds: u32) -> (Vec<RoundReport>, NamedTensors) {
    let reports = (0..rounds).map(|_| f.run_round().unwrap()).collect();
    (reports, f.export_generator().unwrap())
}

fn training_of(report: &RoundReport, client: usize) -> ([u64; 7], u64) {
    let c = &report.clients[client];
    let [a, b, d] = c.trained.mean;
    let [e, g, h] = c.trained.last;
    ([a, b, d, e, g, h, c.trained.penalty].map(f64::to_bits), c.measured.update_norm.to_bits())
}

#[test]
fn a_dropped_client_leaves_no_trace_in_the_others() {
    for (name, engine) in engines() {
        for build in [bce as Build, wgan] {
            let faulty = |into, chunk| build(poisoned(engine(), into), with(OnNonfinite::Drop, chunk), 3);
            let mut clean = build(engine(), with(OnNonfinite::Drop, None), 3);
            let mut dropping = faulty(D_WEIGHTS, None);
            assert!(clean.run_round().unwrap() == dropping.run_round().unwrap());
            let (want, got) = (clean.run_round().unwrap(), dropping.run_round().unwrap());
            assert!(want.diverged().is_empty() && got.diverged().len() == 1);
            assert_eq!(got.clients.iter().map(|c| c.weighted.weight).collect::<Vec<_>>(), [0.5, 0.0, 0.5]);
            let mut kept = Vec::new();
            for client in [0, 2] {
                assert_eq!(training_of(&got, client), training_of(&want, client), "{name}: client {client}");
                assert!(got.clients[client].measured.update_cosine.is_finite());
                kept.push(dropping.export_client_generator(client as u32).unwrap());
                assert!(kept.last() == Some(&clean.export_client_generator(client as u32).unwrap()), "{name}");
            }
            for (tensor, (_, mean)) in &dropping.export_generator().unwrap() {
                let half: Vec<f32> =
                    kept[0][tensor].1.iter().zip(&kept[1][tensor].1).map(|(a, b)| 0.5 * a + 0.5 * b).collect();
                assert!(*mean == half, "{name}: {tensor} is not the mean of the others");
            }
            // The client restarts from the server's networks, and takes part again.
            let mut fresh = build(engine(), with(OnNonfinite::Drop, None), 3);
            assert!(dropping.export_discriminator(1).unwrap() == fresh.export_discriminator(1).unwrap());
            assert!(dropping.export_client_generator(1).unwrap() == dropping.export_generator().unwrap());
            let next = dropping.run_round().unwrap();
            assert!(
                next.diverged().is_empty() && next.clients.iter().all(|c| c.weighted.weight == 1.0 / 3.0),
                "{name}"
            );
            // Nothing of the fault remains: another fault in another place gives the same bits.
            let other = Into { value: f32::NEG_INFINITY, element: 3, ..D_WEIGHTS };
            let whole = run(faulty(D_WEIGHTS, None), 4);
            for (into, chunk) in [(other, None), (D_WEIGHTS, Some(1)), (other, Some(2))] {
                let same = run(faulty(into, chunk), 4);
                assert!(same.1 == whole.1, "{name}: the server's generator");
                for (a, b) in same.0.iter().zip(&whole.0) {
                    for client in (0..3).filter(|c| *c != 1 || a.round != 1) {
                        assert!(a.clients[client] == b.clients[client], "{name}: round {}, {client}", a.round);
                    }
                }
            }
        }
    }
}

/// A fault in the generator's weights also reaches the probe and the direction of the updates.
#[test]
fn detectors_ignore_a_dropped_client() {
    let rule = || IsolationForest { warmup: 0, ..IsolationForest::default() };
    let rules = [Detector::IsolationForest(rule()), Detector::IsolationForestPublished(Published::default())];
    for (name, engine) in engines() {
        for detector in &rules {
            let faulty = |value, element, chunk| {
                let s = Settings { detector: detector.clone(), ..with(OnNonfinite::Drop, chunk) };
                run(bce(poisoned(engine(), Into { value, element, ..G_WEIGHTS }), s, 4), 4)
            };
            let whole = faulty(f32::NAN, 70, None);
            for round in &whole.0 {
                let honest = round.clients.iter().enumerate().filter(|(i, _)| round.round != 1 || *i != 1);
                for (i, c) in honest {
                    assert!(
                        c.measured.update_cosine.is_finite() && c.measured.update_norm.is_finite(),
                        "{name}: {i} {c:?}"
                    );
                    assert!(!detector.probes() || c.measured.probe_deviation.is_finite(), "{name}: {i} {c:?}");
                }
                assert!((round.clients.iter().map(|c| c.weighted.weight).sum::<f64>() - 1.0).abs() < 1e-12);
            }
            assert_eq!((whole.0[1].clients[1].weighted.weight, whole.0[1].diverged()[0].0), (0.0, 1));
            assert!(whole.0[2].clients[1].weighted.weight > 0.0);
            let same = faulty(f32::INFINITY, 9, Some(1));
            assert!(same.1 == whole.1, "{name}");
            for (a, b) in same.0.iter().zip(&whole.0) {
                for client in (0..4).filter(|c| *c != 1 || a.round != 1) {
                    assert!(a.clients[client] == b.clients[client], "{name}: {:?}", a.clients[client]);
                }
            }
        }
    }
}

#[test]
fn rounds_without_a_client_keep_the_server_and_end_the_run() {
    for (name, engine) in engines() {
        let absurd = |nonfinite| Settings { lr: 1e30, shared: Shared::Both, ..with(nonfinite, None) };
        let mut f = bce(engine(), absurd(OnNonfinite::Drop), 3);
        let start = f.export_generator().unwrap();
        for round in 0..2 {
            let report = f.run_round().unwrap();
            assert_eq!((report.round, report.diverged().len()), (round, 3), "{name}");
            assert!(report.clients.iter().all(|c| c.weighted.weight == 0.0 && !c.weighted.flagged));
            assert!(f.export_generator().unwrap() == start);
        }
        let error = f.run_round().unwrap_err().to_string();
        assert!(error.starts_with("round 3: client 0: ") && error.contains("as in 2 more clients"), "{error}");
        assert!(error.contains("no client was left in the last 3 rounds") && error.contains("now 1e30"), "{error}");
        assert!(f.export_generator().unwrap() == start, "{name}");

        let mut f = bce(engine(), absurd(OnNonfinite::Stop), 3);
        f.name_clients(["east", "west", "north"].map(String::from).to_vec());
        let error = f.run_round().unwrap_err().to_string();
        assert!(error.starts_with("round 1: client 0 east: "), "{name}: {error}");
        let mut f = bce(engine(), absurd(OnNonfinite::Record), 3);
        assert_eq!(f.run_round().unwrap().diverged().len(), 3);
        assert!(f.export_generator().unwrap().values().any(|(_, v)| v.iter().any(|v| !v.is_finite())));
    }
}

#[test]
fn one_honest_round_between_faults_keeps_a_run_alive() {
    // A single client: every fault is a round without clients.
    let faults = |rounds: [bool; 5]| {
        let mut engine = cpu();
        for (round, _) in rounds.iter().enumerate().filter(|(_, faulty)| **faulty) {
            engine = poisoned(engine, Into { client: 0, round, ..G_WEIGHTS });
        }
        let mut f = bce(engine, with(OnNonfinite::Drop, None), 1);
        (0..5).map_while(|_| f.run_round().ok()).count()
    };
    assert_eq!(faults([true, true, false, true, true]), 5);
    assert_eq!(faults([false, true, true, true, false]), 3);
}

/// Adam corrects young moments: otherwise the first step would be more than twice as long here.
#[test]
fn a_restarted_client_restarts_its_step_count() {
    for build in [bce as Build, wgan] {
        let into = Into { client: 0, round: 20, ..G_WEIGHTS };
        let s = Settings { local: Local::Steps(1), ..with(OnNonfinite::Drop, None) };
        let (reports, _) = run(build(poisoned(cpu(), into), s, 1), 22);
        let norm = |round: usize| reports[round].clients[0].measured.update_norm;
        assert!(
            reports[20].diverged().len() == 1 && (norm(21) / norm(0) - 1.0).abs() < 0.1,
            "{} {}",
            norm(21),
            norm(0)
        );
    }
}

/// A federation on a sentinel, and the handle that arms it.
fn watched(engine: Box<dyn Engine>, settings: Settings) -> (Federation, fedgan::check::watch::Arm) {
    let sentinel = Sentinel::new(engine);
    let arm = sentinel.arm();
    (bce(Box::new(sentinel), settings, 2), arm)
}

#[test]
fn an_armed_sentinel_does_not_change_a_sound_run() {
    for (name, engine) in engines() {
        let s = || Settings { detector: Detector::None {}, ..settings() };
        let want = run(bce(engine(), s(), 2), 2);
        for armed in [false, true] {
            let (mut f, arm) = watched(engine(), s());
            arm.set(armed);
            assert_eq!(arm.is_set(), armed);
            let reports: Vec<RoundReport> = (0..2).map(|_| f.run_round().unwrap()).collect();
            assert!(reports == want.0 && f.export_generator().unwrap() == want.1, "{name}");
            let read = f.engine().traffic().bytes(Purpose::Check);
            assert_eq!(read > 0, armed, "{name}: {read} bytes");
        }
    }
}

#[test]
fn the_sentinel_names_the_launch_of_the_first_fault() {
    for (name, engine) in engines() {
        let (mut f, arm) = watched(engine(), Settings { lr: 1e30, local: Local::Steps(4), ..settings() });
        arm.set(true);
        let error = f.run_round().unwrap_err();
        assert!(matches!(error, Error::NotFinite(_)) && error.exit_code() == 1);
        let text = error.to_string();
        // The weights exceed 1e30 after D's first step: G's own step through D overflows.
        let parts =
            ["launch ", "execution 1 of 4", "`D(G step) main.", "output ", "client ", "its operands were finite"];
        assert!(parts.iter().all(|part| text.contains(part)), "{name}: {text}");
        assert!(text.contains("] is inf") || text.contains("] is -inf") || text.contains("] is NaN"), "{text}");
    }
}

#[test]
fn the_sentinel_reports_faults_from_outside() {
    for (name, engine) in engines() {
        let sentinel = Sentinel::new(engine());
        let arm = sentinel.arm();
        let mut f = bce(poisoned(Box::new(sentinel), D_WEIGHTS), with(OnNonfinite::Record, None), 2);
        f.run_round().unwrap();
        arm.set(true);
        let text = f.run_round().unwrap_err().to_string();
        assert!(text.contains("execution 1 of 2: `D(real) main.0"), "{name}: {text}");
        assert!(text.contains("kernel `conv2d`: output small["), "{name}: {text}");
        assert!(text.contains("its operand ") && text.contains("is NaN (client 1, element 70 of"), "{name}: {text}");
    }
}

#[test]
fn a_sentinel_watches_recordings_of_any_size() {
    let fill = |clients: u32, value: f32| {
        let text = format!("fill:clients={clients},n=50,y_stride=64,value={value:?}");
        fedgan::check::Repro::parse(&text).unwrap()
    };
    let mut engine = Sentinel::new(Box::new(CpuEngine::new()));
    engine.arm().set(true);
    let tensor = engine.alloc("y", 64 * 300).unwrap();
    let record = |engine: &mut Sentinel, clients, value| {
        let (mut recording, fill) = (Recording::new(), fill(clients, value));
        recording.launch_words(fill.kernel, fill.params, &[tensor], "a fill").unwrap();
        let outcome = engine.run(&recording, 2);
        engine.forget(&recording);
        outcome
    };
    record(&mut engine, 1, 1.5).unwrap();
    record(&mut engine, 300, 1.5).unwrap();
    // Gaps that a launch does not write are not its fault.
    let mut words = vec![0; 64 * 300];
    words[64 + 50] = f32::NAN.to_bits();
    words[64 * 299 + 3] = f32::NAN.to_bits();
    engine.write(tensor, &words).unwrap();
    record(&mut engine, 2, 1.5).unwrap();
    record(&mut engine, 300, 1.5).unwrap();
    let error = record(&mut engine, 3, f32::INFINITY).unwrap_err().to_string();
    assert!(error.contains("launch 1 of 1, execution 1 of 2: `a fill`, kernel `fill`: output y[0] is inf"), "{error}");
    assert!(error.contains("(client 0, element 0 of ") && error.ends_with("its operands were finite"), "{error}");
}
