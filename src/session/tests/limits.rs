//! Numbers at the ends of their ranges: an experiment is built on an engine that only counts memory, or rejected as bad input;
//! nothing overflows and no internal error occurs.

use super::super::memory::Setup;
use super::*;
use crate::config::tests::edge::{integers, load_with};
use crate::exec::{CpuEngine, Engine, ReferenceEngine};

/// Plans the memory of an experiment; returns the clients per launch.
fn planned(plan: &Plan, images: &Images, engine: &dyn Engine) -> Result<u32> {
    let memory = Setup { plan, images, verified: true, ranks: None }.predict(engine, None)?;
    assert!((1..=memory.clients).contains(&memory.launch));
    Ok(memory.launch)
}

fn plan_of(set: &[&str]) -> Plan {
    let set = set.iter().map(|s| s.to_string()).collect();
    config::load(None, &Overrides { set, ..Overrides::default() }).unwrap()
}

#[test]
fn every_integer_key_at_its_edges_is_planned_or_refused() {
    let edges = ["0", "1", "2", "2147483647", "2147483648", "4294967295"];
    let mut built = 0;
    for key in integers() {
        let path = key.path;
        for value in edges {
            let Ok(plan) = load_with(key, value) else { continue };
            let found = images_of(&plan).and_then(|images| planned(&plan, &images, &CpuEngine::new()));
            match found {
                Ok(_) => built += 1,
                Err(error) => assert_eq!(error.exit_code(), 2, "{path}={value}: {error}"),
            }
        }
    }
    assert!(built > 40, "{built}");
}

#[test]
fn products_of_keys_are_planned_or_refused() {
    let cases: &[(&[&str], &str)] = &[
        (&["train.local_epochs=226050911"], "train.local_epochs"),
        (&["train.local_epochs=4294967295"], "train.local_epochs"),
        (&["train.local_steps=4294967295"], "train.local_steps"),
        (&["train.local_steps=200000000", "train.batch=1"], "rounds = 50"),
        (&["rounds=4294967295"], "rounds = 4294967295"),
        (&["rounds=4294967295", "train.local_steps=2"], "rounds = 4294967295"),
        (
            &["train.loss=wgan-gp", "train.n_critic=100", "rounds=50000000", "train.local_steps=1"],
            "train.n_critic = 100",
        ),
        (&["model.image_size=256", "model.width=1024", "train.batch=512"], "model.width"),
        (&["model.image_size=256", "model.channels=3", "train.batch=512", "model.width=512"], "model.width"),
        (&["train.loss=wgan-gp", "train.n_critic=100", "train.batch=512", "model.image_size=256"], "train.n_critic"),
        (
            &["federation.clients=65535", "detection.kind=isolation-forest", "model.image_size=256"],
            "mean images of 65535",
        ),
    ];
    for (set, named) in cases {
        let plan = plan_of(set);
        let images = images_of(&plan).unwrap();
        for engine in [&CpuEngine::new() as &dyn Engine, &ReferenceEngine::new()] {
            let error = planned(&plan, &images, engine).expect_err(&format!("{set:?}"));
            let text = error.to_string();
            assert!(error.exit_code() == 2 && text.contains(named) && !text.contains('\n'), "{set:?}: {text}");
        }
    }
    // The limit itself is accepted.
    let plan = plan_of(&["rounds=4294967295", "train.local_steps=1", "model.image_size=16", "model.width=1"]);
    let images = images_of(&plan).unwrap();
    planned(&plan, &images, &CpuEngine::new()).unwrap();
}

