//! Matrix products of contiguous row-major matrices, on one thread: callers run in parallel over images or blocks.

use crate::exec::cpu::blas::{self, Scalar};

/// A right operand: as stored, or read as its transpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// `[k][n]`.
    Plain,
    /// `[n][k]`.
    Transposed,
}

/// `a[m][k]` times `b`, `[m][n]`; the order of every sum depends on the shape only.
///
/// # Panics
/// If an operand's length does not match its shape.
pub(super) fn product<T: Scalar>([m, n, k]: [usize; 3], a: &[T], b: &[T], right: Right) -> Vec<T> {
    assert!(a.len() == m * k && b.len() == k * n, "operands of a {m} x {n} product over {k}");
    let mut out = vec![T::ZERO; m * n];
    if out.is_empty() || k == 0 {
        return out;
    }
    let b_strides = match right {
        Right::Plain => [n, 1],
        Right::Transposed => [1, k],
    };
    // SAFETY: the lengths are asserted above, so every element touched is in its slice; `out` is exclusive.
    unsafe { blas::gemm([m, n, k], (out.as_mut_ptr(), n), false, (a.as_ptr(), [k, 1]), (b.as_ptr(), b_strides)) }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_the_right_operand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 2.0, 1.0, 0.0, 3.0]);
        assert_eq!(product([2, 2, 3], &a, &b, Right::Plain), [5.0, 11.0, 14.0, 23.0]);
        assert_eq!(product([2, 2, 3], &a, &b, Right::Transposed), [7.0, 10.0, 16.0, 22.0]);
        assert_eq!(product([1, 1, 0], &[0f32; 0], &[], Right::Plain), [0.0]);
    }
}
