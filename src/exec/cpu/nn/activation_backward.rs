//! dx = dy f'(x).

use crate::exec::cpu::lib::pieces::pieces;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::activation::kind;
use crate::kernels::nn::activation_backward::{ActivationBackward, ActivationBackwardParams};

impl Twin for ActivationBackward {
    fn run(p: &ActivationBackwardParams, args: &Args) {
        let (s, dy, slope) = (args.f(0), args.f(1), p.slope);
        pieces(args.rows_mut(2, p.clients, p.dx_stride, p.n), 1, |client, start, dx| {
            let s = &s[client * p.s_stride as usize + start..][..dx.len()];
            let dy = &dy[client * p.dy_stride as usize + start..][..dx.len()];
            let triples = dx.iter_mut().zip(s.iter().zip(dy));
            match p.kind {
                // Loaded before the choice: a conditional load is not vectorised.
                kind::RELU => triples.for_each(|(dx, (s, dy))| {
                    let dy = *dy;
                    *dx = if *s <= 0.0 { 0.0 } else { dy };
                }),
                kind::LEAKY_RELU => triples.for_each(|(dx, (s, dy))| *dx = if *s > 0.0 { *dy } else { slope * dy }),
                kind::TANH => triples.for_each(|(dx, (s, dy))| *dx = dy * ((1.0 - s) * (1.0 + s))),
                _ => triples.for_each(|(dx, (s, dy))| *dx = dy * (s * (1.0 - s))),
            }
        });
    }
}
