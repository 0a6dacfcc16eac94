//! Weights of a 4 x 4 convolution as Winograd's form multiplies them.

use crate::exec::cpu::lib::panel::WIDTH;
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::lib::winograd::{BackwardWeights, ForwardWeights, Shared};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::winograd::{plain, transformed};
use crate::kernels::nn::winograd_weights::{WinogradWeights, WinogradWeightsParams};
use pulp::Arch;
use rayon::prelude::*;

impl Twin for WinogradWeights {
    fn run(p: &WinogradWeightsParams, args: &Args) {
        let (ci, co, w) = (p.ci as usize, p.co as usize, args.f(0));
        let arch = Arch::new();
        let rows = args.rows_mut(1, p.clients, p.y_stride, transformed(p.ci, p.co));
        rows.into_par_iter().enumerate().for_each(|(client, y)| {
            let w = client_of(w, client, p.w_stride, plain(p.ci, p.co) as usize);
            let to = &Shared::new(y);
            if p.transposed == 1 {
                (0..4 * ci / WIDTH)
                    .into_par_iter()
                    .for_each(|panel| arch.dispatch(BackwardWeights { ci, co, w, panel, to }));
            } else {
                (0..co / WIDTH)
                    .into_par_iter()
                    .for_each(|panel| arch.dispatch(ForwardWeights { ci, co, w, panel, to }));
            }
        });
    }
}
