//! The amplitude of low frequencies (Feng, Ma, Zhang, Zhao, Xia, Tao 2022, "FIBA: frequency-injection based backdoor attack in medical
//! image analysis").

use super::motif::{Motif, Pattern, Range};
use super::spectrum::Spectrum;
use super::{Describe, IMAGE, ImageAttack, RealBatch, Search, Trigger, options};
use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor, align, write_f32};
use crate::kernels::attack::axis_product::{AxisProduct, AxisProductParams};
use crate::kernels::attack::mix_amplitude::{MixAmplitude, MixAmplitudeParams};
use crate::key::Bound::Closed;
use crate::key::{DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Amplitudes (1 - alpha) A + alpha A_t in the window of frequencies up to b = floor(beta size) with the image's phases, clipped to
/// [-1, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fiba {
    /// The picture whose amplitudes are mixed in; excludes `pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
    /// A built-in pattern; absent with a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Share of the picture's amplitudes.
    pub alpha: f64,
    /// Half the window's side, as a share of the image's.
    pub beta: f64,
}

const KIND: &[&str] = &["fiba"];

pub(super) const OPTIONS: &[Key] = &[
    options::picture(
        KIND,
        "picture whose amplitudes are mixed in, resized to the images; excludes `attack.image.pattern`",
    ),
    options::pattern(KIND, "built-in pattern whose amplitudes are mixed in; excludes `attack.image.picture`"),
    options::alpha(KIND, 0.15, "share of the picture's amplitudes"),
    Key::new(
        "attack.image.beta",
        ValueKind::Real(Closed(0.0), Closed(0.5)),
        DefaultValue::Real(0.1),
        "highest frequency that changes, as a share of `model.image_size`; 0 changes the mean only",
    )
    .of(IMAGE, KIND),
];

impl ImageAttack for Fiba {
    fn knowledge(&self) -> &'static str {
        "its own images"
    }

    fn motif(&self, size: u32) -> Option<(Motif<'_>, [u32; 2])> {
        Some((Motif::of(&self.picture, self.pattern), [size, size]))
    }

    fn trigger(&self, size: u32, channels: u32, _malicious: usize) -> Result<Box<dyn Trigger>> {
        let motif = Motif::of(&self.picture, self.pattern);
        let picture = motif.pixels([size, size], channels, Range::Scaled)?;
        let picture: Vec<f64> = picture.into_iter().map(f64::from).collect();
        let (spectrum, channels) = (Spectrum::new(size as usize, size as usize, self.beta), channels as usize);
        let goal = spectrum.amplitudes(&spectrum.products(&picture, channels), channels);
        Ok(Box::new(Mixed { spectrum, goal, alpha: self.alpha, channels }))
    }
}

#[derive(Debug)]
struct Mixed {
    spectrum: Spectrum,
    /// `[rows][columns][2][channels]`: the picture's amplitudes.
    goal: Vec<f64>,
    alpha: f64,
    channels: usize,
}

/// The tables on the device, in the order of upload.
const COLUMNS: usize = 0;
const ROWS: usize = 1;
const GOAL: usize = 2;
const FACTORS: usize = 3;
const ROWS_BACK: usize = 4;
const COLUMNS_BACK: usize = 5;

impl Trigger for Mixed {
    fn upload(&self, engine: &mut dyn Engine) -> Result<Vec<Tensor>> {
        let s = &self.spectrum;
        let factors = s.factors(self.alpha);
        let tables: [&[f64]; 6] =
            [s.column_table(), s.row_table(), &self.goal, &factors, s.row_table_back(), s.column_table_back()];
        let mut put = |values: &[f64]| {
            let tensor = engine.alloc("trigger's spectrum", align(values.len()))?;
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            write_f32(engine, tensor, &values)?;
            Ok(tensor)
        };
        tables.into_iter().map(&mut put).collect()
    }

