//! Matrix products through the crates behind `gemm`, on the calling thread, for the two types in use.

use gemm_common::Parallelism;

/// A type that has a matrix product.
pub(crate) trait Scalar: Copy + 'static {
    /// 0.
    const ZERO: Self;

    /// `out = [out +] left right` of column-major matrices `[m][n]`, `[m][k]`, `[k][n]` with strides `[row, column]`.
    ///
    /// # Safety
    /// Every element reachable through shapes and strides must be readable memory and, for `out`, be written by nobody
    /// else.
    unsafe fn multiply(shape: [usize; 3], out: Out<Self>, add: bool, left: Operand<Self>, right: Operand<Self>);
}

/// The destination of a product and its strides `[row, column]`.
pub(crate) type Out<T> = (*mut T, [usize; 2]);

/// A factor and its strides `[row, column]`.
pub(crate) type Operand<T> = (*const T, [usize; 2]);

macro_rules! scalar {
    ($type:ident, $gemm:path) => {
        impl Scalar for $type {
            const ZERO: Self = 0.0;

            unsafe fn multiply(
                [m, n, k]: [usize; 3],
                (out, [rs, cs]): Out<Self>,
                add: bool,
                (left, [left_rs, left_cs]): Operand<Self>,
                (right, [right_rs, right_cs]): Operand<Self>,
            ) {
                let s = |stride: usize| stride as isize;
                // out = 1 out + 1 left right; no operand is conjugated.
                unsafe {
                    $gemm()(
                        m,
                        n,
                        k,
                        out,
                        s(cs),
                        s(rs),
                        add,
                        left,
                        s(left_cs),
                        s(left_rs),
                        right,
                        s(right_cs),
                        s(right_rs),
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        Parallelism::None,
                    );
                }
            }
        }
    };
}
scalar!(f32, gemm_f32::gemm::f32::get_gemm_fn);
scalar!(f64, gemm_f64::gemm::f64::get_gemm_fn);

/// `out = [out +] a b` for matrices `[m][n]`, `[m][k]`, `[k][n]` with strides `[row, column]`. The order of every sum
/// depends on the shape only. Rows of `out` are `rs` elements apart.
///
/// # Safety
/// As [`Scalar::multiply`].
pub(crate) unsafe fn gemm<T: Scalar>(
    [m, n, k]: [usize; 3],
    (out, rs): (*mut T, usize),
    add: bool,
    a: Operand<T>,
    b: Operand<T>,
) {
    // The micro-kernels expect a column-major output, so a row-major one is computed as its transpose.
    if rs > 1 {
        let turned = |(data, [rs, cs]): Operand<T>| (data, [cs, rs]);
        unsafe { T::multiply([n, m, k], (out, [1, rs]), add, turned(b), turned(a)) }
    } else {
        unsafe { T::multiply([m, n, k], (out, [rs, 1]), add, a, b) }
    }
}
