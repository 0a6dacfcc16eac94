//! Handles to device memory.

/// Tensor starts and client strides are multiples of this many words: 256 bytes, the largest binding alignment that
/// WebGPU allows a device to ask for.
pub const ALIGN: usize = 64;

/// `words` rounded up to [`ALIGN`].
pub const fn align(words: usize) -> usize {
    words.div_ceil(ALIGN) * ALIGN
}

/// A buffer of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// A range of words in a buffer. The layout is up to the kernels. A per-client tensor extends from client 0's first
/// word to the last client's last word; its client stride is a kernel parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tensor {
    /// The buffer.
    pub buffer: BufferId,
    /// First word; a multiple of [`ALIGN`].
    pub offset: usize,
    /// Extent in words.
    pub words: usize,
}

impl Tensor {
    /// The sub-range `offset .. offset + words` of this tensor.
    ///
    /// # Panics
    /// If the range exceeds the tensor or its start is not aligned: both are layout bugs.
    pub fn slice(self, offset: usize, words: usize) -> Tensor {
        assert!(offset.is_multiple_of(ALIGN), "tensor start {offset} is not a multiple of {ALIGN} words");
        assert!(offset + words <= self.words, "slice {offset}+{words} of a tensor of {} words", self.words);
        Tensor { buffer: self.buffer, offset: self.offset + offset, words }
    }
}
