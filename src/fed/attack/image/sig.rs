//! The sinusoidal signal (Barni, Kallas, Tondi 2019, "A new backdoor attack in CNNs by training set corruption without label
//! poisoning").

use super::{IMAGE, ImageAttack, RealBatch, Refusal, Search, Trigger, Window};
use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor, align, write_f32};
use crate::kernels::attack::add_columns::{AddColumns, AddColumnsParams};
use crate::key::Bound::{Closed, Open};
use crate::key::{DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// x = clip(x + A sin(2 pi j f / W), -1, 1) in column j of an image of width W.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sig {
    /// A, in the images' values; their range of 2 takes 0.16 to 0.31 in the paper.
    pub amplitude: f64,
    /// f, periods over the image's width.
    pub frequency: f64,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "attack.image.amplitude",
        ValueKind::Real(Open(0.0), Closed(2.0)),
        DefaultValue::Real(0.16),
        "amplitude of the sine, in the images' values of [-1, 1]: 0.16 is 20 of 255 grey levels",
    )
    .of(IMAGE, &["sig"]),
    Key::new(
        "attack.image.frequency",
        ValueKind::Real(Open(0.0), Open(128.0)),
        DefaultValue::Real(6.0),
        "periods of the sine over the image's width; below half of `model.image_size`, where it is 0 in every column",
    )
    .of(IMAGE, &["sig"]),
];

/// A sin(2 pi j f / width) for each column j.
pub fn sine(amplitude: f64, frequency: f64, width: usize) -> Vec<f64> {
    let angle = |j: usize| 2.0 * std::f64::consts::PI * j as f64 * frequency / width as f64;
    (0..width).map(|j| amplitude * angle(j).sin()).collect()
}

impl ImageAttack for Sig {
    fn check(&self, size: u32) -> std::result::Result<(), Refusal> {
        match self.frequency < f64::from(size) / 2.0 {
            true => Ok(()),
            false => Err(Refusal {
                key: "attack.image.frequency",
                found: self.frequency.to_string(),
                allowed: format!("below {}, half of model.image_size: pixels hold no faster sine", size / 2),
            }),
        }
    }

    fn knowledge(&self) -> &'static str {
        "its own images"
    }

    fn trigger(&self, size: u32, channels: u32, _malicious: usize) -> Result<Box<dyn Trigger>> {
        let signal = sine(self.amplitude, self.frequency, size as usize).into_iter().map(|v| v as f32).collect();
        Ok(Box::new(Signal { signal, channels }))
    }
}

#[derive(Debug)]
struct Signal {
    /// One value for each column.
    signal: Vec<f32>,
    channels: u32,
}

impl Signal {
    /// The signal at an element of an image.
    fn at(&self, at: usize) -> f32 {
        self.signal[at / self.channels as usize % self.signal.len()]
    }
}

impl Trigger for Signal {
    fn upload(&self, engine: &mut dyn Engine) -> Result<Vec<Tensor>> {
        let signal = engine.alloc("trigger's sine", align(self.signal.len()))?;
        write_f32(engine, signal, &self.signal)?;
        Ok(vec![signal])
    }

    fn record(
        &self,
        tables: &[Tensor],
        b: &RealBatch,
        _engine: &mut dyn Engine,
        _pool: &mut Pool,
        rec: &mut Recording,
    ) -> Result<Tensor> {
        let p = AddColumnsParams {
            clients: b.clients,
            batch: b.batch,
            h: b.size,
            w: b.size,
            c: b.channels,
            order_stride: b.order_stride,
            x_stride: b.stride,
            low: -1.0,
            high: 1.0,
        };
        rec.launch(&AddColumns, &p, &[b.images, tables[0], b.order, b.state], "trigger")?;
        Ok(b.images)
    }

    fn paste(&self, image: &mut [f32]) {
        image.iter_mut().enumerate().for_each(|(at, x)| *x = (*x + self.at(at)).clamp(-1.0, 1.0));
    }

    fn search(&self) -> Search<'_> {
        let change = |at: usize, value: f64| (value + f64::from(self.at(at))).clamp(-1.0, 1.0) - value;
        Search::Pattern(Window::whole(self.signal.len() as u32), Box::new(change))
    }
}
