//! The warp (Nguyen and Tran 2021, "WaNet: imperceptible warping-based backdoor attack", arXiv 2102.10369), without its noise mode:
//! that trains a classifier to keep the labels of randomly warped images, and a GAN has none.

use super::flow::{Field, Flow};
use super::{Describe, IMAGE, ImageAttack, RealBatch, Search, Trigger};
use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor, align, write_f32};
use crate::kernels::attack::warp::{Warp as WarpKernel, WarpParams};
use crate::key::Bound::Closed;
use crate::key::{DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// Every pixel is read beside its place, along a smooth random field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warp {
    /// Strength: shifts have a mean magnitude of about `strength` / 2 pixels.
    pub strength: f64,
    /// Random vectors along each axis.
    pub grid: u32,
    /// Seed of the vectors.
    #[serde(default)]
    pub seed: u64,
}

const KIND: &[&str] = &["warp"];

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "attack.image.strength",
        ValueKind::Real(Closed(0.0), Closed(64.0)),
        DefaultValue::Real(0.5),
        "strength of the warp: pixels move by about half of it, in pixels",
    )
    .of(IMAGE, KIND),
    Key::new(
        "attack.image.grid",
        ValueKind::Int(2, 64),
        DefaultValue::Int(4),
        "random vectors along each axis, between which the field is interpolated",
    )
    .of(IMAGE, KIND),
    Key::new("attack.image.seed", ValueKind::Int(0, i64::MAX), DefaultValue::Int(0), "seed of the vectors")
        .of(IMAGE, KIND),
];

impl ImageAttack for Warp {
    fn knowledge(&self) -> &'static str {
        "its own images; the malicious clients share the seed of the field"
    }

    fn trigger(&self, size: u32, channels: u32, _malicious: usize) -> Result<Box<dyn Trigger>> {
        let flow = Flow::random(self.grid as usize, self.seed);
        Ok(Box::new(Warped { field: flow.field(size as usize, self.strength), channels: channels as usize }))
    }
}

#[derive(Debug)]
struct Warped {
    field: Field,
    channels: usize,
}

impl Trigger for Warped {
    fn upload(&self, engine: &mut dyn Engine) -> Result<Vec<Tensor>> {
        let source = engine.alloc("warp's source pixels", align(self.field.source.len()))?;
        engine.write(source, &self.field.source)?;
        let shares: Vec<f32> = self.field.shares.iter().map(|v| *v as f32).collect();
        let weights = engine.alloc("warp's weights", align(shares.len()))?;
        write_f32(engine, weights, &shares)?;
        Ok(vec![source, weights])
    }

    fn record(
        &self,
        tables: &[Tensor],
        b: &RealBatch,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        rec: &mut Recording,
    ) -> Result<Tensor> {
        let warped = pool.alloc(engine, "warped batch", b.images.words)?;
        let p = WarpParams {
            clients: b.clients,
            batch: b.batch,
            h: b.size,
            w: b.size,
            c: b.channels,
            order_stride: b.order_stride,
            x_stride: b.stride,
            y_stride: b.stride,
        };
        rec.launch(&WarpKernel, &p, &[b.images, tables[0], tables[1], b.order, b.state, warped], "trigger")?;
        Ok(warped)
    }

    fn paste(&self, image: &mut [f32]) {
        let clean: Vec<f64> = image.iter().map(|v| f64::from(*v)).collect();
        let warped = self.field.apply(&clean, self.channels);
        image.iter_mut().zip(warped).for_each(|(x, v)| *x = v as f32);
    }

    fn search(&self) -> Search<'_> {
        let describe: Describe = Box::new(|image| roughness(image, self.field.size, self.channels));
        Search::Paired(describe)
    }
}

/// Blocks along each axis of an image.
const BLOCKS: usize = 8;

/// The logarithm of the energy of fine detail in each block of an image, less its mean over the blocks: a read between pixels
/// averages them, which removes detail where the shift is near half a pixel and leaves it where the shift is near a whole one.
fn roughness(image: &[f32], size: usize, channels: usize) -> Vec<f64> {
    let mut energy = vec![(0.0, 0.0); BLOCKS * BLOCKS];
    let value = |row: usize, column: usize, c: usize| f64::from(image[(row * size + column) * channels + c]);
    for (row, column) in (1..size - 1).flat_map(|row| (1..size - 1).map(move |column| (row, column))) {
        let sum = &mut energy[row * BLOCKS / size * BLOCKS + column * BLOCKS / size];
        for c in 0..channels {
            let around = value(row - 1, column, c)
                + value(row + 1, column, c)
                + value(row, column - 1, c)
                + value(row, column + 1, c);
            sum.0 += (value(row, column, c) - around / 4.0).powi(2);
            sum.1 += 1.0;
        }
    }
    let logs: Vec<f64> = energy.iter().map(|(sum, n)| (sum / n + 1e-5).ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.into_iter().map(|v| v - mean).collect()
}
