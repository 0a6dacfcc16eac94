//! Activations and binary cross entropy.

use super::approx::{Approx, depth};
use super::lab::{Computed, Lab};
use super::{Case, GoldenTensor};
use crate::Result;
use crate::kernels::gamma;

/// An activation, from the case's operation.
struct Function {
    kind: f64,
    slope: f64,
}

impl Function {
    fn read(case: &Case) -> Result<Function> {
        let name = case.op.trim_end_matches("_backward");
        let kind = ["relu", "leaky_relu", "tanh", "sigmoid"].iter().position(|k| *k == name);
        let kind = kind.ok_or_else(|| case.malformed("not an activation"))? as f64;
        Ok(Function { kind, slope: case.number("slope", -1e30, 1e30, Some(0.2))? })
    }

    /// Value and error of f(x).
    fn at(&self, x: f64) -> Approx {
        match self.kind as u32 {
            0 => Approx::exact(if x <= 0.0 { 0.0 } else { x }),
            1 if x > 0.0 => Approx::exact(x),
            1 => Approx::rounded(self.slope) * Approx::exact(x),
            2 => Approx::exact(x).tanh(),
            _ => Approx::exact(x).sigmoid(),
        }
    }

    /// Value and error of dy f'(x); at 0 the derivative is that of the negative side.
    fn backward_at(&self, x: f64, dy: f64) -> Approx {
        let (one, dy) = (Approx::exact(1.0), Approx::exact(dy));
        match self.kind as u32 {
            0 | 1 if x > 0.0 => dy,
            0 if x.is_nan() => dy,
            0 => Approx::exact(0.0),
            1 => Approx::rounded(self.slope) * dy,
            2 => {
                let y = self.at(x);
                dy * ((one - y) * (one + y))
            }
            _ => {
                let y = self.at(x);
                dy * (y * (one - y))
            }
        }
    }

    fn params(&self, n: usize, strides: &[&'static str]) -> Vec<(&'static str, f64)> {
        let mut params = vec![("clients", 1.0), ("n", n as f64), ("kind", self.kind), ("slope", self.slope)];
        params.extend(strides.iter().map(|name| (*name, n as f64)));
        params
    }
}

/// x of any rank, with at least one element.
fn operand<'c>(case: &'c Case, name: &str) -> Result<&'c GoldenTensor> {
    let tensor = case.input(name)?;
    if tensor.values.is_empty() {
        return Err(case.malformed(format!("`in.{name}` has shape {:?}: it is empty", tensor.shape)));
    }
    Ok(tensor)
}

/// relu, leaky_relu, tanh, sigmoid.
pub fn forward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let (f, x) = (Function::read(case)?, operand(case, "x")?);
    let n = x.values.len();
    let (xt, y) = (lab.put(&x.f32())?, lab.room(n)?);
    lab.launch("activation", &f.params(n, &["x_stride", "y_stride"]), &[xt, y])?;
    lab.run()?;
    let bounds = x.values.iter().map(|x| f.at(*x).e).collect();
    Ok(vec![Computed::each("y", &x.shape, lab.get(y)?, bounds)])
}

/// The backward operations. tanh and sigmoid differentiate from their output, which the forward kernel computes here.
pub fn backward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let (f, x) = (Function::read(case)?, operand(case, "x")?);
    let dy = case.shaped("dy", &x.shape)?;
    let n = x.values.len();
    let (xt, dyt, dx) = (lab.put(&x.f32())?, lab.put(&dy.f32())?, lab.room(n)?);
    let kept = if f.kind < 2.0 {
        xt
    } else {
        let y = lab.room(n)?;
        lab.launch("activation", &f.params(n, &["x_stride", "y_stride"]), &[xt, y])?;
        y
    };
    let strides = ["s_stride", "dy_stride", "dx_stride"];
    lab.launch("activation_backward", &f.params(n, &strides), &[kept, dyt, dx])?;
    lab.run()?;
    let bounds = x.values.iter().zip(&dy.values).map(|(x, dy)| f.backward_at(*x, *dy).e).collect();
    Ok(vec![Computed::each("dx", &x.shape, lab.get(dx)?, bounds)])
}

/// bce_with_logits: the mean loss and its gradient.
pub fn bce(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let x = operand(case, "x")?;
    let target = case.number("target", 0.0, 1.0, None)?;
    let n = x.values.len();
    let (xt, dx, loss) = (lab.put(&x.f32())?, lab.room(n)?, lab.room(1)?);
    let len = n as f64;
    let params = [
        ("clients", 1.0),
        ("n", len),
        ("x_stride", len),
        ("dx_stride", len),
        ("loss_stride", 1.0),
        ("slot", 0.0),
        ("label", target),
    ];
    lab.launch("bce_with_logits", &params, &[xt, dx, loss])?;
    lab.run()?;
    let (one, t, count) = (Approx::exact(1.0), Approx::rounded(target), Approx::exact(len));
    // |x| w + log(1 + exp(-|x|)), w = 1 - t above 0 and t below: nothing cancels.
    let terms = x.values.iter().map(|x| {
        let e = Approx::exact(-x.abs()).exp();
        let log = e.v.ln_1p();
        let linear = Approx::exact(x.abs()) * if *x > 0.0 { one - t } else { t };
        linear + Approx::new(log, e.e + gamma(14) * log)
    });
    let mean = Approx::sum(terms, depth(n)) / count;
    // Expected losses come from f64 formulas that add and subtract |x|: for a loss far below |x| they lose digits that
    // f32 has here.
    let size = x.values.iter().map(|x| x.abs()).sum::<f64>() / len;
    // q = sigmoid(-|x|): (1 - t) - q above 0, q - t below. The expected values are sigmoid(x) - t in f64, which loses a
    // q below 2^-53 that f32 still has.
    let gradient = |x: &f64| {
        let q = Approx::exact(-x.abs()).sigmoid();
        (if *x > 0.0 { (one - t) - q } else { q - t } / count).e + f64::EPSILON / len
    };
    let bounds = x.values.iter().map(gradient).collect();
    Ok(vec![
        Computed::each("loss", &[1], lab.get(loss)?, vec![mean.e + 2.0 * f64::EPSILON * size]),
        Computed::each("dx", &x.shape, lab.get(dx)?, bounds),
    ])
}