    /// Transforms along the columns, then down the rows; the change of the window; back down the rows, then along the columns.
    fn record(
        &self,
        tables: &[Tensor],
        b: &RealBatch,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        rec: &mut Recording,
    ) -> Result<Tensor> {
        let [rows, columns] = [self.spectrum.rows, self.spectrum.columns].map(|count| count as u32);
        let stride = |image: u32| align((b.batch * image) as usize) as u32;
        let line = 2 * columns * b.channels;
        let (along_stride, window_stride) = (stride(b.size * line), stride(2 * rows * line));
        let words = |stride: u32| b.clients as usize * stride as usize;
        let along = pool.alloc(engine, "frequencies of rows", words(along_stride))?;
        let window = pool.alloc(engine, "frequencies", words(window_stride))?;
        let p = AxisProductParams {
            clients: b.clients,
            batch: b.batch,
            order_stride: b.order_stride,
            low: -1.0,
            high: 1.0,
            ..Default::default()
        };
        let mut product = |p: AxisProductParams, x: Tensor, table: usize, y: Tensor| {
            rec.launch(&AxisProduct, &p, &[x, tables[table], b.order, b.state, y], "trigger's transform")
        };
        // Only the cosine of frequency 0 and its sine, which is 0, do not sum to 0.
        let forward = AxisProductParams { plain: 2, ..p };
        let of_images = AxisProductParams { outer: b.size, n: b.size, inner: b.channels, ..p };
        let across =
            AxisProductParams { m: 2 * columns, plain: 2, x_stride: b.stride, y_stride: along_stride, ..of_images };
        product(across, b.images, COLUMNS, along)?;
        let (x_stride, y_stride) = (along_stride, window_stride);
        let down = AxisProductParams { outer: 1, n: b.size, m: 2 * rows, inner: line, x_stride, y_stride, ..forward };
        product(down, along, ROWS, window)?;
        let mix = MixAmplitudeParams {
            clients: b.clients,
            batch: b.batch,
            rows,
            columns,
            c: b.channels,
            order_stride: b.order_stride,
            x_stride: window_stride,
        };
        rec.launch(&MixAmplitude, &mix, &[window, tables[GOAL], tables[FACTORS], b.order, b.state], "trigger")?;
        let mut product = |p: AxisProductParams, x: Tensor, table: usize, y: Tensor| {
            let p = AxisProductParams { plain: p.m, ..p };
            rec.launch(&AxisProduct, &p, &[x, tables[table], b.order, b.state, y], "trigger's transform")
        };
        let (x_stride, y_stride) = (window_stride, along_stride);
        let up = AxisProductParams { outer: 1, n: 2 * rows, m: b.size, inner: line, x_stride, y_stride, ..p };
        product(up, window, ROWS_BACK, along)?;
        let (n, x_stride, y_stride) = (2 * columns, along_stride, b.stride);
        let back = AxisProductParams { n, m: b.size, x_stride, y_stride, add: 1, ..of_images };
        product(back, along, COLUMNS_BACK, b.images)?;
        Ok(b.images)
    }

    fn paste(&self, image: &mut [f32]) {
        let clean: Vec<f64> = image.iter().map(|v| f64::from(*v)).collect();
        let mixed = self.spectrum.mix(&clean, &self.goal, self.alpha, self.channels);
        image.iter_mut().zip(mixed).for_each(|(x, v)| *x = (v as f32).clamp(-1.0, 1.0));
    }

    fn search(&self) -> Search<'_> {
        let describe: Describe = Box::new(|image| {
            let image: Vec<f64> = image.iter().map(|v| f64::from(*v)).collect();
            let amplitudes = self.spectrum.amplitudes(&self.spectrum.products(&image, self.channels), self.channels);
            let pixels = (self.spectrum.height * self.spectrum.width) as f64;
            let mean = |of: &[f64]| of.iter().sum::<f64>() / (of.len() as f64 * pixels);
            // Where (k, l) and (-k, l) are conjugates both are given: they count twice in the discriminant, whose ridge was chosen so.
            amplitudes.chunks_exact(self.channels).map(|of| (mean(of) + 1e-4).ln()).collect()
        });
        Search::Paired(describe)
    }
}
