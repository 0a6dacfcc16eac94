use super::*;
use crate::check::watch::Verifying;
use crate::config::{self, Overrides};
use crate::exec::CpuEngine;

pub(in crate::session) fn setup(set: &[&str]) -> (Plan, Images) {
    let tiny = ["model.image_size=16", "model.width=4", "train.batch=8", "train.local_steps=1", "federation.clients=3"];
    let set = tiny.iter().chain(set).map(|s| s.to_string()).collect();
    let plan = config::load(None, &Overrides { set, ..Overrides::default() }).unwrap();
    let images = crate::session::tests::images_of(&plan).unwrap();
    (plan, images)
}

/// The gpu engine counts its allocations rounded up to the binding alignment, the cpu engine to the byte.
#[test]
fn the_prediction_is_what_is_allocated() {
    for set in [vec![], vec!["train.loss=wgan-gp", "train.optimizer=rmsprop", "detection.kind=isolation-forest"]] {
        let (plan, images) = setup(&set);
        let setting = Setup { plan: &plan, images: &images, verified: true, ranks: None };
        for device in ["gpu", "cpu"] {
            for launch in [None, Some(1), Some(2)] {
                let (engine, _) = crate::gpu::open(device, crate::gpu::GpuOptions::default()).unwrap();
                let memory = setting.predict(engine.as_ref(), launch).unwrap();
                assert_eq!(memory.launch, launch.unwrap_or(3));
                let mut engine = Verifying::new(engine, 5, 1);
                engine.reserve(&memory.room).unwrap();
                let mut real = setting.build(Box::new(engine), launch).unwrap();
                for _ in 0..3 {
                    real.federation.run_round().unwrap();
                }
                let allocated = real.federation.engine().allocated_bytes();
                let grain = if device == "gpu" { 64 * 1024 } else { 1 };
                assert!(memory.bytes <= allocated && allocated < memory.bytes + grain, "{memory:?} {allocated}");
            }
        }
    }
}

/// Wide enough that the clients take most of the memory.
fn wide(set: &[&str]) -> (Plan, Images) {
    setup(&[&["model.width=16", "train.batch=32", "evaluation.samples=8"], set].concat())
}

#[test]
fn launches_are_as_large_as_memory_allows() {
    let (plan, images) = wide(&["federation.clients=5"]);
    let setting = Setup { plan: &plan, images: &images, verified: true, ranks: None };
    let engine = CpuEngine::new();
    let of = |launch| {
        let m = setting.predict(&engine, Some(launch)).unwrap();
        m.bytes + m.host
    };
    let sizes: Vec<u64> = (1..=5).map(of).collect();
    assert!(sizes.is_sorted() && sizes[0] < sizes[4] * 2 / 3, "one launch of five against five of one: {sizes:?}");
    for (available, launch) in [(sizes[4], 5), (sizes[4] - 1, 4), (sizes[2], 3), (sizes[1] + 1, 2), (sizes[0], 1)] {
        let memory = setting.within(&engine, available).unwrap();
        assert_eq!(memory.launch, launch);
        let text = memory.to_string();
        let why = format!("; {launch} client{} per launch, as 5 would take ", if launch == 1 { "" } else { "s" });
        assert_eq!(text.contains(&why), launch < 5, "{text}");
        assert!(text.contains(" kept by each of 5 clients") && text.contains("for verification"), "{text}");
    }
}

#[test]
fn too_little_memory_says_what_would_fit() {
    let engine = CpuEngine::new();
    let refusal = |set: &[&str], share: f64| {
        let (plan, images) = wide(set);
        let setting = Setup { plan: &plan, images: &images, verified: false, ranks: None };
        let least = setting.predict(&engine, Some(1)).unwrap();
        let error = setting.within(&engine, ((least.bytes + least.host) as f64 * share) as u64).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    let text = refusal(&[], 0.9);
    for part in
        [" on the device: ", "each of the 1 in a launch", "most of it: ", " free: federation.clients=1 or train.batch="]
    {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(text.ends_with(" or model.width=8 would fit") && !text.contains("clients_per_launch"), "{text}");
    // A number set by the user is not changed; the error names a smaller one that would fit.
    let text = refusal(&["federation.clients_per_launch=2"], 0.95);
    assert!(text.contains(": federation.clients_per_launch=1 or federation.clients="), "{text}");
    let text = refusal(&[], 0.0001);
    assert!(text.contains("no single smaller setting fits"), "{text}");
}
