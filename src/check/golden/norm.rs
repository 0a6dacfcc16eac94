//! Batch norm in training mode, forward and backward.

use super::Case;
use super::approx::{Approx, depth};
use super::lab::{Computed, Lab, channels_last, channels_second};
use crate::Result;
use crate::exec::Tensor;
use crate::kernels::{U, gamma};

/// Rows and channels of the internal layout `[N H W][C]`.
fn rows(shape: [usize; 4]) -> usize {
    shape[0] * shape[2] * shape[3]
}

/// Values of each channel of an NCHW tensor.
pub(super) fn by_channel(values: &[f64], [n, c, h, w]: [usize; 4]) -> Vec<Vec<f64>> {
    let plane = h * w;
    let image = |i: usize, k: usize| &values[(i * c + k) * plane..(i * c + k + 1) * plane];
    (0..c).map(|k| (0..n).flat_map(|i| image(i, k)).copied().collect()).collect()
}

/// The mean and biased variance of a channel, including the conditioning (mean^2 + var) / var: the kernel sums x into a
/// first mean, off by `shift`, then d = x - first and d^2, which leaves an error of shift^2.
pub(super) fn moments(x: &[f64]) -> (Approx, Approx) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let g = gamma(depth(x.len()) + 12);
    let shift = g * x.iter().map(|v| v.abs()).sum::<f64>() / n;
    let slip = g * (var.sqrt() + shift);
    let tiny = f64::from(f32::MIN_POSITIVE);
    (
        Approx::new(mean, 3.0 * U * mean.abs() + slip + tiny),
        Approx::new(var, g * (var + shift * shift) + 2.0 * shift * slip + slip * slip + tiny),
    )
}

pub(super) fn invstd(var: Approx, eps: f64) -> Approx {
    (var + Approx::rounded(eps)).inverse_sqrt()
}

/// The common start of both directions: x in the internal layout and its statistics.
struct Stats {
    shape: [usize; 4],
    x: Tensor,
    mean: Tensor,
    invstd: Tensor,
}

impl Stats {
    /// Records `batch_norm_stats`; `running` and `momentum` update the running statistics.
    fn record(case: &Case, lab: &mut Lab, running: Option<([Tensor; 2], f64)>) -> Result<Stats> {
        let (x, shape) = case.ranked::<4>("x", "NCHW")?;
        let (n, c) = (rows(shape), shape[1]);
        if n < 2 {
            return Err(
                case.malformed(format!("`in.x` has shape {shape:?}: batch statistics need 2 values per channel"))
            );
        }
        let eps = case.number("eps", 1e-30, f64::INFINITY, None)?;
        let stats =
            Stats { shape, x: lab.put(&channels_last(&x.f32(), shape))?, mean: lab.room(c)?, invstd: lab.room(c)? };
        let update = running.is_some();
        let (spare, momentum) = match running {
            Some(running) => running,
            None => ([lab.room(c)?, lab.room(c)?], 0.0),
        };
        let (state, steps) = (lab.put_words(&[0; 4])?, lab.put_words(&[1])?);
        lab.launch(
            "batch_norm_stats",
            &[
                ("clients", 1.0),
                ("rows", n as f64),
                ("c", c as f64),
                ("x_stride", (n * c) as f64),
                ("stat_stride", c as f64),
                ("running_stride", c as f64),
                ("eps", eps),
                ("momentum", momentum),
                ("update", update as u32 as f64),
            ],
            &[stats.x, stats.mean, stats.invstd, spare[0], spare[1], state, steps],
        )?;
        Ok(stats)
    }

    /// The parameters shared by the later kernels.
    fn params(&self) -> [(&'static str, f64); 6] {
        let (n, c) = (rows(self.shape) as f64, self.shape[1] as f64);
        [("clients", 1.0), ("rows", n), ("c", c), ("x_stride", n * c), ("stat_stride", c), ("param_stride", c)]
    }
}

/// batch_norm.
pub fn forward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let c = case.ranked::<4>("x", "NCHW")?.1[1];
    let momentum = case.number("momentum", 0.0, 1.0, None)?;
    let eps = case.number("eps", 1e-30, f64::INFINITY, None)?;
    let [gamma, beta, mean, var] = ["gamma", "beta", "running_mean", "running_var"].map(|name| case.shaped(name, &[c]));
    let (gamma, beta, mean, var) = (gamma?, beta?, mean?, var?);
    let running = [lab.put(&mean.f32())?, lab.put(&var.f32())?];
    let stats = Stats::record(case, lab, Some((running, momentum)))?;
    let (gt, bt) = (lab.put(&gamma.f32())?, lab.put(&beta.f32())?);
    let shape = stats.shape;
    let y = lab.room(shape.iter().product())?;
    let mut params = stats.params().to_vec();
    params.push(("slope", 1.0));
    lab.launch("batch_norm_apply", &params, &[stats.x, stats.mean, stats.invstd, gt, bt, y])?;
    lab.run()?;

