//! Adds the losses of active clients to the statistics, then advances the step.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::util::step_advance::{StepAdvance, StepAdvanceParams};

impl Twin for StepAdvance {
    fn run(p: &StepAdvanceParams, args: &Args) {
        let (losses, client_steps) = (args.f(0), args.u(1));
        let state = args.rows_mut_u32(3, 1, 0, 4).remove(0);
        for (c, stats) in args.rows_mut(2, p.clients, p.stat_stride, 8).into_iter().enumerate() {
            if state[0] < client_steps[c] {
                for (k, loss) in losses[c * p.loss_stride as usize..][..3].iter().enumerate() {
                    stats[k] += loss;
                    stats[4 + k] = *loss;
                }
                stats[3] += 1.0;
                stats[7] += losses[c * p.loss_stride as usize + 3];
            }
        }
        state[0] = state[0].wrapping_add(1);
        state[2] = state[2].wrapping_add(1);
    }
}
