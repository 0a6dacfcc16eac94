//! Watched runs: every launch, or a random one, against the reference, on sound and on lying engines.

use crate::federation::{build, settings};
use fedgan::Result;
use fedgan::check::watch::{Differential, Verifying};
use fedgan::exec::{CpuEngine, Descriptor, Engine, Launch, Purpose, Recording, Tensor, Traffic};
use fedgan::fed::attack::{OnUpdate, Scale};
use fedgan::fed::detector::{Detector, IsolationForest};
use fedgan::fed::{Federation, Settings};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::Class;

/// The cpu engine, launch by launch, which corrupts data after each.
struct Lying<F> {
    inner: CpuEngine,
    lie: F,
}

impl<F: FnMut(&Launch, &mut dyn Engine) + 'static> Lying<F> {
    fn boxed(lie: F) -> Box<dyn Engine> {
        Box::new(Lying { inner: CpuEngine::new(), lie })
    }
}

impl<F: FnMut(&Launch, &mut dyn Engine)> Engine for Lying<F> {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }
    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        self.inner.alloc(label, words)
    }
    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        self.inner.write(to, words)
    }
    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        self.inner.read(from, purpose)
    }
    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        for _ in 0..times {
            for launch in recording.launches() {
                let mut one = Recording::new();
                one.launch_words(launch.kernel, launch.params.clone(), &launch.args, launch.label.clone())?;
                self.inner.run(&one, 1)?;
                (self.lie)(launch, &mut self.inner);
            }
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<()> {
        self.inner.finish()
    }
    fn traffic(&self) -> &Traffic {
        self.inner.traffic()
    }
    fn max_binding_words(&self) -> usize {
        self.inner.max_binding_words()
    }
}

/// Changes one element of one operand.
fn change(engine: &mut dyn Engine, tensor: Tensor, index: usize, to: impl Fn(f32) -> f32) {
    let mut words = engine.read(tensor, Purpose::Check).unwrap();
    words[index] = to(f32::from_bits(words[index])).to_bits();
    engine.write(tensor, &words).unwrap();
}

fn federation(engine: Box<dyn Engine>, settings: Settings) -> Federation {
    build(engine, settings, vec![(0..16).collect(); 3])
}

/// A detected attack with scaled updates: uses almost every kernel.
fn busy() -> Settings {
    let mut settings = settings();
    settings.attack.update = OnUpdate::Scale(Scale { factor: 2.0 });
    settings.detector = Detector::IsolationForest(IsolationForest { warmup: 0, ..IsolationForest::default() });
    settings
}

/// Two rounds with all launches judged; returns what the log contains.
fn differential(engine: Box<dyn Engine>) -> (Result<()>, usize, Option<String>) {
    let watched = Differential::new(engine, None, Box::new(|_| ()));
    let log = watched.log();
    let run = || -> Result<()> {
        let mut federation = build_or(Box::new(watched))?;
        federation.run_round()?;
        federation.run_round().map(|_| ())
    };
    let outcome = run();
    let log = log.lock().unwrap().clone();
    (outcome, log.launches, log.failure)
}

fn build_or(engine: Box<dyn Engine>) -> Result<Federation> {
    crate::federation::try_build(engine, busy(), vec![(0..16).collect(); 3])
}

#[test]
fn a_sound_run_passes_launch_by_launch_on_every_engine() {
    let gpu = |class| -> Box<dyn Engine> {
        Box::new(GpuEngine::open("gpu", GpuOptions { class: Some(class), ..GpuOptions::default() }).unwrap())
    };
    for engine in [Box::new(CpuEngine::new()) as Box<dyn Engine>, gpu(Class::Direct), gpu(Class::Tiled)] {
        let name = engine.descriptor().variant.clone();
        let (outcome, launches, failure) = differential(engine);
        assert!(outcome.is_ok() && failure.is_none() && launches > 400, "{name}: {launches} launches, {failure:?}");
    }
}

#[test]
fn faults_are_found_in_their_launch() {
    // The 40th convolution's output off by 1 %, in the last client.
    let mut count = 0;
    let (outcome, _, failure) = differential(Lying::boxed(move |launch, engine| {
        if launch.kernel.name() == "conv2d" {
            count += 1;
            if count == 40 {
                let last = launch.args[2].words - 1;
                change(engine, launch.args[2], last, |v| 1.01 * v + 1e-3);
            }
        }
    }));
    let what = failure.unwrap();
    assert_eq!(outcome.unwrap_err().to_string(), what);
    let parts = ["kernel `conv2d`", "small[", "client 2, element", "expected", "fedgan validate 'conv2d:"];
    assert!(parts.iter().all(|part| what.contains(part)), "{what}");

    // An element that is not written: it keeps the old value.
    let mut old = None;
    let (_, _, failure) = differential(Lying::boxed(move |launch, engine| {
        if launch.kernel.name() == "adam" {
            let now = engine.read(launch.args[0], Purpose::Check).unwrap()[3];
            if let Some(old) = old {
                change(engine, launch.args[0], 3, |_| f32::from_bits(old));
            }
            old = Some(now);
        }
    }));
    let what = failure.unwrap();
    assert!(what.contains("kernel `adam`") && what.contains("[3]"), "{what}");

    // NaN in a loss.
    let (_, _, failure) = differential(Lying::boxed(|launch, engine| {
        if launch.kernel.name() == "bce_with_logits" {
            let at = launch.kernel.bindings().iter().position(|b| b.name == "loss").unwrap();
            change(engine, launch.args[at], 0, |_| f32::NAN);
        }
    }));
    let what = failure.unwrap();
    assert!(what.contains("`bce_with_logits`") && what.contains("loss[0] is NaN"), "{what}");
}

