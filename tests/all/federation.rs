//! Whole rounds: engines against the reference, chunks against a single launch, seeds, bytes read back.

use fedgan::Result;
use fedgan::exec::{CpuEngine, Engine, Purpose, ReferenceEngine, TallyEngine};
use fedgan::fed::aggregate::NormClip;
use fedgan::fed::attack::{OnImages, OnUpdate, Scale};
use fedgan::fed::detector::{Detector, IsolationForest, LossReport};
use fedgan::fed::{
    Attack, ClientData, Federation, Local, OnNonfinite, Pre, RoundReport, Rule, Settings, Shared, Weights,
};
use fedgan::gpu::{Choice, DeviceTarget, GpuEngine, GpuOptions, choose};
use fedgan::kernels::Class;
use fedgan::kernels::rng::{HostRng, Stream};
use fedgan::model::{Architecture, Gan, NamedTensors};

const IMAGES: usize = 16;

fn patch(malicious: Vec<u32>) -> Attack {
    Attack::checker(malicious)
}

pub fn settings() -> Settings {
    Settings {
        seed: 7,
        batch: 4,
        lr: 2e-4,
        local: Local::Steps(2),
        shared: Shared::Generator,
        rule: Rule::default(),
        pre: Pre::default(),
        statistics: Default::default(),
        client_momentum: 0.0,
        weights: Weights::Equal,
        clients_per_launch: None,
        attack: patch(vec![0]),
        report: LossReport::True,
        detector: Detector::None {},
        nonfinite: OnNonfinite::Stop,
    }
}

pub fn build(engine: Box<dyn Engine>, settings: Settings, holdings: Vec<Vec<u32>>) -> Federation {
    try_build(engine, settings, holdings).unwrap()
}

pub fn try_build(engine: Box<dyn Engine>, settings: Settings, holdings: Vec<Vec<u32>>) -> Result<Federation> {
    let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
    try_build_gan(engine, Gan::new(arch, 0.5, 0.999, 1e-8).unwrap(), settings, holdings)
}

pub fn build_gan(engine: Box<dyn Engine>, gan: Gan, settings: Settings, holdings: Vec<Vec<u32>>) -> Federation {
    try_build_gan(engine, gan, settings, holdings).unwrap()
}

fn try_build_gan(engine: Box<dyn Engine>, gan: Gan, settings: Settings, holdings: Vec<Vec<u32>>) -> Result<Federation> {
    let mut rng = HostRng::new(3, Stream::SYNTHETIC, 0, 0);
    // Smooth images: a random plane of brightness with a little noise.
    let mut pixels = Vec::new();
    for _ in 0..IMAGES {
        let (a, b, c) = (rng.range(-6.0, 6.0), rng.range(-6.0, 6.0), rng.range(60.0, 190.0));
        for y in 0..16 {
            for x in 0..16 {
                for _ in 0..3 {
                    let v = c + a * (x as f64 - 8.0) + b * (y as f64 - 8.0) + 8.0 * rng.normal();
                    pixels.push(v.clamp(0.0, 255.0) as u8);
                }
            }
        }
    }
    // Rules that need the server's own update have its images.
    let server = (0..IMAGES as u32 / 2).collect();
    Federation::new(engine, gan, settings, ClientData { pixels: &pixels, holdings, server })
}

pub fn shared(clients: usize) -> Vec<Vec<u32>> {
    vec![(0..IMAGES as u32).collect(); clients]
}

pub fn cpu() -> Box<dyn Engine> {
    Box::new(CpuEngine::new())
}

pub fn gpu(class: Class) -> Box<dyn Engine> {
    let options = GpuOptions { class: Some(class), ..GpuOptions::default() };
    Box::new(GpuEngine::open("gpu", options).expect("tests need a Vulkan adapter: run scripts/test --install-driver"))
}

/// The classes of shader variants that the adapter runs: lavapipe runs all.
pub fn classes() -> Vec<Class> {
    let Ok(Choice { target: DeviceTarget::Gpu(adapter), .. }) = choose("gpu") else { return Class::PORTABLE.into() };
    Class::ALL.into_iter().filter(|class| adapter.facts.runs(*class)).collect()
}

/// The server's generator, a client's discriminator, and the reports after `rounds` rounds.
pub fn outcome(mut f: Federation, rounds: u32) -> (NamedTensors, NamedTensors, Vec<RoundReport>) {
    let reports = (0..rounds).map(|_| f.run_round().unwrap()).collect();
    let last = f.clients() - 1;
    (f.export_generator().unwrap(), f.export_discriminator(last).unwrap(), reports)
}

