//! Batch statistics of every channel, and the running statistics.

use super::rows::{area, depth, locate, reduce_build, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma, strided};

crate::params! {
    /// Parameters of [`BatchNormStats`].
    pub struct BatchNormStatsParams {
        /// Clients.
        clients: u32 in Count,
        /// Rows per client: images times pixels.
        rows: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `mean` and `invstd`.
        stat_stride: u32 in Stride,
        /// Client stride of `running_mean` and `running_var`.
        running_stride: u32 in Stride,
        /// Added to the variance, above 0.
        eps: f32 in Positive(1e-8, 0.1),
        /// Weight of the batch in the running statistics, 0 to 1.
        momentum: f32 in Real(0.0, 1.0),
        /// 1: update the running statistics of active clients; 0: keep them.
        update: u32 in Range(0, 1),
    }
}

/// mean and 1 / sqrt(biased variance + eps) of every client and channel. With `update`, clients that still have a step
/// in this round (`state[0] < client_steps[client]`) update their running statistics; the running variance takes the
/// unbiased batch variance, as in PyTorch.
pub struct BatchNormStats;

const X: usize = 0;
const MEAN: usize = 1;
const INVSTD: usize = 2;
const RUNNING_MEAN: usize = 3;
const STATE: usize = 5;
const STEPS: usize = 6;

/// Moments of one channel with their bounds.
pub(super) struct Moments {
    pub mean: Eval,
    pub var: Eval,
}

/// The moments of x(0), ..., x(rows - 1). The kernels sum x into a first mean, then d = x - first and d^2:
/// `mean = first + avg(d)`, `var = avg(d^2) - avg(d)^2`. The first mean is off by `shift` <= gamma avg|x|; d is exact to
/// one rounding, so only shift^2 of the conditioning (mean^2 + var) / var remains in the variance.
pub(super) fn moments(x: impl Fn(usize) -> f64, rows: u32) -> Moments {
    let (n, g, count, rows) = (rows as f64, gamma(depth(rows) + 12), rows, rows as usize);
    let mean = (0..rows).map(&x).sum::<f64>() / n;
    let size = (0..rows).map(|r| x(r).abs()).sum::<f64>() / n;
    let var = (0..rows).map(|r| (x(r) - mean).powi(2)).sum::<f64>() / n;
    let shift = g * size;
    let slip = g * (var.sqrt() + shift); // error of avg(d)
    Moments {
        mean: Eval::within(mean, 3.0 * U * mean.abs() + slip).over(depth(count)),
        var: Eval::within(var, g * (var + shift * shift) + 2.0 * shift * slip + slip * slip).over(depth(count)),
    }
}

/// The moments of a channel of the batch.
fn channel_moments(p: &BatchNormStatsParams, inputs: &Inputs, client: usize, channel: usize) -> Moments {
    moments(|row| inputs.f(X, client * p.x_stride as usize + row * p.c as usize + channel), p.rows)
}

/// 1 / sqrt(var + eps): propagates the variance's bound, plus inverseSqrt's 2 ulp and the addition's rounding.
pub(super) fn invstd(var: Eval, eps: f32) -> Eval {
    let v = var.value + f64::from(eps);
    let value = 1.0 / v.sqrt();
    let low = (v - var.bound).max(f64::from(f32::MIN_POSITIVE));
    Eval::within(value, 1.0 / low.sqrt() - value + 6.0 * U * value)
}