#[test]
fn writes_outside_outputs_are_found() {
    // A read-only operand.
    let (_, _, failure) = differential(Lying::boxed(|launch, engine| {
        if launch.kernel.name() == "conv2d_weight_grad" {
            change(engine, launch.args[0], 5, |v| v + 1.0);
        }
    }));
    let what = failure.unwrap();
    assert!(what.contains("kernel `conv2d_weight_grad`") && what.contains("[5] changed but is read-only"), "{what}");

    // A buffer that the last launch of a step does not use: the latents of the step's first launches.
    let mut latents = None;
    let (_, _, failure) = differential(Lying::boxed(move |launch, engine| {
        if launch.kernel.name() == "rng_normal" && launch.label.contains("latents") {
            latents = Some(launch.args[0]);
        }
        if let ("step_advance", Some(latents)) = (launch.kernel.name(), latents) {
            change(engine, latents, 5, |v| v + 1.0);
        }
    }));
    let what = failure.unwrap();
    assert!(what.contains("of buffer `") && what.contains("no launch that may write it did"), "{what}");
}

#[test]
fn verification_changes_nothing_and_is_counted_separately() {
    let report = |every: u32| {
        let mut engine: Box<dyn Engine> = Box::new(CpuEngine::new());
        let mut found = None;
        if every > 0 {
            let watched = Verifying::new(engine, every, 5);
            found = Some(watched.found());
            engine = Box::new(watched);
        }
        let mut federation = federation(engine, busy());
        let reports: Vec<_> = (0..4).map(|_| federation.run_round().unwrap()).collect();
        federation.engine().finish().unwrap();
        let scalars = federation.engine().traffic().bytes(Purpose::RoundScalars);
        let check = federation.engine().traffic().bytes(Purpose::Check);
        (reports, federation.export_generator().unwrap(), scalars, check, found.map(|f| f.lock().unwrap().clone()))
    };
    let (plain, watched) = (report(0), report(2));
    assert!(plain.0 == watched.0 && plain.1 == watched.1, "the run has changed");
    assert_eq!((plain.2, plain.3), (watched.2, 0), "reads of the round");
    let found = watched.4.unwrap();
    assert!(watched.3 > 0 && found.launches > 10 && found.elements > 100 && found.percent > 0.0, "{found:?}");
    assert!(found.percent <= 100.0 && !found.label.is_empty() && found.too_large == 0, "{found:?}");
    assert!(found.to_string().contains("launches at random"), "{found}");
}

#[test]
fn verification_stops_a_lying_run() {
    // Every convolution's outputs are too large by one thousandth: 256 elements of any of them show it.
    let mut lying = Lying::boxed(|launch, engine| {
        if launch.kernel.name().starts_with("conv") {
            let output = launch.args[2];
            let words = engine.read(output, Purpose::Check).unwrap();
            let scaled: Vec<u32> = words.iter().map(|w| (f32::from_bits(*w) * 1.001).to_bits()).collect();
            engine.write(output, &scaled).unwrap();
        }
    });
    lying = Box::new(Verifying::new(lying, 1, 3));
    let mut federation = federation(lying, settings());
    let error = (0..20).find_map(|_| federation.run_round().err()).expect("twenty rounds with faults");
    assert_eq!(error.exit_code(), 1);
    let what = error.to_string();
    assert!(what.contains("verification") && what.contains("kernel `conv") && what.contains("expected"), "{what}");

    // A fault in the last execution is reported when the run finishes.
    let mut engine = Verifying::new(Lying::boxed(|l, e| change(e, l.args[0], 7, |_| f32::NAN)), 1, 3);
    let tensor = engine.alloc("y", 64).unwrap();
    let mut recording = Recording::new();
    let fill = fedgan::check::Repro::parse("fill:clients=1,n=50,y_stride=64,value=1.5").unwrap();
    recording.launch_words(fill.kernel, fill.params, &[tensor], "a fill").unwrap();
    engine.run(&recording, 1).unwrap();
    let what = engine.finish().unwrap_err().to_string();
    assert!(what.contains("`a fill`") && what.contains("y[7] is NaN"), "{what}");
}

#[test]
fn one_execution_of_every_window_is_verified() {
    let mut engine = Verifying::new(Box::new(CpuEngine::new()), 10, 9);
    let found = engine.found();
    let tensor = engine.alloc("y", 64).unwrap();
    let mut recording = Recording::new();
    let fill = fedgan::check::Repro::parse("fill:clients=1,n=64,y_stride=64,value=1.5").unwrap();
    recording.launch_words(fill.kernel, fill.params, &[tensor], "a fill").unwrap();
    for window in 1..=20 {
        for times in [3, 1, 6] {
            engine.run(&recording, times).unwrap();
        }
        engine.finish().unwrap();
        assert_eq!(found.lock().unwrap().launches, window);
    }
}