pub fn relative_l2(got: &[f32], want: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(g, w)| *g as f64 - *w as f64));
    let size = norm(&mut want.iter().map(|w| *w as f64));
    if size == 0.0 { difference } else { difference / size }
}

/// Fails if a gradient of a client's last step differs by more than 2e-5 relative L2 from that in `truth`.
pub fn gradients_agree(truth: &mut Federation, tried: &mut Federation, client: u32, what: &str) {
    let (want, got) = (truth.export_gradients(client).unwrap(), tried.export_gradients(client).unwrap());
    for (want, got) in want.iter().zip(&got) {
        assert!(!want.is_empty());
        for (tensor, (_, values)) in want {
            let error = relative_l2(&got[tensor].1, values);
            assert!(error <= 2e-5, "{what}: client {client}, gradient of {tensor}: {error:.2e}");
        }
    }
}

/// Gradients of step 1 within 2e-5 relative L2 of the reference's, updates after two steps within 1e-2.
fn differs_little_from_the_reference(engine: impl Fn() -> Box<dyn Engine>, name: &str) {
    let one = || Settings { local: Local::Steps(1), ..settings() };
    let mut truth = build(Box::new(ReferenceEngine::new()), one(), shared(2));
    let mut tried = build(engine(), one(), shared(2));
    truth.run_round().unwrap();
    tried.run_round().unwrap();
    (0..2).for_each(|client| gradients_agree(&mut truth, &mut tried, client, name));
    let mut truth = build(Box::new(ReferenceEngine::new()), settings(), shared(2));
    let start = truth.export_generator().unwrap();
    let want = outcome(truth, 1);
    let got = outcome(build(engine(), settings(), shared(2)), 1);
    for (tensor, (_, first)) in start.iter().filter(|(t, _)| !t.contains("running")) {
        let update = |end: &NamedTensors| -> Vec<f32> { end[tensor].1.iter().zip(first).map(|(e, s)| e - s).collect() };
        let error = relative_l2(&update(&got.0), &update(&want.0));
        assert!(error <= 1e-2, "{name}: update of {tensor}: {error:.2e}");
    }
    for (got, want) in got.2[0].clients.iter().zip(&want.2[0].clients) {
        for (g, w) in got.trained.mean.iter().zip(&want.trained.mean) {
            assert!((g - w).abs() <= 1e-4 * w.abs(), "{name}: loss {g} against {w}");
        }
    }
}

#[test]
fn a_round_on_the_cpu_engine_agrees_with_the_reference() {
    differs_little_from_the_reference(cpu, "cpu");
}

#[test]
fn a_round_on_the_gpu_engine_agrees_with_the_reference() {
    for class in classes() {
        differs_little_from_the_reference(|| gpu(class), class.name());
    }
}

/// Five clients with the server's probe, in chunks of which the last is smaller: each chunk finds data left by others.
fn chunks_do_not_matter(engine: impl Fn() -> Box<dyn Engine>, name: &str) {
    let run = |chunk| {
        let detector = Detector::IsolationForest(IsolationForest::default());
        let s = Settings { clients_per_launch: chunk, shared: Shared::Both, detector, ..settings() };
        outcome(build(engine(), s, shared(5)), 2)
    };
    let whole = run(None);
    assert!(whole.2[1].clients.iter().all(|c| c.measured.probe_deviation > 0.0), "{name}: the probe runs");
    for chunk in [1, 2, 3] {
        assert!(run(Some(chunk)) == whole, "{name}: chunks of {chunk} change the result");
    }
}

#[test]
fn chunks_of_clients_give_the_same_bits() {
    chunks_do_not_matter(cpu, "cpu");
    for class in classes() {
        chunks_do_not_matter(|| gpu(class), class.name());
    }
}

#[test]
fn seeds_repeat_and_differ() {
    for engine in [cpu, || gpu(Class::Direct)] {
        let run = |seed| outcome(build(engine(), Settings { seed, ..settings() }, shared(2)), 2);
        let first = run(1);
        assert!(first == run(1));
        assert!(first.0 != run(2).0);
    }
}

#[test]
fn threads_do_not_matter() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| outcome(build(cpu(), settings(), shared(3)), 2))
    };
    assert!(run(1) == run(3));
}

