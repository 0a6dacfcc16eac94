//! small = large conv weights, in Winograd's form.

use crate::exec::cpu::gemm::with_patches;
use crate::exec::cpu::lib::sums::client_of;
use crate::exec::cpu::lib::winograd::{Forward, Tiles};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::winograd::WinogradParams;
use crate::kernels::nn::winograd_conv2d::WinogradConv2d;
use pulp::Arch;
use rayon::prelude::*;

impl Twin for WinogradConv2d {
    fn run(p: &WinogradParams, args: &Args) {
        let (g, large, v) = (Tiles::new(p), args.f(0), args.f(1));
        let (arch, columns) = (Arch::new(), Forward::columns(&g));
        let rows = g.task_rows(columns);
        args.rows_mut(2, p.clients, p.small_stride, p.small())
            .into_par_iter()
            .enumerate()
            .flat_map(|(c, row)| row.par_chunks_mut(rows * g.small_row()).enumerate().map(move |(i, y)| (c, i, y)))
            .for_each(|(c, i, y)| {
                let large = client_of(large, c, p.large_stride, p.large() as usize);
                let v = client_of(v, c, p.weight_stride, g.transformed());
                with_patches(g.scratch(y.len() / g.small_row(), columns), |scratch| {
                    arch.dispatch(Forward { g, large, v, first: i * rows, scratch, y });
                });
            });
    }
}
