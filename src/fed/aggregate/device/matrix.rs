//! All clients' rows as matrices that one launch can bind.

use crate::Result;
use crate::exec::{ALIGN, Engine, Recording, Tensor};
use crate::fed::rows::Rows;
use std::ops::Range;

/// A range of coordinates of all clients.
#[derive(Clone, Debug)]
pub(in crate::fed) struct Slice {
    /// The coordinates.
    pub range: Range<usize>,
    /// `[clients][range]`, client stride `stride`.
    pub rows: Tensor,
    /// Words between clients.
    pub stride: u32,
}

/// The slices of [`Rows::slices`]. Clients in one chunk are bound where they are; those of several chunks are copied into one matrix,
/// slice by slice, when a recording needs them.
#[derive(Clone, Debug)]
pub(in crate::fed) struct Matrix {
    rows: Rows,
    /// The matrix of copies, if there are several chunks.
    copies: Option<Tensor>,
}

impl Matrix {
    /// Allocates the matrix of copies if chunks need it.
    pub fn new(engine: &mut dyn Engine, rows: &Rows) -> Result<Matrix> {
        let longest = rows.slices().iter().map(Range::len).max().unwrap_or(0);
        let copies = match rows.pieces.len() {
            1 => None,
            _ => Some(engine.alloc("rows of all clients", rows.clients() as usize * stride(longest))?),
        };
        Ok(Matrix { rows: rows.clone(), copies })
    }

    /// Records `each` for every slice, after the copies that it needs.
    pub fn record(
        &self,
        rec: &mut Recording,
        mut each: impl FnMut(&mut Recording, &Slice) -> Result<()>,
    ) -> Result<()> {
        for range in self.rows.slices() {
            let slice = match (self.copies, self.rows.pieces.as_slice()) {
                (None, [piece]) => {
                    let words = (piece.clients as usize - 1) * self.rows.words + range.len();
                    let rows = piece.rows.slice(range.start, words);
                    Slice { range, rows, stride: self.rows.words as u32 }
                }
                (copies, _) => {
                    let stride = stride(range.len());
                    let words = (self.rows.clients() as usize - 1) * stride + range.len();
                    let copies = copies.ok_or_else(|| crate::Error::internal("chunks without a matrix"))?;
                    let rows = copies.slice(0, words);
                    self.rows.gather(rec, range.clone(), rows, stride)?;
                    Slice { range, rows, stride: stride as u32 }
                }
            };
            each(rec, &slice)?;
        }
        Ok(())
    }

    /// The clients' rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }
}

/// A client stride that holds `words`.
fn stride(words: usize) -> usize {
    words.div_ceil(ALIGN) * ALIGN
}