impl Kernel for BatchNormStats {
    type Params = BatchNormStatsParams;
    type Operands = Arity<7>;
    const STEM: &'static str = "nn/batch_norm_stats";
    const FORMULA: &'static str =
        "mean = avg(x), invstd = 1/sqrt(avg((x-mean)^2) + eps); running = (1-m) running + m batch (var times n/(n-1))";
    const BINDINGS: &'static [Binding; 7] = &[
        Binding::read("x", "[clients][rows][c], client stride x_stride"),
        Binding::write("mean", "[clients][c], client stride stat_stride"),
        Binding::write("invstd", "[clients][c], client stride stat_stride"),
        Binding::write("running_mean", "[clients][c], client stride running_stride; in place"),
        Binding::write("running_var", "[clients][c], client stride running_stride; in place"),
        Binding::read_u32("state", "[4]: the step within the round, then words this kernel does not read"),
        Binding::read_u32("client_steps", "[clients]: steps of each client in this round"),
    ];
    fn extents(&self, p: &BatchNormStatsParams) -> Result<[usize; 7], String> {
        if !(p.eps > 0.0 && p.eps.is_finite()) {
            return Err(format!("eps {}: must be above 0", p.eps));
        }
        if !(0.0..=1.0).contains(&p.momentum) {
            return Err(format!("momentum {}: must be 0 to 1", p.momentum));
        }
        if p.update > 1 {
            return Err(format!("update {}: must be 0 or 1", p.update));
        }
        if p.update == 1 && p.rows < 2 {
            return Err(format!("running variance of {} row: needs at least 2", p.rows));
        }
        let stat = strided(p.clients, p.stat_stride, p.c)?;
        let running = strided(p.clients, p.running_stride, p.c)?;
        let x = strided(p.clients, p.x_stride, area(p.rows, p.c)?)?;
        Ok([x, stat, stat, running, running, 4, p.clients as usize])
    }
    fn build(&self, p: &BatchNormStatsParams, _class: Class) -> Build {
        reduce_build("nn/batch_norm_stats.wgsl", p.c, p.clients)
    }
    fn cost(&self, p: &BatchNormStatsParams) -> Cost {
        let (channels, running) = (p.clients as f64 * p.c as f64, if p.update == 1 { 4.0 } else { 0.0 });
        Cost { flops: 5.0 * channels * p.rows as f64, bytes: 4.0 * channels * (p.rows as f64 + 2.0 + running) }
    }
    fn at(&self, p: &BatchNormStatsParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        if slot == MEAN || slot == INVSTD {
            let (client, channel) = locate(index, p.clients, p.stat_stride, p.c)?;
            let m = channel_moments(p, inputs, client, channel);
            return Some(if slot == MEAN { m.mean } else { invstd(m.var, p.eps) });
        }
        let (client, channel) = locate(index, p.clients, p.running_stride, p.c)?;
        if p.update == 0 || inputs.u(STATE, 0) >= inputs.u(STEPS, client) {
            return None;
        }
        let m = channel_moments(p, inputs, client, channel);
        let batch = if slot == RUNNING_MEAN {
            m.mean
        } else {
            let unbias = p.rows as f64 / (p.rows as f64 - 1.0);
            Eval::within(m.var.value * unbias, m.var.bound * unbias + 8.0 * U * m.var.value * unbias)
        };
        let momentum = f64::from(p.momentum);
        let (old, new) = ((1.0 - momentum) * inputs.f(slot, index), momentum * batch.value);
        Some(Eval::within(
            old + new,
            momentum * batch.bound + gamma(4) * (old.abs() + new.abs()) + flushed(&[momentum, batch.value]),
        ))
    }
    fn cases(&self) -> Vec<BatchNormStatsParams> {
        [
            (1, 1, 1, 0),
            (1, 2, 3, 1),
            (2, 33, 5, 1),
            (3, 257, 13, 1),
            (1, 64, 8, 0),
            (2, 300, 12, 1),
            (1, 500, 7, 1),
            (4, 37, 32, 1),
            (2, 128, 65, 1),
            (1, 1024, 20, 1),
        ]
        .map(|(clients, rows, c, update)| {
            let (x_stride, stat_stride, running_stride) = (stride(rows * c, 1), stride(c, 0), stride(c, 2));
            let (eps, momentum) = (1e-5, 0.1);
            BatchNormStatsParams { clients, rows, c, x_stride, stat_stride, running_stride, eps, momentum, update }
        })
        .to_vec()
    }
    /// Rows are multiples of 100: mean / std = 1000, where `E[x^2] - E[x]^2` loses all significant bits.
    fn contents(&self, p: &BatchNormStatsParams) -> [Contents; 7] {
        let shift = if p.rows.is_multiple_of(100) { 1e3 } else { 0.5 };
        [
            Contents::Real { scale: 1.0, shift },
            Contents::Nan,
            Contents::Nan,
            Contents::NORMAL,
            Contents::Positive { scale: 1.0 },
            Contents::Words(vec![2, 7, 0, 0]),
            Contents::Words(vec![3, 2, 9, 1]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(rows: u32, update: u32) -> BatchNormStatsParams {
        BatchNormStatsParams { clients: 1, rows, c: 1, eps: 1e-5, momentum: 0.1, update, ..Default::default() }
    }

    /// A running variance from the biased batch variance, or one with an error of 1 %, is outside the bound.
    #[test]
    fn the_bound_sees_a_biased_variance() {
        for (rows, shift) in [(8u32, 0.0f32), (100, 1000.0), (400, 0.0), (900, 1000.0)] {
            let x: Vec<u32> = (0..rows).map(|i| (shift + ((i * 37 % 101) as f32 / 29.0 - 1.7)).to_bits()).collect();
            let one = [1f32.to_bits()];
            let inputs = Inputs(vec![&x, &[0], &[0], &one, &one, &[0, 0, 0, 0], &[1]]);
            let p = params(rows, 1);
            let m = channel_moments(&p, &inputs, 0, 0);
            let eval = BatchNormStats.at(&p, &inputs, 4, 0).expect("written");
            let biased = 0.9 + f64::from(p.momentum) * m.var.value;
            assert!((biased - eval.value).abs() > eval.bound, "rows {rows}: {eval:?}");
            let std = BatchNormStats.at(&p, &inputs, INVSTD, 0).expect("written");
            assert!(0.01 * std.value > std.bound, "rows {rows}: {std:?}");
        }
    }

    #[test]
    fn a_single_row_without_variance_is_refused() {
        assert!(BatchNormStats.extents(&params(1, 1)).unwrap_err().contains("1 row"));
        assert!(BatchNormStats.extents(&params(1, 0)).is_ok());
        assert!(BatchNormStats.extents(&params(4, 2)).unwrap_err().contains("update 2"));
        let eps = BatchNormStatsParams { eps: f32::NAN, ..params(4, 1) };
        assert!(BatchNormStats.extents(&eps).unwrap_err().contains("eps"));
    }

    /// A client that has finished its steps keeps its running statistics.
    #[test]
    fn finished_clients_are_not_updated() {
        let (x, one) = ([1f32.to_bits(), 2f32.to_bits()], [1f32.to_bits()]);
        let p = params(2, 1);
        let at = |step: u32, steps: u32| {
            let (state, client) = ([step, 0, 0, 0], [steps]);
            let inputs = Inputs(vec![&x, &[0], &[0], &one, &one, &state, &client]);
            BatchNormStats.at(&p, &inputs, RUNNING_MEAN, 0)
        };
        assert!(at(1, 2).is_some() && at(2, 2).is_none());
    }
}
