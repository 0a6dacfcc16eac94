//! `w[c, i] = base[i]` for chosen clients, where the key of `reference[i]` is at most the one found.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::mask_update::{MaskUpdate, MaskUpdateParams};
use rayon::prelude::*;

impl Twin for MaskUpdate {
    fn run(p: &MaskUpdateParams, args: &Args) {
        let (base, reference, chosen, found) = (args.f(1), args.u(2), args.f(3), args.u(4));
        let rows = args.rows_mut(0, p.clients, p.stride, p.n).into_par_iter().zip(chosen);
        rows.filter(|(_, chosen)| **chosen != 0.0).for_each(|(w, _)| {
            for (i, (w, (base, bits))) in w.iter_mut().zip(base.iter().zip(reference)).enumerate() {
                let magnitude = 0x7fff_ffff - (bits & 0x7fff_ffff);
                if (magnitude, i as u32) <= (found[0], found[1]) {
                    *w = *base;
                }
            }
        });
    }
}
