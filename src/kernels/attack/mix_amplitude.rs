//! Amplitudes of low frequencies that move towards those of a trigger.

use super::poisoned::{Marks, ORDER, STATE, marks};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, linear_grid, product, split,
    strided,
};

crate::params! {
    /// Parameters of [`MixAmplitude`].
    pub struct MixAmplitudeParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of each client.
        batch: u32 in Count,
        /// Frequencies k >= 0 down the rows.
        rows: u32 in Count,
        /// Frequencies l >= 0 along the columns.
        columns: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `order`.
        order_stride: u32 in StrideFrom(|p| p.batch.saturating_mul(3)),
        /// Client stride of `x`.
        x_stride: u32 in Stride,
    }
}

/// The coefficients of an image at (k, l) and (-k, l) are F = (cc - ss) - i (sc + cs) and (cc + ss) - i (cs - sc), where cc, cs, sc,
/// ss are its products with cos and sin of k (rows) and l (columns). Each changes by D = f (A - |F|) F / |F|, with the trigger's
/// amplitude A and the factor f of (k, l); the phase of 0 is 0. The products are replaced by the coefficients of the change: of
/// cos cos Re(D+ + D-), of sin sin Re(D- - D+), of sin cos -Im(D+ - D-), of cos sin -Im(D+ + D-).
pub struct MixAmplitude;

impl Kernel for MixAmplitude {
    type Params = MixAmplitudeParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "attack/mix_amplitude";
    const FORMULA: &'static str =
        "x = the products of f (A - |F|) F / |F| at frequencies (k, l) and (-k, l), F from the products x";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::write(
            "x",
            "[clients][batch][2 rows][2 columns][c], client stride x_stride: products with cos and sin, in turn",
        ),
        Binding::read("amplitude", "[rows][columns][2][c]: the trigger's at (k, l) and (-k, l)"),
        Binding::read("factors", "[rows][columns]"),
        ORDER,
        STATE,
    ];
    fn extents(&self, p: &MixAmplitudeParams) -> Result<[usize; 5], String> {
        let batch = product("batch", &[p.batch, 4, p.rows, p.columns, p.c])?;
        Ok([
            strided(p.clients, p.x_stride, batch)?,
            product("amplitudes", &[2, p.rows, p.columns, p.c])? as usize,
            (p.rows * p.columns) as usize,
            // The number of steps is not a parameter: a client's row is its whole stride.
            strided(p.clients, p.order_stride, p.order_stride.max(p.batch))?,
            4,
        ])
    }
    fn build(&self, p: &MixAmplitudeParams, _class: Class) -> Build {
        Build::plain("attack/mix_amplitude.wgsl", linear_grid(p.batch * p.rows * p.columns * p.c, 256, p.clients))
    }
    fn cost(&self, p: &MixAmplitudeParams) -> Cost {
        let pairs = p.rows as f64 * p.columns as f64;
        let n = p.clients as f64 * p.batch as f64 * pairs * p.c as f64;
        Cost { flops: 26.0 * n, bytes: 32.0 * n + 8.0 * pairs * p.c as f64 + 4.0 * pairs }
    }
    fn at(&self, p: &MixAmplitudeParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.x_stride);
        let [rows, columns, c] = [p.rows, p.columns, p.c].map(|side| side as usize);
        let marks = Marks { slot: 3, stride: p.order_stride, batch: p.batch };
        if !marks.poisoned(inputs, client, i / (4 * rows * columns * c)) {
            return None;
        }
        let (channel, column, row) = (i % c, i / c % (2 * columns), i / (2 * columns * c));
        let (sine_row, sine_column) = (row % 2, column % 2);
        let first = index - (sine_row * 2 * columns + sine_column) * c;
        let [cc, cs, sc, ss] = [0, 1, 2 * columns, 2 * columns + 1].map(|at| inputs.f(0, first + at * c));
        let pair = row / 2 % rows * columns + column / 2;
        let goal = |sign: usize| inputs.f(1, (2 * pair + sign) * c + channel);
        let factor = inputs.f(2, pair);
        let plus = change([cc - ss, sc + cs], [cc, ss, sc, cs], goal(0), factor);
        let minus = change([cc + ss, cs - sc], [cc, ss, sc, cs], goal(1), factor);
        let (part, sign) = match (sine_row, sine_column) {
            (0, 0) => (0, 1.0),
            (1, 1) => (0, -1.0),
            (1, 0) => (1, 1.0),
            _ => (1, 1.0),
        };
        // sin sin and sin cos take the difference of the two coefficients, the others their sum.
        let other = if sine_row == 1 { -1.0 } else { 1.0 };
        let (value, error) = (sign * (plus.0[part] + other * minus.0[part]), plus.1[part] + minus.1[part]);
        Some(Eval::within(value, error + U * (value.abs() + error)).over(8))
    }
    fn cases(&self) -> Vec<MixAmplitudeParams> {
        let p = MixAmplitudeParams { clients: 2, batch: 4, rows: 3, columns: 2, c: 3, ..Default::default() };
        let p = MixAmplitudeParams { order_stride: 64, x_stride: 320, ..p };
        vec![
            p,
            MixAmplitudeParams { clients: 1, batch: 1, rows: 1, columns: 1, c: 1, ..p },
            MixAmplitudeParams { clients: 3, rows: 2, columns: 5, c: 1, x_stride: 192, ..p },
        ]
    }
    fn contents(&self, _: &MixAmplitudeParams) -> [Contents; 5] {
        let [order, state] = marks();
        [Contents::NORMAL, Contents::Positive { scale: 1.0 }, Contents::Positive { scale: 0.5 }, order, state]
    }
}

/// Below this the squares of a coefficient's parts lose digits or vanish in f32.
const SMALL: f64 = 1.0 / (1u64 << 60) as f64;

/// f (goal - |v|) v / |v| in real and imaginary part, and the errors of an f32 evaluation; `terms` are the numbers that v was
/// added from.
fn change(v: [f64; 2], terms: [f64; 4], goal: f64, factor: f64) -> ([f64; 2], [f64; 2]) {
    let size = (v[0] * v[0] + v[1] * v[1]).sqrt();
    let grown = if size == 0.0 { [goal, 0.0] } else { v.map(|part| (goal - size) * (part / size)) };
    // A part of v: one rounding, and terms that a device flushes.
    let lost = 2.0 * terms.len() as f64 * flushed(&[1.0]);
    let part = U * size + lost;
    // sqrt has an error of 4 ulp or less at half the relative error of the sum of squares, and division 2.5 ulp.
    let length = 10.0 * U * size + 2.0 * part;
    // Below `SMALL` the direction itself may be lost.
    let turned = if size <= SMALL.max(4.0 * lost) { 2.0 } else { (2.0 * part + length) / size };
    let reach = factor * (goal - size).abs();
    // The difference, the quotient, two products.
    let error = reach * (turned + 12.0 * U) + factor * (length + U * goal) * (1.0 + turned);
    let error = error + flushed(&[factor, goal, 1.0]) + flushed(&[factor, size, 1.0]);
    (grown.map(|part| factor * part), [error; 2])
}
