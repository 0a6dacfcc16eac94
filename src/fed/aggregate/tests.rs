//! What a rule decides is what the server's networks become, whatever the chunks.

use super::*;
use crate::exec::{CpuEngine, Tensor, write_f32};
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
        weights: Weights::Equal,
        clients_per_launch: Some(2),
        attack: Attack::checker(vec![]),
        report: LossReport::True,
        detector: Detector::None {},
        nonfinite: OnNonfinite::Stop,
    };
    let gan = Gan::new(arch, 0.5, 0.999, 1e-8).unwrap();
    Federation::new(Box::new(CpuEngine::new()), gan, settings, ClientData { pixels: &pixels, holdings }).unwrap()
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
        assert_eq!((round.weights.len(), round.dropped), (3, &[false; 3][..]));
        let mut weights = vec![0.0; 3];
        match *self {
            Decides::Client(client) => {
                weights[client] = 1.0;
                Ok(Decision { weights, result: Combination::WeightedSum })
            }
            Decides::Value(server, value) => {
                write_f32(engine, server, &vec![value; server.words])?;
                weights[0] = 1.0;
                Ok(Decision { weights, result: Combination::Written })
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
