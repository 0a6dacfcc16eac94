//! w = reference + scale (w - reference) where the client's scale is not 1.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::scale_update::{ScaleUpdate, ScaleUpdateParams};
use rayon::prelude::*;

impl Twin for ScaleUpdate {
    fn run(p: &ScaleUpdateParams, args: &Args) {
        let (reference, scales) = (args.f(1), args.f(2));
        args.rows_mut(0, p.clients, p.stride, p.n)
            .into_par_iter()
            .zip(scales)
            .filter(|(_, s)| **s != 1.0)
            .for_each(|(w, scale)| w.iter_mut().zip(reference).for_each(|(w, from)| *w = from + scale * (*w - from)));
    }
}