#[test]
fn a_round_reads_less_than_a_kibibyte_per_client() {
    for engine in [cpu(), gpu(Class::Direct)] {
        let mut f = build(engine, settings(), shared(3));
        let before = f.engine().traffic().total();
        f.run_round().unwrap();
        f.run_round().unwrap();
        let read = f.engine().traffic().total() - before;
        assert!(read > 0 && read < 2 * 3 * 1024, "{read} bytes in two rounds of three clients");
        assert_eq!(read, f.engine().traffic().bytes(Purpose::RoundScalars));
    }
}

/// Chunks share step-local buffers: several chunks take as much as one, plus each client's own state.
#[test]
fn chunks_share_step_local_buffers() {
    let bytes = |chunk| {
        let s = Settings { clients_per_launch: Some(chunk), ..settings() };
        let f = build(gpu(Class::Direct), s, shared(5));
        (f.client_bytes(), f.launch_bytes())
    };
    let ((all_own, all), (own, one), (_, two)) = (bytes(5), bytes(1), bytes(2));
    assert!(all == 5 * one && two == 2 * one, "{all} {two} {one}");
    // Small tables are as large for one client as for five.
    assert!(own >= all_own && own - all_own < 16 * 1024, "{own} {all_own}");
    assert!(one > own / 5, "activations of a client relative to its networks: {one} {own}");
}

#[test]
fn clients_with_less_data_idle_and_have_less_weight() {
    let s = Settings { local: Local::Epochs(1), weights: Weights::Data, ..settings() };
    let holdings = vec![(0..12).collect(), (12..16).collect()];
    let mut f = build(cpu(), s, holdings);
    let report = f.run_round().unwrap();
    assert_eq!([report.clients[0].trained.steps, report.clients[1].trained.steps], [3, 1]);
    assert_eq!([report.clients[0].weighted.weight, report.clients[1].weighted.weight], [0.75, 0.25]);
    // An idle client's networks do not change: the losses of its last step are those of its only step.
    assert_eq!(report.clients[1].trained.last, report.clients[1].trained.mean);
    assert!(report.clients.iter().all(|c| c.measured.update_norm > 0.0));
}

#[test]
fn the_attack_changes_the_malicious_client_alone_until_aggregation() {
    let run = |malicious: Vec<u32>, start_round| {
        let attack = Attack { start_round, ..patch(malicious) };
        let mut f = build(cpu(), Settings { attack, ..settings() }, shared(2));
        f.run_round().unwrap();
        [f.export_discriminator(0).unwrap(), f.export_discriminator(1).unwrap()]
    };
    let (honest, attacked, later) = (run(vec![], 0), run(vec![0], 0), run(vec![0], 1));
    assert!(honest[0] != attacked[0]);
    assert!(honest[1] == attacked[1]);
    assert!(honest == later, "the attack starts in round 1 only");
}

/// Every attack on images changes the malicious clients alone, and neither chunks nor the place in them change a bit.
#[test]
fn attacks_on_images_do_not_depend_on_chunks() {
    for engine in [cpu, || gpu(Class::Direct)] {
        let run = |attack: Attack, clients_per_launch| {
            let s = Settings { attack, clients_per_launch: Some(clients_per_launch), ..settings() };
            let mut f = build(engine(), s, shared(3));
            f.run_round().unwrap();
            [0, 1, 2].map(|client| f.export_discriminator(client).unwrap())
        };
        let honest = run(patch(vec![]), 3);
        for kind in [
            "kind = 'blend'\nalpha = 0.2",
            "kind = 'sig'\namplitude = 0.16\nfrequency = 6.0",
            "kind = 'warp'\nstrength = 0.5\ngrid = 4\nseed = 2",
            "kind = 'fiba'\nalpha = 0.15\nbeta = 0.1",
            "kind = 'dba'\nparts = 2\nplace = 'centre'\nopacity = 1.0",
        ] {
            let image: OnImages = toml::from_str(kind).unwrap();
            let attack = Attack { image, ..patch(vec![0, 2]) };
            let whole = run(attack.clone(), 3);
            assert!(whole[0] != honest[0] && whole[1] == honest[1] && whole[2] != honest[2], "{kind}");
            for chunk in [1, 2] {
                assert!(run(attack.clone(), chunk) == whole, "{kind}: {chunk} clients per launch");
            }
        }
    }
}