/// More clients than 32-bit indices can address in one launch are divided among launches, on every engine.
#[test]
fn clients_beyond_one_launch_are_cut_on_every_engine() {
    let (gpu, _) = crate::gpu::open("gpu", crate::gpu::GpuOptions::default()).unwrap();
    let (cpu, reference) = (CpuEngine::new(), ReferenceEngine::new());
    let paper =
        ["model.image_size=256", "model.channels=3", "model.width=64", "model.latent=100", "federation.clients=23"];
    let cases: [&[&str]; 5] = [
        &["model.image_size=128", "model.width=64", "federation.clients=130"],
        &paper,
        &["federation.clients=65535"],
        &["federation.clients=65535", "model.image_size=16", "model.width=1", "model.latent=1", "train.batch=1"],
        &["federation.clients=300", "train.loss=wgan-gp", "train.n_critic=20", "train.local_steps=20000", "rounds=1"],
    ];
    for set in cases {
        let plan = plan_of(set);
        let images = images_of(&plan).unwrap();
        let engines: [&dyn Engine; 3] = [&cpu, &reference, gpu.as_ref()];
        let [on_cpu, on_reference, on_gpu] = engines.map(|engine| planned(&plan, &images, engine));
        let launch = on_cpu.unwrap_or_else(|error| panic!("{set:?}: {error}"));
        // The transformed weights of Winograd's form may be the largest tensor; without them both engines agree.
        let direct = plan_of(&[set, &["train.convolution=direct"]].concat());
        assert_eq!(planned(&direct, &images, &cpu).unwrap(), *on_reference.as_ref().unwrap(), "{set:?}");
        assert!(on_reference.unwrap() >= launch, "{set:?}");
        assert!(launch < plan.federation.clients || set == paper, "{set:?}: {launch}");
        match on_gpu {
            Ok(on_gpu) => assert!(on_gpu <= launch, "{set:?}: {on_gpu}"),
            // The weights of one generator exceed the largest binding of some drivers.
            Err(error) => assert!(set == paper && error.to_string().contains("one client needs a tensor"), "{error}"),
        }
    }
}

/// The first Dirichlet run of a user: either every client can train with its share, or there is one message.
#[test]
fn dirichlet_runs_of_the_built_in_set_work_or_say_why_not() {
    let (mut works, mut rehearsal) = (0, images::Rehearsal::default());
    for alpha in ["0.1", "0.3", "1.0"] {
        for clients in ["4", "10", "20"] {
            let partition = format!("federation.partition={{ kind = \"dirichlet\", alpha = {alpha} }}");
            let clients = format!("federation.clients={clients}");
            let plan = plan_of(&[&partition, &clients, "train.batch=16", "model.image_size=16"]);
            let rehearsed = rehearsal.deal(&plan);
            match images_of(&plan) {
                Ok(images) => {
                    works += 1;
                    rehearsed.unwrap();
                    assert!(images.holdings.iter().all(|h| h.len() >= 16));
                    planned(&plan, &images, &CpuEngine::new()).unwrap();
                }
                Err(error) => {
                    let text = error.to_string();
                    assert_eq!(rehearsed.unwrap_err().to_string(), text, "a dry run says what a run would");
                    assert!(
                        error.exit_code() == 2 && text.contains("of the clients short, the smallest share"),
                        "{text}"
                    );
                }
            }
        }
    }
    assert!(works >= 4, "{works}");
}

#[test]
fn pictures_show_images_of_all_classes_and_a_set_without_held_out_images_is_warned_of() {
    let plan = plan_of(&["model.image_size=16"]);
    let images = images_of(&plan).unwrap();
    assert_eq!(images.warning(&plan), None);
    let shown = images.shown(9, plan.seed);
    assert_eq!(shown, images.shown(9, plan.seed));
    assert_ne!(shown, images.shown(9, plan.seed + 1));
    assert_eq!(shown.len(), 9 * 256);
    let places: Vec<usize> = shown
        .chunks(256)
        .map(|image| images.reference.chunks(256).position(|reference| reference == image).unwrap())
        .collect();
    assert!(places.iter().any(|at| *at >= 60), "the last class too: {places:?}");
    assert_eq!(images.shown(1000, 1).len(), images.reference.len(), "no more than there are");
    let plan =
        plan_of(&["model.image_size=16", "data={ kind = \"dermoscopy\", n = 4, held_out = 0.1 }", "train.batch=1"]);
    let images = images_of(&plan).unwrap();
    let warning = images.warning(&plan).unwrap();
    assert!(warning.contains("data.held_out = 0.1: no image of 4 is held out"), "{warning}");
}
