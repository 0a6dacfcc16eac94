//! Matrix products of contiguous row-major matrices, on one thread: callers are parallel over images or blocks.

/// The scalars that are multiplied here.
pub(super) trait Scalar: Copy + 'static {
    /// Nought and one.
    const UNITS: [Self; 2];
}

impl Scalar for f32 {
    const UNITS: [f32; 2] = [0.0, 1.0];
}

impl Scalar for f64 {
    const UNITS: [f64; 2] = [0.0, 1.0];
}

/// A right operand: as it lies, or read as its transpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// [k][n].
    Plain,
    /// [n][k].
    Transposed,
}

/// `a[m][k]` times `b`, [m][n]; the order of every sum depends on the shape only.
///
/// # Panics
/// If an operand has another length than its shape.
pub(super) fn product<T: Scalar>([m, n, k]: [usize; 3], a: &[T], b: &[T], right: Right) -> Vec<T> {
    assert!(a.len() == m * k && b.len() == k * n, "operands of a {m} x {n} product over {k}");
    let [zero, one] = T::UNITS;
    let mut out = vec![zero; m * n];
    if out.is_empty() || k == 0 {
        return out;
    }
    let (b_rows, b_cols) = match right {
        Right::Plain => (n as isize, 1),
        Right::Transposed => (1, k as isize),
    };
    // SAFETY: the lengths are asserted above, so every element touched lies in its slice; `out` is exclusive.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            b_cols,
            b_rows,
            zero,
            one,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
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