/// Scaled updates (model replacement): the server receives w + 3 u from the malicious client, w + u from the others.
#[test]
fn malicious_clients_scale_their_updates() {
    for engine in [cpu, || gpu(Class::Direct)] {
        let run = |scale: f64, start_round| {
            let update = OnUpdate::Scale(Scale { factor: scale });
            let attack = Attack { update, start_round, ..patch(vec![1]) };
            let mut f = build(engine(), Settings { attack, ..settings() }, shared(3));
            let before = f.export_generator().unwrap();
            let report = f.run_round().unwrap();
            let clients = [0, 1].map(|c| f.export_client_generator(c).unwrap());
            (before, report, clients, f.export_generator().unwrap())
        };
        let (before, plain, [honest, malicious], mean) = run(1.0, 0);
        let (_, scaled, [same, enlarged], moved) = run(3.0, 0);
        assert!(honest == same, "an honest client's update does not change, bit for bit");
        let ratio = scaled.clients[1].measured.update_norm / plain.clients[1].measured.update_norm;
        assert!((ratio - 3.0).abs() < 1e-4, "{ratio}");
        assert_eq!(scaled.clients[0].measured.update_norm, plain.clients[0].measured.update_norm);
        for (tensor, (_, start)) in before.iter().filter(|(t, _)| !t.contains("running")) {
            let step =
                |end: &NamedTensors| -> Vec<f32> { end[tensor].1.iter().zip(start).map(|(e, s)| e - s).collect() };
            let three: Vec<f32> = step(&malicious).iter().map(|u| 3.0 * u).collect();
            assert!(relative_l2(&step(&enlarged), &three) < 1e-3, "{tensor}");
            // The mean of three clients changes by 2/3 of the malicious update.
            let expected: Vec<f32> = step(&mean).iter().zip(step(&malicious)).map(|(m, u)| m + 2.0 / 3.0 * u).collect();
            assert!(relative_l2(&step(&moved), &expected) < 1e-3, "{tensor}");
        }
        let late = run(3.0, 1);
        assert_eq!(
            late.1.clients[1].measured.update_norm,
            run(1.0, 1).1.clients[1].measured.update_norm,
            "not before the attack starts"
        );
    }
}

/// Engines agree on the result of the server's probe; it reads no more bytes than other rounds.
#[test]
fn the_probe_agrees_with_the_reference() {
    let run = |engine: Box<dyn Engine>| {
        let detector = Detector::IsolationForest(IsolationForest::default());
        let mut f = build(engine, Settings { detector, ..settings() }, shared(3));
        let report = f.run_round().unwrap();
        assert!(f.engine().traffic().bytes(Purpose::RoundScalars) <= 3 * 512);
        report.clients.iter().map(|c| c.measured.probe_deviation).collect::<Vec<f64>>()
    };
    let want = run(Box::new(ReferenceEngine::new()));
    assert!(want.iter().all(|d| *d > 1e-7), "{want:?}");
    for (name, got) in [("cpu", run(cpu())), ("tiled", run(gpu(Class::Tiled))), ("direct", run(gpu(Class::Direct)))] {
        for (g, w) in got.iter().zip(&want) {
            assert!((g - w).abs() <= 0.02 * w, "{name}: {got:?} against {want:?}");
        }
    }
    let without = build(cpu(), settings(), shared(3)).run_round().unwrap();
    assert!(
        without.clients.iter().all(|c| c.measured.probe_deviation.is_nan()),
        "no probe without a rule that needs it"
    );
}

#[test]
fn batches_larger_than_the_data_are_refused() {
    let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
    let gan = Gan::new(arch, 0.5, 0.999, 1e-8).unwrap();
    let data = ClientData { pixels: &vec![0; IMAGES * 768], holdings: vec![vec![0, 1, 2]], server: Vec::new() };
    let error = Federation::new(cpu(), gan, settings(), data).err().expect("3 images cannot fill a batch of 4");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("train.batch 4: client 0 holds 3 images"), "{error}");
}

