//! Kernel parameters: a `#[repr(C)]` struct of 4-byte scalars that the shader sees as its uniform block.

/// The type of a parameter field, with its WGSL name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum Scalar {
    /// 32-bit unsigned integer.
    u32,
    /// 32-bit float.
    f32,
}

/// One field of a parameter struct, in declaration order; field `i` is at byte `4 i`.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The field's name, equal in Rust and in WGSL (checked by reflection).
    pub name: &'static str,
    /// Its type.
    pub ty: Scalar,
    /// How random problems set it.
    pub draw: Draw,
}

/// How random problems set a parameter. Ranges include both ends. Functions get the words of the preceding fields,
/// which [`crate::params!`] converts to the struct.
///
/// A draw need not satisfy the row's shape rule: rejected parameters are drawn again.
#[derive(Clone, Copy, Debug)]
pub enum Draw {
    /// A count, at least 1: single, small, prime, near a tile's size, rarely near the limit of a grid.
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
    /// A client stride: the minimum that the shape rule accepts, often more.
    Stride,
    /// A [`Draw::Stride`] of at least this many words, for tables whose length is not a parameter.
    StrideFrom(fn(&[u32]) -> u32),
    /// Any word.
    Any,
    /// A float in this range; its ends and 0 (if inside) are more frequent.
    Real(f32, f32),
    /// A positive float in this range, uniform in magnitude.
    Positive(f32, f32),
}

impl Draw {
    /// True for client strides.
    pub fn is_stride(&self) -> bool {
        matches!(self, Draw::Stride | Draw::StrideFrom(_))
    }

    /// True for counts.
    pub fn is_count(&self) -> bool {
        matches!(self, Draw::Count | Draw::Multiple(_))
    }
}

/// A parameter struct declared by [`crate::params!`].
pub trait Params: bytemuck::Pod + Default + Send + Sync + std::fmt::Debug {
    /// The fields, in order.
    const FIELDS: &'static [Field];

    /// The struct as 32-bit words, one per field.
    fn words(&self) -> Vec<u32> {
        bytemuck::cast_slice(std::slice::from_ref(self)).to_vec()
    }

    /// The struct back from its words.
    ///
    /// # Panics
    /// If the length of `words` differs from [`Params::FIELDS`]; launches are checked when they are recorded.
    fn from_words(words: &[u32]) -> Self {
        *bytemuck::from_bytes(bytemuck::cast_slice(words))
    }

    /// The struct with its first fields known; the others are 0.
    fn begun(words: &[u32]) -> Self {
        let mut all = Self::default();
        let to: &mut [u32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut all));
        to.iter_mut().zip(words).for_each(|(to, word)| *to = *word);
        all
    }
}

/// Declares a kernel's parameter struct: `NAME: TYPE in DRAW`, or `NAME as WGSL_NAME: TYPE in DRAW` if the field's name
/// is reserved in WGSL. Fields are `u32` or `f32` only, so that host and WGSL layouts agree; [`Draw`] states how random
/// problems set them. A draw that depends on other fields is a closure over the struct, in which fields not drawn yet
/// are 0: `pad: u32 in Between(|p| [0, p.k - 1])`.
#[macro_export]
macro_rules! params {
    ($(#[$m:meta])* pub struct $name:ident {
        $($(#[$fm:meta])* $f:ident $(as $wgsl:ident)? : $t:ident in $draw:ident $(($($arg:tt)*))?),* $(,)?
    }) => {
        $(#[$m])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$fm])* pub $f: $t),* }
        impl $crate::kernels::Params for $name {
            const FIELDS: &'static [$crate::kernels::Field] = &[$($crate::kernels::Field {
                name: $crate::params!(@ name $f $($wgsl)?),
                ty: $crate::kernels::Scalar::$t,
                draw: $crate::params!(@ draw $name $t $draw $(($($arg)*))?),
            }),*];
        }
    };
    (@ name $f:ident) => { stringify!($f) };
    (@ name $f:ident $wgsl:ident) => { stringify!($wgsl) };
    (@ draw $name:ident $t:ident Follows(|$p:pat_param| $value:expr)) => {
        $crate::kernels::Draw::Follows(|words| {
            let $p = <$name as $crate::kernels::Params>::begun(words);
            let value: $t = $value;
            bytemuck::cast(value)
        })
    };
    (@ draw $name:ident $t:ident $draw:ident(|$p:pat_param| $value:expr)) => {
        $crate::kernels::Draw::$draw(|words| {
            let $p = <$name as $crate::kernels::Params>::begun(words);
            $value
        })
    };
    (@ draw $name:ident $t:ident $draw:ident $(($($arg:tt)*))?) => { $crate::kernels::Draw::$draw $(($($arg)*))? };
}
