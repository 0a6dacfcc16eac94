//! Matrix products on strided views, and the scratch memory of the convolutions.

use super::blas;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// A strided view: element (i, j) is `data[i * rs + j * cs]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mat<'a> {
    data: &'a [f32],
    rs: usize,
    cs: usize,
}

impl<'a> Mat<'a> {
    /// Rows of contiguous elements, `rs` words apart.
    pub(super) fn rows(data: &'a [f32], rs: usize) -> Self {
        Mat { data, rs, cs: 1 }
    }
    /// The transpose.
    pub(super) fn t(self) -> Self {
        Mat { data: self.data, rs: self.cs, cs: self.rs }
    }
}

/// The block of a row-major matrix that one task writes; rows are `rs` words apart.
#[derive(Debug)]
pub(super) struct Block<'a> {
    ptr: *mut f32,
    len: usize,
    rs: usize,
    owner: PhantomData<&'a mut [f32]>,
}

impl<'a> Block<'a> {
    /// The whole of `data`.
    pub(super) fn new(data: &'a mut [f32], rs: usize) -> Self {
        Block { ptr: data.as_mut_ptr(), len: data.len(), rs, owner: PhantomData }
    }
}

/// A row-major matrix whose column blocks are written by different tasks.
#[derive(Debug)]
pub(super) struct Columns<'a>(Block<'a>);

// SAFETY: a shared `Columns` gives access through `Columns::from` only, whose caller promises disjoint columns.
unsafe impl Sync for Columns<'_> {}
// SAFETY: it is an exclusive borrow of plain f32.
unsafe impl Send for Columns<'_> {}

impl<'a> Columns<'a> {
    /// All of `data`, rows `rs` words apart.
    pub(super) fn new(data: &'a mut [f32], rs: usize) -> Self {
        Columns(Block::new(data, rs))
    }

    /// The block that starts at word `first`.
    ///
    /// # Safety
    /// Blocks in use at the same time must not be used to write the same elements.
    pub(super) unsafe fn from(&self, first: usize) -> Block<'_> {
        assert!(first <= self.0.len, "block starts at {first} of {} words", self.0.len);
        // SAFETY: within the borrowed slice by the assertion.
        let ptr = unsafe { self.0.ptr.add(first) };
        Block { ptr, len: self.0.len - first, rs: self.0.rs, owner: PhantomData }
    }
}

/// `out[m][n] = a[m][k] b[k][n]`, plus the contents of `out` if `add`. One thread; the order of the sum depends on the
/// shape.
///
/// # Panics
/// If an operand is smaller than its shape and strides require.
pub(super) fn gemm([m, n, k]: [usize; 3], out: &mut Block, add: bool, a: Mat, b: Mat) {
    if m == 0 || n == 0 {
        return;
    }
    let end = |rows: usize, cols: usize, rs: usize, cs: usize| (rows - 1) * rs + (cols - 1) * cs + 1;
    assert!(out.rs >= n && end(m, n, out.rs, 1) <= out.len, "product {m}x{n} exceeds its block");
    if k > 0 {
        assert!(end(m, k, a.rs, a.cs) <= a.data.len(), "left operand {m}x{k} exceeds its slice");
        assert!(end(k, n, b.rs, b.cs) <= b.data.len(), "right operand {k}x{n} exceeds its slice");
    }
    let (left, right) = ((a.data.as_ptr(), [a.rs, a.cs]), (b.data.as_ptr(), [b.rs, b.cs]));
    // SAFETY: every element touched is within the three slices by the assertions, `out` is exclusive to this task, its
    // rows do not overlap, and the operands are shared borrows.
    unsafe { blas::gemm([m, n, k], (out.ptr, out.rs), add, left, right) }
}

/// One cache line, so that scratch starts on a line.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Line([f32; 16]);

type Store = Cell<Vec<Line>>;

thread_local! {
    /// What a task gathers or transforms before it multiplies: about 1 MiB, in Winograd's form 4 MiB.
    static PATCHES: Store = const { Cell::new(Vec::new()) };
}

/// Data that a launch prepares once for all its tasks. It grows with the number of clients, so there is one per process
/// and not one per thread: any free thread of the pool starts a recording, in time each of them.
static PREPARED: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// Gives `f` `words` words of this thread's scratch with unspecified contents. The memory is taken out of its cell
/// meanwhile: a thread that waits inside `f` may run another task, which then allocates its own.
pub(super) fn with_patches<R>(words: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with_scratch(|lines| PATCHES.replace(lines), words, f)
}

/// Gives `f` `words` words of the launch's scratch with unspecified contents. A concurrent launch of another engine
/// allocates its own; the larger one is kept.
pub(super) fn with_prepared<R>(words: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with_scratch(
        |lines| std::mem::replace(&mut PREPARED.lock().unwrap_or_else(PoisonError::into_inner), lines),
        words,
        f,
    )
}

fn with_scratch<R>(replace: impl Fn(Vec<Line>) -> Vec<Line>, words: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut lines = replace(Vec::new());
    let wanted = words.div_ceil(16);
    if lines.len() < wanted {
        lines.resize(wanted, bytemuck::Zeroable::zeroed());
    }
    let result = f(&mut bytemuck::cast_slice_mut(&mut lines)[..words]);
    let length = lines.len();
    let other = replace(lines);
    if other.len() > length {
        replace(other);
    }
    result
}