/// The corrected rule on a real federation: weights remain a mean, chunks change nothing, and the direction of the
/// update is read with the other scalars.
#[test]
fn detection_runs_in_chunks_and_reads_few_scalars() {
    let rule = IsolationForest { warmup: 0, memory: 1.0, margin: 0.01, patience: 1, ..Default::default() };
    let outcome = |chunk| {
        let s = Settings {
            clients_per_launch: Some(chunk),
            detector: Detector::IsolationForest(rule.clone()),
            report: LossReport::Median,
            ..settings()
        };
        let mut f = build(Box::new(CpuEngine::new()), s, shared(4));
        let reports: Vec<RoundReport> = (0..6).map(|_| f.run_round().unwrap()).collect();
        assert!(f.engine().traffic().bytes(Purpose::RoundScalars) < 6 * 4 * 1024);
        (reports, f.export_generator().unwrap())
    };
    let (whole, chunks) = (outcome(4), outcome(1));
    assert_eq!(whole, chunks);
    let clients = |round: usize| &whole.0[round].clients;
    assert!(clients(0).iter().all(|c| !c.weighted.flagged && c.weighted.weight == 0.25), "{:?}", clients(0));
    let mut flagged = 0;
    for round in 1..6 {
        let count = clients(round).iter().filter(|c| c.weighted.flagged).count();
        assert!(count <= 1, "fewer than half: {:?}", clients(round));
        assert!(clients(round).iter().all(|c| !c.weighted.flagged || c.weighted.weight < 0.25));
        assert!((clients(round).iter().map(|c| c.weighted.weight).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(clients(round).iter().all(|c| c.measured.update_cosine.abs() <= 1.0));
        flagged += count;
    }
    assert!(flagged > 0, "a zero margin flags a client");
}

#[test]
fn detection_needs_three_clients() {
    let detector = Detector::IsolationForest(IsolationForest::default());
    let gan = Gan::new(Architecture { image_size: 16, channels: 1, width: 4, latent: 6 }, 0.5, 0.999, 1e-8).unwrap();
    let pixels = vec![0; IMAGES * 256];
    let data = ClientData { pixels: &pixels, holdings: shared(2), server: Vec::new() };
    let engine = Box::new(CpuEngine::new());
    let refused = Federation::new(engine, gan, Settings { detector, ..settings() }, data).err().unwrap();
    assert!(refused.exit_code() == 2 && refused.to_string().contains("at least 3"), "{refused}");
}

/// A grid has at most 65535 workgroups per dimension: more clients are split into several launches.
#[test]
fn many_clients_are_split_into_launches() {
    let (engine, _) = TallyEngine::of(&CpuEngine::new());
    let s = Settings { attack: patch(vec![]), batch: 2, ..settings() };
    let f = build(Box::new(engine), s, vec![vec![0, 1]; 17_000]);
    assert_eq!(f.clients_per_launch(), 65535 / 4);
}

/// An engine that only counts, with narrow bindings.
struct Narrow {
    inner: TallyEngine,
    words: usize,
}

impl Engine for Narrow {
    fedgan::forward_engine!(descriptor, alloc, write, read, run, finish, traffic, forget);

    fn max_binding_words(&self) -> usize {
        self.words
    }
}

/// The frequencies of a client's batch take more words than its images, which otherwise are its largest buffer.
#[test]
fn clients_per_launch_follow_from_the_buffers_of_the_attack() {
    let image: OnImages = toml::from_str("kind = 'fiba'\nalpha = 0.15\nbeta = 0.5").unwrap();
    for (malicious, launch) in [(vec![], 3), (vec![0], 2)] {
        let (inner, tally) = TallyEngine::of(&CpuEngine::new());
        let attack = Attack { image: image.clone(), ..patch(malicious) };
        let f =
            build(Box::new(Narrow { inner, words: 37_000 }), Settings { attack, batch: 16, ..settings() }, shared(5));
        assert_eq!(f.clients_per_launch(), launch);
        let of_batch = tally.allocations();
        let of_batch = of_batch.iter().filter(|a| a.label == "real batch" || a.label.starts_with("frequencies"));
        assert!(of_batch.map(|a| a.bytes / 4).max().unwrap() <= 37_000);
    }
}

/// The weights of a rule that clips sum to less than 1. The updates' directions are compared with those of the others all the same: the
/// server's part of the sum, thousands of times longer than an update, is no direction.
#[test]
fn directions_do_not_depend_on_how_far_a_rule_clips() {
    let cosines = |c: f64| {
        let rule = Rule::NormClip(NormClip { c: Some(c), sigma: 0.0 });
        let mut f = build(cpu(), Settings { rule, attack: patch(vec![]), ..settings() }, shared(4));
        (0..2).for_each(|_| drop(f.run_round().unwrap()));
        let report = f.run_round().unwrap();
        report.clients.iter().map(|c| c.measured.update_cosine).collect::<Vec<_>>()
    };
    let norms = {
        let mut f = build(cpu(), Settings { attack: patch(vec![]), ..settings() }, shared(4));
        f.run_round().unwrap().clients.iter().map(|c| c.measured.update_norm).fold(0.0, f64::max)
    };
    let (free, clipped) = (cosines(1e3 * norms), cosines(0.5 * norms));
    for (free, clipped) in free.iter().zip(&clipped) {
        assert!((free - clipped).abs() < 0.3, "{free} {clipped}");
    }
}
