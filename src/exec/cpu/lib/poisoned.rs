//! The images that a malicious client poisons.

use super::images::images;

/// The order table of a launch: bit 31 of an image's entry marks it as poisoned.
pub(in crate::exec::cpu) struct Marks<'a> {
    order: &'a [u32],
    stride: usize,
    first: usize,
}

impl<'a> Marks<'a> {
    /// The marks of step `state[0]`'s batch.
    pub fn new(order: &'a [u32], stride: u32, state: &[u32], batch: u32) -> Self {
        Marks { order, stride: stride as usize, first: (state[0] * batch) as usize }
    }

    /// Whether `image` of `client` is poisoned.
    pub fn has(&self, client: usize, image: usize) -> bool {
        self.order[client * self.stride + self.first + image] >> 31 == 1
    }

    /// Runs `f(client, image, slice)` over every poisoned image's `len` words of a read-write operand.
    pub fn images(&self, rows: Vec<&mut [f32]>, len: usize, f: impl Fn(usize, usize, &mut [f32]) + Sync) {
        images(rows, len, |client, image, words| {
            if self.has(client, image) {
                f(client, image, words);
            }
        });
    }
}

/// x = (1 - a) x + a t; the trigger bit for bit for a = 1.
pub(in crate::exec::cpu) fn paste(x: &mut [f32], t: &[f32], opacity: f32) {
    if opacity == 1.0 {
        x.copy_from_slice(t);
    } else {
        x.iter_mut().zip(t).for_each(|(x, t)| *x = (1.0 - opacity) * *x + opacity * t);
    }
}
