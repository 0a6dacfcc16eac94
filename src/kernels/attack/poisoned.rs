//! The marks of poisoned images, shared by the attacks on images.

use crate::kernels::{Binding, Contents, Inputs};

/// The order table of the step's batch.
pub(super) const ORDER: Binding =
    Binding::read_u32("order", "[clients][steps * batch], client stride order_stride: bit 31 marks poisoned images");

/// The counters of the step.
pub(super) const STATE: Binding = Binding::read_u32("state", "[4]: step in the round, round, total steps, unused");

/// The order table of a launch.
pub(super) struct Marks {
    /// Slot of `order`; that of `state` follows it.
    pub slot: usize,
    /// Client stride of `order`.
    pub stride: u32,
    /// Images of each client.
    pub batch: u32,
}

impl Marks {
    /// Whether `image` of `client` is poisoned; false beyond the batch.
    pub fn poisoned(&self, inputs: &Inputs, client: usize, image: usize) -> bool {
        let entry =
            || client * self.stride as usize + inputs.u(self.slot + 1, 0) as usize * self.batch as usize + image;
        image < self.batch as usize && inputs.u(self.slot, entry()) >> 31 == 1
    }
}

/// `order` and `state` of a case: seven entries, so that clients and steps see different marks.
pub(super) fn marks() -> [Contents; 2] {
    let order = [1, 0, 1, 1, 0, 1, 0].map(|bit: u32| bit << 31 | 5);
    [Contents::Words(order.to_vec()), Contents::Words(vec![2, 0, 9, 0])]
}

/// Rejects ends of a range that are out of order or not finite.
///
/// # Errors
/// Names both.
pub(super) fn range(low: f32, high: f32) -> Result<(), String> {
    match low <= high && low.is_finite() && high.is_finite() {
        true => Ok(()),
        false => Err(format!("low {low}, high {high}: both must be finite, low at most high")),
    }
}

/// `v`, computed with this error bound, clipped to low..=high, with the bound of the result; NaN stays NaN. Clipping enlarges no error,
/// and removes it where `v` is beyond the range by more than that, or infinite.
pub(super) fn clip(v: f64, bound: f64, low: f32, high: f32) -> (f64, f64) {
    let (low, high) = (f64::from(low), f64::from(high));
    if v.is_nan() {
        return (v, bound);
    }
    let beyond = v.is_infinite() || v - bound >= high || v + bound <= low;
    (v.max(low).min(high), if beyond { 0.0 } else { bound })
}