    let x = &case.input("x")?.values;
    let channels: Vec<(Approx, Approx)> = by_channel(x, shape).iter().map(|x| moments(x)).collect();
    let n = rows(shape) as f64;
    let m = Approx::rounded(momentum);
    let blend = |old: f64, batch: Approx| (Approx::exact(1.0) - m) * Approx::exact(old) + m * batch;
    let unbias = Approx::exact(n) / Approx::exact(n - 1.0);
    let new_mean = channels.iter().zip(&mean.values).map(|(c, old)| blend(*old, c.0)).collect();
    let new_var = channels.iter().zip(&var.values).map(|(c, old)| blend(*old, c.1 * unbias)).collect();
    let plane = shape[2] * shape[3];
    let y_values = x.iter().enumerate().map(|(i, x)| {
        let k = i / plane % c;
        let xhat = (Approx::exact(*x) - channels[k].0) * invstd(channels[k].1, eps);
        Approx::exact(gamma.values[k]) * xhat + Approx::exact(beta.values[k])
    });
    let y_values = y_values.collect();
    Ok(vec![
        Computed::known("y", &shape, channels_second(&lab.get(y)?, shape), y_values),
        Computed::known("running_mean", &[c], lab.get(running[0])?, new_mean),
        Computed::known("running_var", &[c], lab.get(running[1])?, new_var),
    ])
}

/// batch_norm_backward.
pub fn backward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let stats = Stats::record(case, lab, None)?;
    let shape = stats.shape;
    let (c, n) = (shape[1], rows(shape));
    let (gamma, dy) = (case.shaped("gamma", &[c])?, case.shaped("dy", &shape)?);
    let gt = lab.put(&gamma.f32())?;
    let dyt = lab.put(&channels_last(&dy.f32(), shape))?;
    let (sums, dgamma, dbeta, dx) = (lab.room(2 * c)?, lab.room(c)?, lab.room(c)?, lab.room(n * c)?);
    let mut params = stats.params()[..5].to_vec();
    params.extend([("sums_stride", 2.0 * c as f64), ("grad_stride", c as f64), ("mode", 0.0)]);
    let reduce = [dyt, stats.x, stats.mean, stats.invstd, sums, dgamma, dbeta];
    lab.launch("batch_norm_backward_reduce", &params, &reduce)?;
    let mut params = stats.params().to_vec();
    params.push(("sums_stride", 2.0 * c as f64));
    lab.launch("batch_norm_backward_apply", &params, &[dyt, stats.x, stats.mean, stats.invstd, gt, sums, dx])?;
    lab.run()?;

    let eps = case.number("eps", 1e-30, f64::INFINITY, None)?;
    let (xs, dys) = (by_channel(&case.input("x")?.values, shape), by_channel(&dy.values, shape));
    let (mut dx_values, mut dgamma_values, mut dbeta_values) = (vec![Approx::exact(0.0); n * c], vec![], vec![]);
    for k in 0..c {
        let (mean, var) = moments(&xs[k]);
        let invstd = invstd(var, eps);
        let exact = Approx::exact;
        let xhat: Vec<Approx> = xs[k].iter().map(|x| (exact(*x) - mean) * invstd).collect();
        let beta = Approx::sum(dys[k].iter().map(|d| exact(*d)), depth(n));
        let scale = Approx::sum(dys[k].iter().zip(&xhat).map(|(d, x)| exact(*d) * *x), depth(n));
        let (a, b) = (beta / exact(n as f64), scale / exact(n as f64));
        let plane = shape[2] * shape[3];
        for (j, (d, x)) in dys[k].iter().zip(&xhat).enumerate() {
            let dx = exact(gamma.values[k]) * invstd * (exact(*d) - a - *x * b);
            dx_values[(j / plane * c + k) * plane + j % plane] = dx;
        }
        dgamma_values.push(scale);
        dbeta_values.push(beta);
    }
    let dx = channels_second(&lab.get(dx)?, shape);
    Ok(vec![
        Computed::known("dx", &shape, dx, dx_values),
        Computed::known("dgamma", &[c], lab.get(dgamma)?, dgamma_values),
        Computed::known("dbeta", &[c], lab.get(dbeta)?, dbeta_values),
    ])
}
