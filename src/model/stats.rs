//! The statistics of a round that the device keeps for each client and the host reads: a row of named words.

use crate::exec::ALIGN;
use bytemuck::{Pod, Zeroable};
use std::mem::{offset_of, size_of};

/// Position of a loss in a client's row of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// BCE of D on real images, target 1; with WGAN-GP -mean D(real).
    DReal = 0,
    /// BCE of D on generated images, target 0; with WGAN-GP mean D(fake).
    DFake = 1,
    /// Non-saturating loss of G: BCE of D on generated images, target 1; with WGAN-GP -mean D(fake).
    G = 2,
    /// The gradient penalty of the last critic step.
    Penalty = 3,
}

/// Tensors of a client that are scanned for non-finite values, and the norm of its update.
pub const SCANS: usize = 11;

/// A client's row of statistics for a round. `step_advance` writes the losses after every step, `first_nonfinite` the
/// scans after the last step.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct RoundStats {
    /// Sums over the steps of the losses [`Loss::DReal`], [`Loss::DFake`] and [`Loss::G`].
    pub sum: [f32; 3],
    /// Steps taken by the client.
    pub steps: f32,
    /// The same three losses of the last step.
    pub last: [f32; 3],
    /// Sum over the steps of [`Loss::Penalty`].
    pub penalty: f32,
    free: [u32; 8],
    /// Position of the first non-finite element of each scanned tensor, encoded as by `first_nonfinite`; 0 for none.
    pub scans: [u32; SCANS],
    padding: [u32; ALIGN - 16 - SCANS],
}

impl RoundStats {
    /// Words of a row.
    pub const WORDS: usize = size_of::<Self>() / 4;
    /// First word of [`RoundStats::scans`].
    pub const SCANS_AT: usize = offset_of!(RoundStats, scans) / 4;

    /// The rows in `words`, of [`RoundStats::WORDS`] words each.
    ///
    /// # Panics
    /// If `words` is not a whole number of rows.
    pub fn rows(words: &[u32]) -> &[RoundStats] {
        bytemuck::cast_slice(words)
    }

    /// The mean of a sum over the steps; 0 without steps.
    pub fn mean(&self, sum: f32) -> f64 {
        if self.steps > 0.0 { f64::from(sum) / f64::from(self.steps) } else { 0.0 }
    }
}

// A row is a client stride.
const _: () = assert!(RoundStats::WORDS == ALIGN);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Engine, Purpose, Recording, ReferenceEngine};
    use crate::kernels::util::first_nonfinite::{FirstNonfinite, FirstNonfiniteParams, first};
    use crate::kernels::util::step_advance::{StepAdvance, StepAdvanceParams};

    /// The kernels write the fields that the names say.
    #[test]
    fn the_kernels_fill_the_named_fields() {
        let mut engine = ReferenceEngine::new();
        let mut tensor = |words: &[u32]| {
            let tensor = engine.alloc("operand", words.len()).unwrap();
            engine.write(tensor, words).unwrap();
            tensor
        };
        let mut losses = vec![0f32; ALIGN];
        for (loss, value) in [(Loss::DReal, 0.5), (Loss::DFake, 0.25), (Loss::G, 4.0), (Loss::Penalty, 10.0)] {
            losses[loss as usize] = value;
        }
        let losses = tensor(bytemuck::cast_slice(&losses));
        let (steps, stats, state) = (tensor(&[2]), tensor(&[0; ALIGN]), tensor(&[0; 4]));
        let x = tensor(&[0, 0, f32::NAN.to_bits()]);
        let mut rec = Recording::new();
        let p = StepAdvanceParams { clients: 1, loss_stride: ALIGN as u32, stat_stride: RoundStats::WORDS as u32 };
        for _ in 0..3 {
            rec.launch(&StepAdvance, &p, &[losses, steps, stats, state], "step").unwrap();
        }
        let y_at = RoundStats::SCANS_AT as u32 + 4;
        let p = FirstNonfiniteParams { clients: 1, n: 3, x_stride: 64, y_stride: RoundStats::WORDS as u32, y_at };
        rec.launch(&FirstNonfinite, &p, &[x, stats], "scan").unwrap();
        engine.run(&rec, 1).unwrap();
        let words = engine.read(stats, Purpose::Check).unwrap();
        let [row] = RoundStats::rows(&words) else { panic!("one client") };
        assert_eq!((row.steps, row.sum, row.last), (2.0, [1.0, 0.5, 8.0], [0.5, 0.25, 4.0]), "active for two steps");
        assert_eq!((row.penalty, row.mean(row.sum[2])), (20.0, 4.0));
        assert_eq!((first(row.scans[4]), first(row.scans[3])), (Some(2), None));
        assert_eq!(RoundStats::zeroed().mean(0.0), 0.0);
    }
}
