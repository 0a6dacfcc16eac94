//! The first NaN or infinity in every client's row.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, linear_grid, split, strided};

crate::params! {
    /// Parameters of [`FirstNonfinite`].
    pub struct FirstNonfiniteParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// The element of a client's row of `y` that receives the result.
        y_at: u32 in Range(0, 70),
    }
}

/// `y[c, y_at] = max(y[c, y_at], 2^32 - 1 - i)` with the smallest i at which `x[c, i]` is NaN or infinite; unchanged without
/// one. Other elements of `y` keep their values. [`first`] decodes the result.
pub struct FirstNonfinite;

/// The index encoded in a word of `y` that was 0 before; `None` if all elements are finite.
pub fn first(word: u32) -> Option<usize> {
    (word != 0).then_some(!word as usize)
}

impl Kernel for FirstNonfinite {
    type Params = FirstNonfiniteParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "util/first_nonfinite";
    const FORMULA: &'static str = "y[c, y_at] = max(y[c, y_at], 2^32 - 1 - min {i: x[c, i] is NaN or infinite})";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read_u32("x", "[clients][n] floats as words, client stride x_stride"),
        Binding::write_u32("y", "[clients][y_at + 1], client stride y_stride"),
    ];
    fn extents(&self, p: &FirstNonfiniteParams) -> Result<[usize; 2], String> {
        let y = strided(p.clients, p.y_stride, p.y_at.saturating_add(1))?;
        Ok([strided(p.clients, p.x_stride, p.n)?, y])
    }
    fn build(&self, p: &FirstNonfiniteParams, _class: Class) -> Build {
        Build::plain("util/first_nonfinite.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &FirstNonfiniteParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: n, bytes: 4.0 * n + 4.0 * p.clients as f64 }
    }
    fn at(&self, p: &FirstNonfiniteParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        if i != p.y_at as usize {
            return None;
        }
        let row = c * p.x_stride as usize;
        let fault = (0..p.n).find(|j| !inputs.f(0, row + *j as usize).is_finite());
        Some(Eval::exact(f64::from(inputs.u(1, index).max(fault.map_or(0, |j| u32::MAX - j)))))
    }
    fn cases(&self) -> Vec<FirstNonfiniteParams> {
        let p = FirstNonfiniteParams { clients: 1, n: 1, x_stride: 64, y_stride: 64, y_at: 0 };
        vec![
            p,
            FirstNonfiniteParams { clients: 5, n: 10_007, x_stride: 10_048, y_at: 2, ..p },
            FirstNonfiniteParams { clients: 3, n: 255, x_stride: 256, y_stride: 128, y_at: HELD },
            // More elements than the grid's invocations, with the fault after them: a second iteration of the loop.
            FirstNonfiniteParams { n: 4096 * 256 + 300, ..p },
        ]
    }
    fn contents(&self, p: &FirstNonfiniteParams) -> [Contents; 2] {
        [Contents::Words(planted(p)), Contents::Words(held(p))]
    }
}

/// Rows of extreme finite values, with faults by client: in the last element, none, two, in the first. All gaps are
/// NaN.
fn planted(p: &FirstNonfiniteParams) -> Vec<u32> {
    const FINITE: [u32; 7] = [0x7f7f_ffff, 0xff7f_ffff, 1, 0x807f_ffff, 0x8000_0000, 0, 0x3f80_0000];
    let n = p.n as usize;
    let stride = if p.clients > 1 { p.x_stride as usize } else { n };
    let mut rows = vec![f32::NAN.to_bits(); p.clients as usize * stride];
    for (c, row) in rows.chunks_exact_mut(stride).enumerate() {
        for (i, word) in row[..n].iter_mut().enumerate() {
            *word = FINITE[i % FINITE.len()];
        }
        match c % 4 {
            0 => row[n - 1] = 0x7f80_0000,
            1 => {}
            2 => [row[n / 2], row[n - 1]] = [0xff80_0000, 0x7f80_0001],
            _ => row[0] = 0xffff_ffff,
        }
    }
    rows
}

/// The position in a case's row of `y` that is non-zero before the launch.
const HELD: u32 = 3;

/// The old `y`: zeros, except at [`HELD`], where the first client has a lower index, the second a higher one, and the
/// third none.
fn held(p: &FirstNonfiniteParams) -> Vec<u32> {
    let mut row = vec![0; p.clients.max(2) as usize * p.y_stride as usize];
    if p.y_at == HELD {
        row[HELD as usize] = u32::MAX - 127;
        row[(p.y_stride + HELD) as usize] = 5;
    }
    row
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_indices_from_the_top() {
        assert_eq!([0, u32::MAX, u32::MAX - 7].map(super::first), [None, Some(0), Some(7)]);
    }
}
