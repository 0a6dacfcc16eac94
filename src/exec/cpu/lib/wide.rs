//! The widest vector instructions of the machine.

use pulp::{Arch, WithSimd};

/// Runs `work` compiled for the machine's vector instructions; it gets whether a fused multiply-add is one of them. Functions that it
/// calls must be inlined.
#[inline]
pub(in crate::exec::cpu) fn widest<R, F: FnOnce(bool) -> R>(work: F) -> R {
    struct Work<F>(F, bool);
    impl<R, F: FnOnce(bool) -> R> WithSimd for Work<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            (self.0)(self.1)
        }
    }
    let arch = Arch::new();
    let fused = !matches!(arch, Arch::Scalar);
    arch.dispatch(Work(work, fused))
}
