//! What the three convolution rows share: the parameter block and its rules.

crate::params! {
    /// Geometry of a convolution and of its two gradients; strides are client strides in words.
    pub struct ConvParams {
        /// Clients.
        clients: u32,
        /// Images of each client.
        n: u32,
        /// Height of the large side.
        h: u32,
        /// Width of the large side.
        w: u32,
        /// Channels of the large side.
        ci: u32,
        /// Height of the small side.
        oh: u32,
        /// Width of the small side.
        ow: u32,
        /// Channels of the small side.
        co: u32,
        /// Kernel side, 1..=7.
        k: u32,
        /// Stride, 1 or 2.
        stride: u32,
        /// Padding, below k.
        pad: u32,
        /// Client stride of the large side.
        large_stride: u32,
        /// Client stride of the weights (or their gradient).
        weight_stride: u32,
        /// Client stride of the small side.
        small_stride: u32,
        /// Weight gradient only: parts of the sum over pixels (1: straight into the gradient; more: partial sums).
        splits: u32,
        /// Weight gradient only, with one split: 1 adds to what is there.
        accumulate: u32,
    }
}
