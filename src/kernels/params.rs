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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's name, equal in Rust and in WGSL (checked by reflection).
    pub name: &'static str,
    /// Its type.
    pub ty: Scalar,
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

/// Declares a kernel's parameter struct: fields are `u32` or `f32` only, so that host and WGSL layouts agree.
#[macro_export]
macro_rules! params {
    ($(#[$m:meta])* pub struct $name:ident { $($(#[$fm:meta])* $f:ident : $t:ident),* $(,)? }) => {
        $(#[$m])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$fm])* pub $f: $t),* }
        impl $crate::kernels::Params for $name {
            const FIELDS: &'static [$crate::kernels::Field] = &[
                $($crate::kernels::Field { name: stringify!($f), ty: $crate::kernels::Scalar::$t }),*
            ];
        }
    };
}
