//! Operands of a CPU kernel: shared slices for read-only operands, one mutable slice per client for written ones.

use crate::exec::Tensor;
use crate::kernels::{Access, Binding};

/// The operands of one launch.
///
/// Recording rejects launches that bind a buffer both read-only and read-write, so shared and mutable slices never
/// overlap. Several read-write operands may share a buffer (the gradients of gamma and beta do). Their ranges
/// interleave by client, so mutable access is given per client row only; rows of different tensors are disjoint by the
/// bank's layout.
#[derive(Debug)]
pub struct Args {
    slots: Vec<(*mut u32, usize, Access)>,
}

impl Args {
    pub(super) fn new(buffers: &mut [Vec<u32>], bindings: &[Binding], args: &[Tensor]) -> Self {
        let slots = args
            .iter()
            .zip(bindings)
            .map(|(t, b)| {
                let words = &mut buffers[t.buffer.0 as usize][t.offset..t.offset + t.words];
                (words.as_mut_ptr(), words.len(), b.access)
            })
            .collect();
        Args { slots }
    }

    /// A read-only operand as f32.
    ///
    /// # Panics
    /// If the binding is read-write.
    pub fn f(&self, slot: usize) -> &[f32] {
        bytemuck::cast_slice(self.u(slot))
    }

    /// A read-only operand as u32.
    ///
    /// # Panics
    /// If the binding is read-write.
    pub fn u(&self, slot: usize) -> &[u32] {
        let (ptr, len, access) = self.slots[slot];
        assert_eq!(access, Access::Read, "slot {slot} is read-write");
        // SAFETY: ptr and len come from a live slice of the engine's buffers, which `run` borrows mutably for as long
        // as these arguments live, and no read-write operand shares the buffer (checked when the launch was recorded).
        unsafe { std::slice::from_raw_parts(ptr, len) }
    }

    /// A read-write operand, one mutable slice of `len` words per client, `stride` words apart.
    ///
    /// # Panics
    /// If a row exceeds the operand, or rows would overlap.
    // The shared borrow covers raw pointers; the type's documentation explains why they are disjoint.
    #[allow(clippy::mut_from_ref)]
    pub fn rows_mut(&self, slot: usize, clients: u32, stride: u32, len: u32) -> Vec<&mut [f32]> {
        let (ptr, words, _) = self.slots[slot];
        let (stride, len) = (stride as usize, len as usize);
        assert!(clients <= 1 || stride >= len, "rows of {len} words overlap at stride {stride}");
        (0..clients as usize)
            .map(|c| {
                assert!(c * stride + len <= words, "row {c} leaves slot {slot}");
                // SAFETY: in bounds by the assertion. Rows of one operand are disjoint by stride, rows of different
                // operands by the bank's layout (see the type's documentation). f32 and u32 have the same size and
                // alignment.
                unsafe { std::slice::from_raw_parts_mut(ptr.add(c * stride).cast::<f32>(), len) }
            })
            .collect()
    }

    /// [`Args::rows_mut`] as u32.
    pub fn rows_mut_u32(&self, slot: usize, clients: u32, stride: u32, len: u32) -> Vec<&mut [u32]> {
        self.rows_mut(slot, clients, stride, len).into_iter().map(bytemuck::cast_slice_mut).collect()
    }
}
