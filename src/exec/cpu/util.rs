//! Moving words.

use super::Args;
use crate::kernels::Params;
use crate::kernels::util::fill::FillParams;

/// y = value.
pub fn fill(words: &[u32], args: &Args) {
    let p = FillParams::from_words(words);
    for row in args.rows_mut(0, p.clients, p.y_stride, p.n) {
        row.fill(p.value);
    }
}
