//! Whole rounds with WGAN-GP: engines against the reference, chunks against a single launch, critic steps, optimizers.

use super::federation::{build_gan, classes, cpu, gpu, gradients_agree, outcome, settings, shared};
use fedgan::exec::{Engine, ReferenceEngine};
use fedgan::fed::detector::{Detector, IsolationForest};
use fedgan::fed::{Federation, Local, Settings, Shared};
use fedgan::kernels::Class;
use fedgan::model::{Architecture, Gan, Interpolation, Norm, Objective, Optimizer, Training};

const RMSPROP: Optimizer = Optimizer::RmsProp { lr: 2e-4, alpha: 0.99 };

fn training(norm: Norm, n_critic: u32, optimizer: Optimizer) -> Training {
    let interpolation = if norm == Norm::None { Interpolation::Normal } else { Interpolation::Uniform };
    Training {
        norm,
        objective: Objective::WganGp { lambda: 10.0, n_critic, interpolation },
        optimizer,
        ..Default::default()
    }
}

fn build(engine: Box<dyn Engine>, settings: Settings, training: Training, clients: usize) -> Federation {
    let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
    build_gan(engine, Gan::with(arch, 0.5, 0.9, 1e-8, training).unwrap(), settings, shared(clients))
}

/// Gradients of step 1 within 2e-5 relative L2 of the reference's.
fn differs_little(engine: impl Fn() -> Box<dyn Engine>, name: &str) {
    for training in [training(Norm::Instance, 1, RMSPROP), training(Norm::None, 1, Optimizer::Adam)] {
        let one = || Settings { local: Local::Steps(1), ..settings() };
        let mut truth = build(Box::new(ReferenceEngine::new()), one(), training, 2);
        let mut tried = build(engine(), one(), training, 2);
        let (want_report, got_report) = (truth.run_round().unwrap(), tried.run_round().unwrap());
        for client in 0..2 {
            gradients_agree(&mut truth, &mut tried, client, &format!("{name}, {training:?}"));
            let (want, got) =
                (want_report.clients[client as usize].trained.mean, got_report.clients[client as usize].trained.mean);
            for (g, w) in got.iter().zip(want) {
                assert!((g - w).abs() <= 1e-4 * w.abs() + 1e-6, "{name}: loss {g} against {w}");
            }
            let [want, got] = [&want_report, &got_report].map(|r| r.clients[client as usize].trained.penalty);
            assert!(want > 0.0 && (got - want).abs() <= 1e-4 * want, "{name}: penalty {got} against {want}");
        }
    }
}

#[test]
fn a_round_on_the_cpu_engine_agrees_with_the_reference() {
    differs_little(cpu, "cpu");
}

#[test]
fn a_round_on_the_gpu_engine_agrees_with_the_reference() {
    for class in classes() {
        differs_little(|| gpu(class), class.name());
    }
}

#[test]
fn chunks_of_clients_give_the_same_bits() {
    for optimizer in [RMSPROP, Optimizer::Adam] {
        let training = training(Norm::Instance, 2, optimizer);
        for engine in [cpu, || gpu(Class::Direct)] {
            let run = |chunk| {
                let detector = Detector::IsolationForest(IsolationForest::default());
                let s = Settings { clients_per_launch: chunk, shared: Shared::Both, detector, ..settings() };
                outcome(build(engine(), s, training, 5), 2)
            };
            let whole = run(None);
            assert!(run(Some(1)) == whole && run(Some(2)) == whole, "{optimizer:?}: chunks change the result");
        }
    }
}

/// Each critic step updates the critic with its own batch; the generator takes one step in any case.
#[test]
fn critic_steps_multiply_critic_updates_only() {
    let run = |n_critic| {
        let s = Settings { local: Local::Steps(1), ..settings() };
        let mut f = build(cpu(), s, training(Norm::Instance, n_critic, RMSPROP), 1);
        let start = f.export_discriminator(0).unwrap();
        let report = f.run_round().unwrap();
        assert!(report.diverged().is_empty());
        assert_eq!(report.clients[0].trained.steps, 1);
        let end = f.export_discriminator(0).unwrap();
        let (w0, w1) = (&start["main.0.weight"].1, &end["main.0.weight"].1);
        w0.iter().zip(w1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    let (one, three) = (run(1), run(3));
    // RMSprop's first steps are nearly signs of equal length: three of them move further than one.
    assert!(three > 1.3 * one, "one step moves {one:.3e}, three {three:.3e}");
}

/// More than the set has: 5 critic steps of 4 images, out of 16 images.
#[test]
fn critic_steps_may_take_more_images_than_there_are() {
    for engine in [cpu(), gpu(Class::Direct)] {
        let s = Settings { local: Local::Steps(2), ..settings() };
        let mut f = build(engine, s, training(Norm::Instance, 5, RMSPROP), 2);
        assert!(f.run_round().unwrap().diverged().is_empty());
    }
}

/// The interpolation weights are redrawn in every step, and normally distributed ones differ from uniform ones.
#[test]
fn interpolations_differ() {
    let run = |interpolation| {
        let objective = Objective::WganGp { lambda: 10.0, n_critic: 1, interpolation };
        let t = Training { norm: Norm::Instance, objective, optimizer: RMSPROP, ..Default::default() };
        outcome(build(cpu(), settings(), t, 1), 1).1
    };
    assert!(run(Interpolation::Uniform) == run(Interpolation::Uniform));
    assert!(run(Interpolation::Uniform) != run(Interpolation::Normal));
}

#[test]
fn meaningless_trainings_are_refused() {
    let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
    let refused = |t: Training| Gan::with(arch, 0.5, 0.9, 1e-8, t).unwrap_err().to_string();
    assert!(refused(training(Norm::Batch, 1, RMSPROP)).contains("batch norm"));
    assert!(refused(training(Norm::None, 0, RMSPROP)).contains("n_critic 0"));
    let objective = Objective::WganGp { lambda: -1.0, n_critic: 1, interpolation: Interpolation::Uniform };
    assert!(
        refused(Training { norm: Norm::None, objective, optimizer: RMSPROP, ..Default::default() })
            .contains("lambda -1")
    );
}
