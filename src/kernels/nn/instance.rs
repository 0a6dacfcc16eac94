//! Common parts of the instance norm rows: the parameter block, positions of elements, grids, cases.
//!
//! Instance norm normalises every image and channel separately over its pixels. With x^ = (x - mean) r its Jacobian is
//! gamma r (I - 1 1^T / rows - x^ x^^T / rows), which is symmetric: the kernels that propagate a delta back through the
//! norm also propagate a tangent forward. A second derivative (for the gradient penalty) needs five sums per image and
//! channel, its `moments`, in the order of [`place`].
//! channel, its `moments`, in this order: [`place`].

use crate::kernels::{Build, Contents, Cost, Eval, Inputs, MAX_GROUPS, ceil_div, strided};

crate::params! {
    /// Parameters of the instance norm rows; strides are client strides in words.
    pub struct InstanceParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of a client.
        n: u32 in Count,
        /// Pixels of an image.
        rows: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `[n][rows][c]` tensors.
        x_stride: u32 in Stride,
        /// Client stride of `stats`.
        stat_stride: u32 in Stride,
        /// Client stride of gamma, beta and their gradients.
        param_stride: u32 in Stride,
        /// Client stride of `moments`.
        moment_stride: u32 in Stride,
        /// Sums per image and channel in `moments`: 2, or 5 for a second derivative.
        places: u32 in OneOf(&[2, place::ALL]),
        /// The first of the two sums that this launch writes or reads, see [`place`].
        place: u32 in OneOf(&[place::TANGENT, place::DELTA]),
        /// Added to the variance, above 0.
        eps: f32 in Positive(1e-8, 0.1),
        /// 1 adds to the old value, 0 overwrites it.
        accumulate: u32 in Range(0, 1),
    }
}

/// Positions in the moments of an image and channel.
pub mod place {
    /// sum d, then sum d x^, of the first quantity d: the tangent, or the delta if there is no tangent.
    pub const TANGENT: u32 = 0;
    /// sum u, then sum u x^, of the delta u of the tangent.
    pub const DELTA: u32 = 2;
    /// sum (u - avg u) (t - avg t).
    pub const CROSS: u32 = 4;
    /// Number of sums for a second derivative.
    pub const ALL: u32 = 5;
}

/// Mean and inverse deviation are the two rows of `stats`.
pub(super) const STATS: &str = "[clients][n][2][c], client stride stat_stride: mean, 1/sqrt(var + eps)";
pub(super) const X: &str = "[clients][n][rows][c], client stride x_stride";
pub(super) const PARAM: &str = "[clients][c], client stride param_stride";
pub(super) const MOMENTS: &str = "[clients][n][places][c], client stride moment_stride";

/// Position of an element in an `[n][..][c]` tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub client: usize,
    pub image: usize,
    /// Pixel, or row of the statistics or moments.
    pub row: usize,
    pub channel: usize,
}

impl InstanceParams {
    /// Client strides rounded up to the bank's alignment; gamma and beta have their own.
    pub fn new(clients: u32, n: u32, rows: u32, c: u32, places: u32) -> Self {
        InstanceParams {
            clients,
            n,
            rows,
            c,
            x_stride: (n * rows * c).next_multiple_of(64),
            stat_stride: (2 * n * c).next_multiple_of(64),
            param_stride: c.next_multiple_of(64),
            moment_stride: (places * n * c).next_multiple_of(64),
            places,
            place: 0,
            eps: 1e-5,
            accumulate: 0,
        }
    }

    fn words(&self, rows: u32) -> Result<u32, String> {
        let product = self.n.checked_mul(rows).and_then(|r| r.checked_mul(self.c));
        product.ok_or(format!("{} images of {rows} x {}: more elements than u32 can count", self.n, self.c))
    }

    /// Extents of x, stats, parameters and moments.
    ///
    /// # Errors
    /// Names the parameter that is out of range.
    pub(super) fn check(&self) -> Result<Extents, String> {
        if self.n == 0 || self.n > MAX_GROUPS || self.c > MAX_GROUPS {
            return Err(format!("{} images of {} channels: 1 to {MAX_GROUPS} of each", self.n, self.c));
        }
        if self.accumulate > 1 {
            return Err(format!("accumulate {}: must be 0 or 1", self.accumulate));
        }
        if !(self.places == 2 && self.place == 0 || self.places == place::ALL && [0, 2].contains(&self.place)) {
            return Err(format!("place {} of {}: must be 0 of 2, 0 of 5 or 2 of 5", self.place, self.places));
        }
        Ok(Extents {
            x: strided(self.clients, self.x_stride, self.words(self.rows)?)?,
            stats: strided(self.clients, self.stat_stride, self.words(2)?)?,
            param: strided(self.clients, self.param_stride, self.c)?,
            moments: strided(self.clients, self.moment_stride, self.words(self.places)?)?,
        })
    }

    /// [`InstanceParams::check`] for the rows that read all five moments.
    pub(super) fn check_all(&self) -> Result<Extents, String> {
        if self.places != place::ALL {
            return Err(format!(
                "{} sums per image and channel: a second derivative needs {}",
                self.places,
                place::ALL
            ));
        }
        self.check()
    }

    /// Position of word `index` in a tensor `[clients][n][rows][c]`; `None` in the padding between clients.
    pub(super) fn locate(&self, index: usize, stride: u32, rows: u32) -> Option<At> {
        let (client, element) = match self.clients {
            1 => (0, index),
            _ => (index / stride as usize, index % stride as usize),
        };
        let (rows, c) = (rows as usize, self.c as usize);
        let (row, channel) = (element / c, element % c);
        (element < self.n as usize * rows * c).then_some(At { client, image: row / rows, row: row % rows, channel })
    }

