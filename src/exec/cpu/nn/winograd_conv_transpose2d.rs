//! large = small conv-transposed weights, in Winograd's form.

use crate::exec::cpu::gemm::with_patches;
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::lib::winograd::{Backward, Tiles};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::winograd::WinogradParams;
use crate::kernels::nn::winograd_conv_transpose2d::WinogradConvTranspose2d;
use pulp::Arch;
use rayon::prelude::*;

impl Twin for WinogradConvTranspose2d {
    fn run(p: &WinogradParams, args: &Args) {
        let (g, small, v) = (Tiles::new(p), args.f(0), args.f(1));
        let (arch, columns) = (Arch::new(), Backward::columns(&g));
        let rows = g.task_rows(columns);
        args.rows_mut(2, p.clients, p.large_stride, p.large())
            .into_par_iter()
            .enumerate()
            .flat_map(|(c, row)| row.par_chunks_mut(rows * g.large_row()).enumerate().map(move |(i, x)| (c, i, x)))
            .for_each(|(c, i, x)| {
                let small = client_of(small, c, p.small_stride, p.small() as usize);
                let v = client_of(v, c, p.weight_stride, g.transformed());
                with_patches(g.scratch(x.len() / g.large_row(), columns), |scratch| {
                    arch.dispatch(Backward { g, small, v, first: i * rows, scratch, x });
                });
            });
    }
}
