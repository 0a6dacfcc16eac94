//! Attacks on images: all images of a case are poisoned.

use super::approx::Approx;
use super::case::MOST_ELEMENTS;
use super::lab::{Computed, Lab, channels_last, channels_second, permute};
use super::{Case, GoldenTensor};
use crate::Result;
use crate::exec::Tensor;
use crate::fed::attack::image::{Flow, Spectrum, sine};

/// Allowed error of a pixel of the amplitude attack, as a share of the range: its phases have no useful bound where a coefficient is
/// far smaller than the sum that it results from. f32 in NumPy comes to 1.3e-7.
const OF_RANGE: f64 = 2e-6;

/// The images of a case, with the operands of a launch on them.
struct Images<'c> {
    x: &'c GoldenTensor,
    /// Images, channels, height, width.
    shape: [usize; 4],
    /// `[images][height][width][channels]` on the device.
    pixels: Tensor,
    order: Tensor,
    state: Tensor,
}

impl<'c> Images<'c> {
    fn read(case: &'c Case, lab: &mut Lab) -> Result<Images<'c>> {
        let (x, shape) = case.ranked::<4>("x", "NCHW")?;
        let pixels = lab.put(&channels_last(&x.f32(), shape))?;
        let (order, state) = (lab.put_words(&vec![1 << 31; shape[0]])?, lab.put_words(&[0; 4])?);
        Ok(Images { x, shape, pixels, order, state })
    }

    /// Parameters that every kernel has, and its own.
    fn params<'n>(&self, own: &[(&'n str, f64)]) -> Vec<(&'n str, f64)> {
        let [n, ..] = self.shape;
        [("clients", 1.0), ("batch", n as f64), ("order_stride", n as f64)]
            .into_iter()
            .chain(own.iter().copied())
            .collect()
    }

    fn sides(&self) -> [(&'static str, f64); 3] {
        let [_, c, h, w] = self.shape.map(|side| side as f64);
        [("h", h), ("w", w), ("c", c)]
    }

    /// The result in `pixels`, with its values and bounds in the order of the file.
    fn result(&self, lab: &mut Lab, pixels: Tensor, values: Vec<Approx>) -> Result<Vec<Computed>> {
        lab.run()?;
        let got = channels_second(&lab.get(pixels)?, self.shape);
        Ok(vec![Computed::known("y", &self.shape, got, values)])
    }

    /// The picture `in.trigger` of the images' shape.
    fn trigger(&self, case: &'c Case) -> Result<&'c GoldenTensor> {
        case.shaped("trigger", &self.shape[1..])
    }

    /// Column of element `i` of the file's tensor.
    fn column(&self, i: usize) -> usize {
        i % self.shape[3]
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Launches `axis_product` with outer, n, m, inner and plain of `shape`, on `x`, table and `y`; with a range it adds to `y` and
    /// clips.
    fn product(
        &self,
        lab: &mut Lab,
        shape: [usize; 5],
        [x, table, y]: [Tensor; 3],
        add: Option<[f64; 2]>,
    ) -> Result<()> {
        let [outer, n, m, inner, _] = shape;
        let strides = [n, m].map(|axis| self.shape[0] * outer * axis * inner);
        let names = ["outer", "n", "m", "inner", "plain", "x_stride", "y_stride"];
        let mut own: Vec<(&str, f64)> =
            names.into_iter().zip(shape.into_iter().chain(strides).map(|v| v as f64)).collect();
        let [low, high] = add.unwrap_or_default();
        own.extend([("add", f64::from(u8::from(add.is_some()))), ("low", low), ("high", high)]);
        lab.launch("axis_product", &self.params(&own), &[x, table, self.order, self.state, y])
    }
}

/// The images' range.
fn range(case: &Case) -> Result<[f64; 2]> {
    let low = case.number("lo", -1e30, 1e30, None)?;
    let high = case.number("hi", low, 1e30, None)?;
    Ok([low, high])
}

fn clip(v: Approx, low: f64, high: f64) -> Approx {
    // An end is rounded to f32 once.
    let ends = [low, high].map(|end| Approx::rounded(end).e);
    Approx::new(if v.v.is_nan() { v.v } else { v.v.max(low).min(high) }, v.e.max(ends[0]).max(ends[1]))
}

/// image.blend: (1 - alpha) x + alpha t by the kernel of the patch, whose window is the whole image.
pub fn blend(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let images = Images::read(case, lab)?;
    let alpha = case.number("alpha", 0.0, 1.0, None)?;
    let t = images.trigger(case)?;
    let [_, c, h, w] = images.shape;
    let trigger = lab.put(&permute(&t.f32(), [1, c, h, w], [0, 2, 3, 1]))?;
    let mut own = images.sides().to_vec();
    own.extend([("th", h as f64), ("tw", w as f64), ("top", 0.0), ("left", 0.0)]);
    own.extend([("x_stride", images.len() as f64), ("opacity", alpha)]);
    lab.launch("paste_trigger", &images.params(&own), &[images.pixels, trigger, images.order, images.state])?;
    let share = Approx::rounded(alpha);
    let value = |i: usize| {
        let [x, t] = [images.x.values[i], t.values[i % (c * h * w)]].map(Approx::exact);
        if alpha == 1.0 { t } else { (Approx::exact(1.0) - share) * x + share * t }
    };
    let values = (0..images.len()).map(value).collect();
    images.result(lab, images.pixels, values)
}

/// image.sig: x + amplitude sin(2 pi j frequency / width) in column j, clipped.
pub fn sig(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let images = Images::read(case, lab)?;
    let amplitude = case.number("amplitude", -1e6, 1e6, None)?;
    let frequency = case.number("frequency", -1e6, 1e6, None)?;
    let [low, high] = range(case)?;
    let signal = sine(amplitude, frequency, images.shape[3]);
    let on_device = lab.put(&signal.iter().map(|v| *v as f32).collect::<Vec<f32>>())?;
    let mut own = images.sides().to_vec();
    own.extend([("x_stride", images.len() as f64), ("low", low), ("high", high)]);
    lab.launch("add_columns", &images.params(&own), &[images.pixels, on_device, images.order, images.state])?;
    let value =
        |i: usize| clip(Approx::exact(images.x.values[i]) + Approx::rounded(signal[images.column(i)]), low, high);
    let values = (0..images.len()).map(value).collect();
    images.result(lab, images.pixels, values)
}

/// image.warp: bilinear samples along the flow, for square images.
pub fn warp(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let images = Images::read(case, lab)?;
    let [_, c, h, w] = images.shape;
    if h != w {
        return Err(case.malformed(format!("`in.x` has images of {h} x {w}: the warp is defined for square ones")));
    }
    let (flow, [axes, k, columns]) = case.ranked::<3>("flow", "[2, k, k]")?;
    if axes != 2 || k != columns {
        return Err(case.malformed(format!("`in.flow` has shape {:?}, must be [2, k, k]", flow.shape)));
    }
    if flow.values.iter().all(|v| *v == 0.0) || flow.values.iter().any(|v| !v.is_finite()) {
        return Err(case.malformed("`in.flow` must be finite and not all 0: it is divided by its mean magnitude"));
    }
    let field = Flow::of(k, flow.values.clone()).field(h, case.number("strength", -1e6, 1e6, None)?);
    let source = lab.put_words(&field.source)?;
    let weights = lab.put(&field.shares.iter().map(|v| *v as f32).collect::<Vec<f32>>())?;
    let y = lab.room(images.len())?;
    let mut own = images.sides().to_vec();
    own.extend([("x_stride", images.len() as f64), ("y_stride", images.len() as f64)]);
    let operands = [images.pixels, source, weights, images.order, images.state, y];
    lab.launch("warp", &images.params(&own), &operands)?;
    let value = |i: usize| {
        let (plane, at) = (i / (h * w) * h * w, i % (h * w));
        let [x00, x01, x10, x11] = field.taps(at).map(|(from, _)| Approx::exact(images.x.values[plane + from]));
        let [share, down] = [2 * at, 2 * at + 1].map(|at| Approx::rounded(field.shares[at]));
        let one = Approx::exact(1.0);
        let (above, below) = ((one - share) * x00 + share * x01, (one - share) * x10 + share * x11);
        (one - down) * above + down * below
    };
    let values = (0..c * images.shape[0] * h * w).map(value).collect();
    images.result(lab, y, values)
}

/// image.fiba: amplitudes of the low frequencies move towards the trigger's, clipped.
pub fn fiba(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let images = Images::read(case, lab)?;
    let [n, c, h, w] = images.shape;
    let trigger = images.trigger(case)?;
    let alpha = case.number("alpha", 0.0, 1.0, None)?;
    let spectrum = Spectrum::new(h, w, case.number("beta", 0.0, 0.5, None)?);
    let [low, high] = range(case)?;
    let (rows, columns, line) = (spectrum.rows, spectrum.columns, 2 * spectrum.columns * c);
    // The most words of an intermediate tensor, or terms of a product.
    if n * h * line > MOST_ELEMENTS {
        return Err(case
            .malformed(format!("{n} images with {columns} frequencies in {h} rows exceed {MOST_ELEMENTS} elements")));
    }
    let picture = permute(&trigger.values, [1, c, h, w], [0, 2, 3, 1]);
    let goal = spectrum.amplitudes(&spectrum.products(&picture, c), c);
    let mut put = |values: &[f64]| lab.put(&values.iter().map(|v| *v as f32).collect::<Vec<f32>>());
    let forward = [put(spectrum.column_table())?, put(spectrum.row_table())?];
    let back = [put(spectrum.row_table_back())?, put(spectrum.column_table_back())?];
    let (goals, factors) = (put(&goal)?, put(&spectrum.factors(alpha))?);
    let (along, window) = (lab.room(n * h * line)?, lab.room(n * 2 * rows * line)?);
    let range = [low, high];
    images.product(lab, [h, w, 2 * columns, c, 2], [images.pixels, forward[0], along], None)?;
    images.product(lab, [1, h, 2 * rows, line, 2], [along, forward[1], window], None)?;
    let own = [("rows", rows), ("columns", columns), ("c", c), ("x_stride", n * 2 * rows * line)];
    let own = own.map(|(name, v)| (name, v as f64));
    lab.launch("mix_amplitude", &images.params(&own), &[window, goals, factors, images.order, images.state])?;
    images.product(lab, [1, 2 * rows, h, line, h], [window, back[0], along], None)?;
    images.product(lab, [h, 2 * columns, w, c, w], [along, back[1], images.pixels], Some(range))?;
    let clean = channels_last(&images.x.values, images.shape);
    let mixed: Vec<f64> = clean.chunks(h * w * c).flat_map(|image| spectrum.mix(image, &goal, alpha, c)).collect();
    let bound = OF_RANGE * (high - low);
    let values = channels_second(&mixed, images.shape).into_iter().map(|v| clip(Approx::new(v, bound), low, high));
    let values = values.collect();
    images.result(lab, images.pixels, values)
}
