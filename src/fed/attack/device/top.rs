//! Leaving out the coordinates of largest magnitude in a reference: a selection by radix, without the host.

use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::fed::aggregate::device::send;
use crate::fed::attack::Target;
use crate::kernels::attack::mask_update::{MaskUpdate, MaskUpdateParams};
use crate::kernels::attack::rank_choose::{RankChoose, RankChooseParams};
use crate::kernels::attack::rank_digits::{RankDigits, RankDigitsParams};
use crate::kernels::attack::{BINS, DIGITS};
use crate::kernels::fed::pairs::slices;

/// u_i = 0 in the k coordinates of largest magnitude of a reference, for the malicious clients; of equal magnitudes the lower
/// coordinate counts as larger. Whole numbers are counted, so the choice is the same on every device.
#[derive(Debug)]
pub(in crate::fed::attack) struct Top {
    recording: Recording,
    /// The key of rank k as far as it is found, and the rank within.
    found: Tensor,
}

impl Top {
    /// Records the selection in `reference`, `[words]`, and the masks.
    pub fn new(engine: &mut dyn Engine, on: &Target, reference: Tensor) -> Result<Top> {
        let rows = &on.network.weights;
        let (n, slices) = (rows.words as u32, slices(rows.words as u32));
        let found = engine.alloc("key of a rank", align(3))?;
        let counts = engine.alloc("counts of digits", (slices * BINS) as usize)?;
        let (mut recording, label) = (Recording::new(), format!("largest of {}", rows.name));
        for digit in 0..DIGITS {
            let p = RankDigitsParams { n, digit };
            recording.launch(&RankDigits, &p, &[reference, found, counts], label.clone())?;
            recording.launch(&RankChoose, &RankChooseParams { slices, digit }, &[counts, found], label.clone())?;
        }
        for piece in &rows.pieces {
            let clients = piece.first..piece.first + piece.clients;
            if !on.malicious.iter().any(|client| clients.contains(client)) {
                continue;
            }
            let chosen = engine.alloc("malicious clients", align(piece.clients as usize))?;
            send(engine, chosen, clients.map(|client| f64::from(u8::from(on.malicious.contains(&client)))))?;
            let p = MaskUpdateParams { clients: piece.clients, n, stride: n };
            let base = rows.server.slice(0, rows.words);
            let operands = [piece.rows, base, reference, chosen, found];
            recording.launch(&MaskUpdate, &p, &operands, format!("malicious {}", rows.name))?;
        }
        Ok(Top { recording, found })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Leaves out the `k` largest.
    pub fn run(&self, engine: &mut dyn Engine, k: usize) -> Result<()> {
        if k == 0 {
            return Ok(());
        }
        engine.write(self.found, &[0, 0, k as u32])?;
        engine.run(&self.recording, 1)
    }
}
