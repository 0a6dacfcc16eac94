//! Kernel parameters: a `#[repr(C)]` struct of 4-byte scalars that the shader sees as its uniform block.

/// The type of a parameter field, named as WGSL names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum Scalar {
    /// 32-bit unsigned integer.
    u32,
    /// 32-bit float.
    f32,
}

/// One field of a parameter struct, in declaration order; field `i` lies at byte `4 i`.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The field's name, equal in Rust and in WGSL (checked by reflection).
    pub name: &'static str,
    /// Its type.
    pub ty: Scalar,
    /// How a random problem sets it.
    pub draw: Draw,
}

/// How a random problem sets a parameter. Ranges include both ends; functions get the words of the fields before theirs.
///
/// A draw need not satisfy the row's shape rule: what the rule refuses is drawn again.
#[derive(Clone, Copy, Debug)]
pub enum Draw {
    /// A number of things, at least 1: single, small, prime, round a tile's size, rarely round what a grid holds.
    Count,
    /// A [`Draw::Count`] of groups of this many.
    Multiple(u32),
    /// A whole number in this range.
    Range(u32, u32),
    /// One of these.
    OneOf(&'static [u32]),
    /// A whole number in a range that depends on fields before this one.
    Between(fn(&[u32]) -> [u32; 2]),
    /// Not drawn: follows from the drawn fields, whatever their order.
    Follows(fn(&[u32]) -> u32),
    /// A client stride: the least that the shape rule takes, often some more.
    Stride,
    /// A [`Draw::Stride`] of at least this many words, where a table's length is no parameter.
    StrideFrom(fn(&[u32]) -> u32),
    /// Any word.
    Any,
    /// A float in this range, its ends and 0 (if inside) more often.
    Real(f32, f32),
    /// A positive float in this range, evenly by magnitude.
    Positive(f32, f32),
}

impl Draw {
    /// True of client strides.
    pub fn is_stride(&self) -> bool {
        matches!(self, Draw::Stride | Draw::StrideFrom(_))
    }

    /// True of numbers of things.
    pub fn is_count(&self) -> bool {
        matches!(self, Draw::Count | Draw::Multiple(_))
    }
}

/// A parameter struct declared by [`crate::params!`].
pub trait Params: bytemuck::Pod + Default + std::fmt::Debug {
    /// The fields, in order.
    const FIELDS: &'static [Field];

    /// The struct as 32-bit words, one per field.
    fn words(&self) -> Vec<u32> {
        bytemuck::cast_slice(std::slice::from_ref(self)).to_vec()
    }

    /// The struct back from its words.
    ///
    /// # Panics
    /// If `words` has another length than [`Params::FIELDS`]; launches are checked when they are recorded.
    fn from_words(words: &[u32]) -> Self {
        *bytemuck::from_bytes(bytemuck::cast_slice(words))
    }
}

/// Declares a kernel's parameter struct: `NAME: TYPE in DRAW`. Fields are `u32` or `f32` only, so that host and WGSL layouts
/// agree; [`Draw`] says how random problems set them.
#[macro_export]
macro_rules! params {
    ($(#[$m:meta])* pub struct $name:ident { $($(#[$fm:meta])* $f:ident : $t:ident in $draw:expr),* $(,)? }) => {
        $(#[$m])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$fm])* pub $f: $t),* }
        impl $crate::kernels::Params for $name {
            const FIELDS: &'static [$crate::kernels::Field] = {
                use $crate::kernels::Draw::*;
                &[$($crate::kernels::Field { name: stringify!($f), ty: $crate::kernels::Scalar::$t, draw: $draw }),*]
            };
        }
    };
}
