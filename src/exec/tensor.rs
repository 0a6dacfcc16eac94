//! Handles to device memory.

/// Tensor starts and client strides are multiples of this many words: 256 bytes, the largest binding alignment that
/// WebGPU allows a device to ask for.
pub const ALIGN: usize = 64;

/// `words` rounded up to [`ALIGN`].
pub const fn align(words: usize) -> usize {
    words.div_ceil(ALIGN) * ALIGN
}

/// A buffer of one engine. In a cluster the upper bits are its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct BufferId(pub u32);

impl BufferId {
    /// Bits of a buffer's number on its rank.
    const BITS: u32 = 22;

    /// Most ranks of a cluster.
    pub const MOST_RANKS: usize = 1 << (u32::BITS - BufferId::BITS);

    /// The rank whose memory has the buffer; 0 outside of a cluster.
    pub fn rank(self) -> usize {
        (self.0 >> BufferId::BITS) as usize
    }

    /// The buffer's number on its rank.
    pub fn local(self) -> BufferId {
        BufferId(self.0 & ((1 << BufferId::BITS) - 1))
    }

    /// The buffer of this number on `rank`; `None` beyond the bits of either.
    pub fn on(self, rank: usize) -> Option<BufferId> {
        (self.rank() == 0 && rank < BufferId::MOST_RANKS).then_some(BufferId((rank as u32) << BufferId::BITS | self.0))
    }
}

/// A range of words in a buffer. The layout is up to the kernels. A per-client tensor extends from client 0's first
/// word to the last client's last word; its client stride is a kernel parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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
