//! Adds a step's losses to the statistics and advances the step counter.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, gamma, split, strided};

crate::params! {
    /// Parameters of [`StepAdvance`].
    pub struct StepAdvanceParams {
        /// Clients.
        clients: u32 in Count,
        /// Client stride of `losses`.
        loss_stride: u32 in Stride,
        /// Client stride of `stats`.
        stat_stride: u32 in Stride,
    }
}

/// For every active client (`state[0] < client_steps[c]`) adds the step's three losses and its penalty to `stats` and
/// counts the step; then `state[0]` += 1 (step in the round) and `state[2]` += 1 (total steps).
pub struct StepAdvance;

impl Kernel for StepAdvance {
    type Params = StepAdvanceParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "util/step_advance";
    const FORMULA: &'static str = "stats += losses of active clients; step += 1";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("losses", "[clients][>= 4], client stride loss_stride: three losses, gradient penalty"),
        Binding::read_u32("client_steps", "[clients]: active steps in the round"),
        Binding::write(
            "stats",
            "[clients][8], client stride stat_stride: 3 sums, number of steps, 3 last losses, sum of penalties",
        ),
        Binding::write_u32("state", "[4]: step in the round, round, total steps, unused"),
    ];
    fn extents(&self, p: &StepAdvanceParams) -> Result<[usize; 4], String> {
        Ok([strided(p.clients, p.loss_stride, 4)?, p.clients as usize, strided(p.clients, p.stat_stride, 8)?, 4])
    }
    fn build(&self, _: &StepAdvanceParams, _class: Class) -> Build {
        Build::plain("util/step_advance.wgsl", [1, 1, 1])
    }
    fn cost(&self, p: &StepAdvanceParams) -> Cost {
        Cost { flops: 5.0 * p.clients as f64, bytes: 76.0 * p.clients as f64 }
    }
    fn at(&self, p: &StepAdvanceParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        if slot == 3 {
            let advance = index == 0 || index == 2;
            return advance.then(|| Eval::exact(inputs.u(3, index).wrapping_add(1) as f64));
        }
        let (c, i) = split(index, p.clients, p.stat_stride);
        if inputs.u(3, 0) >= inputs.u(1, c) {
            return None;
        }
        let loss = |k: usize| inputs.f(0, c * p.loss_stride as usize + k);
        let added = match i {
            0..3 => loss(i),
            3 => 1.0,
            4..7 => return Some(Eval::exact(loss(i - 4))),
            7 => loss(3),
            _ => return None,
        };
        let before = inputs.f(2, index);
        Some(Eval::within(before + added, gamma(1) * (before.abs() + added.abs())))
    }
    fn cases(&self) -> Vec<StepAdvanceParams> {
        [(1, 64, 64), (5, 64, 128), (131, 128, 64)]
            .map(|(clients, loss_stride, stat_stride)| StepAdvanceParams { clients, loss_stride, stat_stride })
            .to_vec()
    }
    fn contents(&self, _: &StepAdvanceParams) -> [Contents; 4] {
        let state = Contents::Words(vec![3, 1, 20, 0]);
        [Contents::NORMAL, Contents::Words(vec![4, 3, 7, 0, 5]), Contents::NORMAL, state]
    }
    fn exact_on_integers(&self, _: &StepAdvanceParams) -> bool {
        true
    }
}
