//! A batch of images from bytes.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, gamma, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`GatherBatch`].
    pub struct GatherBatchParams {
        /// Clients.
        clients: u32 in Count,
        /// Images per client and step.
        batch: u32 in Count,
        /// Elements (bytes) per image, a multiple of 4.
        image: u32 in Multiple(4),
        /// Client stride of `order`.
        order_stride: u32 in StrideFrom(|p| p.batch.saturating_mul(3)),
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// `y[c, b]` = the image listed in entry `state[0] * batch + b` of client c's order, as f32 in [-1, 1]: byte / 127.5 - 1.
/// Image numbers must be inside `pixels`, which contains at least one batch of images.
pub struct GatherBatch;

impl Kernel for GatherBatch {
    type Params = GatherBatchParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "util/gather_batch";
    const FORMULA: &'static str = "y = byte / 127.5 - 1 of image order[step * batch + b]";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read_u32("pixels", "[images][image / 4]: four bytes per word, first byte lowest"),
        Binding::read_u32("order", "[clients][steps * batch], client stride order_stride: low 31 bits image number"),
        Binding::read_u32("state", "[4]: step in the round, round, total steps, unused"),
        Binding::write("y", "[clients][batch][image], client stride y_stride"),
    ];
    fn extents(&self, p: &GatherBatchParams) -> Result<[usize; 4], String> {
        if !p.image.is_multiple_of(4) {
            return Err(format!("images of {} elements: must be a multiple of 4", p.image));
        }
        let batch = u32::try_from(p.batch as u64 * p.image as u64)
            .map_err(|_| format!("{} images of {} elements", p.batch, p.image))?;
        Ok([
            (batch / 4) as usize,
            // The number of steps is not a parameter: a client's row is its whole stride.
            strided(p.clients, p.order_stride, p.order_stride.max(p.batch))?,
            4,
            strided(p.clients, p.y_stride, batch)?,
        ])
    }
    fn build(&self, p: &GatherBatchParams, _class: Class) -> Build {
        Build::plain("util/gather_batch.wgsl", linear_grid(p.batch * p.image, 1024, p.clients))
    }
    fn cost(&self, p: &GatherBatchParams) -> Cost {
        let n = p.clients as f64 * p.batch as f64 * p.image as f64;
        Cost { flops: 2.0 * n, bytes: 5.0 * n }
    }
    fn at(&self, p: &GatherBatchParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        let (b, e) = (i / p.image as usize, i % p.image as usize);
        if b >= p.batch as usize {
            return None;
        }
        let entry = c * p.order_stride as usize + inputs.u(2, 0) as usize * p.batch as usize + b;
        let image = (inputs.u(1, entry) & 0x7fff_ffff) as usize;
        let byte = inputs.u(0, (image * p.image as usize + e) / 4).to_le_bytes()[e % 4];
        let value = byte as f64 / 127.5 - 1.0;
        // (2 byte - 255) is exact; the constant 1 / 255 and the product are rounded.
        Some(Eval::within(value, gamma(3) * value.abs()))
    }
    fn cases(&self) -> Vec<GatherBatchParams> {
        [(1, 1, 4, 64), (2, 3, 48, 192), (3, 7, 36, 256)]
            .map(|(clients, batch, image, y_stride)| GatherBatchParams {
                clients,
                batch,
                image,
                order_stride: 128,
                y_stride,
            })
            .to_vec()
    }
    fn contents(&self, p: &GatherBatchParams) -> [Contents; 4] {
        // Numbers below the batch in an order of odd period, some marked as poisoned.
        let order = (0..11).map(|i| ((i * i + i / 2) % p.batch) | ((i % 3 / 2) << 31)).collect();
        [Contents::Below(u32::MAX), Contents::Words(order), Contents::Words(vec![2, 1, 30, 0]), Contents::Nan]
    }
}