    /// Element of an x-shaped operand at pixel `row` of the image and channel of `at`.
    pub(super) fn x(&self, inputs: &Inputs, slot: usize, at: At, row: usize) -> f64 {
        let row = at.image * self.rows as usize + row;
        inputs.f(slot, at.client * self.x_stride as usize + row * self.c as usize + at.channel)
    }

    /// Mean and inverse deviation.
    pub(super) fn stats(&self, inputs: &Inputs, slot: usize, at: At) -> (f64, f64) {
        let c = self.c as usize;
        let mean = at.client * self.stat_stride as usize + 2 * at.image * c + at.channel;
        (inputs.f(slot, mean), inputs.f(slot, mean + c))
    }

    /// A parameter of the channel.
    pub(super) fn param(&self, inputs: &Inputs, slot: usize, at: At) -> f64 {
        inputs.f(slot, at.client * self.param_stride as usize + at.channel)
    }

    /// The sum at `place`.
    pub(super) fn moment(&self, inputs: &Inputs, slot: usize, at: At, place: u32) -> f64 {
        let row = at.image * self.places as usize + place as usize;
        inputs.f(slot, at.client * self.moment_stride as usize + row * self.c as usize + at.channel)
    }

    /// Words per load, and lanes along the channels (a power of two, at most `most`).
    fn lanes(&self, most: impl Fn(u32) -> u32) -> (u32, u32) {
        let v = if self.c.is_multiple_of(4) { 4 } else { 1 };
        (v, (self.c / v).next_power_of_two().min(most(v)))
    }

    /// Sums over an image's pixels: a workgroup owns up to 8 channels of one image.
    pub(super) fn reduce_build(&self, file: &'static str) -> Build {
        let (v, lx) = self.lanes(|v| 8 / v);
        Build { file, consts: vec![("V", v), ("LX", lx)], grid: [ceil_div(self.c / v, lx), self.n, self.clients] }
    }

    /// A map over an image's pixels: a workgroup owns up to 8 vectors of channels of a block of one image's pixels.
    pub(super) fn map_build(&self, file: &'static str) -> Build {
        let (v, lx) = self.lanes(|_| 8);
        let blocks = ceil_div(self.rows, 256 / lx * 8).clamp(1, MAX_GROUPS / self.n);
        let grid = [ceil_div(self.c / v, lx), self.n * blocks, self.clients];
        Build { file, consts: vec![("V", v), ("LX", lx), ("BLOCKS", blocks)], grid }
    }

    /// A map over channels: an invocation walks the images of one channel.
    pub(super) fn channel_build(&self, file: &'static str) -> Build {
        Build::plain(file, [ceil_div(self.c, 64), 1, self.clients])
    }

    /// `flops` per word of x, `tensors` tensors of its size, `small` words per image and channel.
    pub(super) fn cost(&self, flops: f64, tensors: f64, small: f64) -> Cost {
        let channels = self.clients as f64 * self.n as f64 * self.c as f64;
        let elements = channels * self.rows as f64;
        Cost { flops: flops * elements + small * channels, bytes: 4.0 * (tensors * elements + small * channels) }
    }
}

/// Extents in words.
pub(super) struct Extents {
    pub x: usize,
    pub stats: usize,
    pub param: usize,
    pub moments: usize,
}

/// Cases of every row: single-element, odd, prime and vector shapes, several clients.
pub(super) fn cases(places: u32, place: u32, accumulate: bool) -> Vec<InstanceParams> {
    [
        (1, 1, 1, 1),
        (2, 3, 33, 5),
        (1, 4, 64, 8),
        (3, 2, 257, 13),
        (2, 5, 100, 12),
        (2, 3, 16, 101),
        (1, 2, 1024, 20),
        (4, 2, 37, 32),
    ]
    .iter()
    .enumerate()
    .map(|(i, &(clients, n, rows, c))| {
        let mut p = InstanceParams::new(clients, n, rows, c, places);
        p.place = place;
        p.param_stride += 128;
        p.moment_stride += 64;
        p.accumulate = u32::from(accumulate && i % 2 == 1);
        p
    })
    .collect()
}

/// x and stats of a case; 100 pixels: mean / deviation = 1000.
pub(super) fn x_and_stats(p: &InstanceParams) -> [Contents; 2] {
    if p.rows == 100 {
        // The two rows of the statistics share a fill, so the inverse deviation is also large here.
        [Contents::Real { scale: 1.0, shift: 1e3 }, Contents::Real { scale: 0.01, shift: 1e3 }]
    } else {
        [Contents::Real { scale: 1.0, shift: 0.5 }, Contents::Positive { scale: 1.0 }]
    }
}

/// Sums of the magnitude that the pixels give.
pub(super) fn moments_fill(p: &InstanceParams) -> Contents {
    Contents::Real { scale: (p.rows as f64).sqrt(), shift: 0.3 * p.rows as f64 }
}

/// The old contents, if they are read.
pub(super) fn before(accumulate: u32) -> Contents {
    if accumulate == 1 { Contents::NORMAL } else { Contents::Nan }
}

/// `sum` added to `old`, or replacing it.
pub(super) fn added(p: &InstanceParams, old: f64, sum: f64, bound: f64) -> Eval {
    let value = if p.accumulate == 1 { old + sum } else { sum };
    Eval::within(value, bound + 2.0 * crate::kernels::U * value.abs())
}
