//! The trait that every catalogue row implements, and its small types.

use super::{Field, Params};

/// How a shader accesses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`: outputs, and operands updated in place.
    ReadWrite,
}

/// The element type of a binding; every element is one 32-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elem {
    /// f32 (a shader may bind it as `array<f32>` or `array<vec4<f32>>`).
    F32,
    /// u32.
    U32,
}

/// One storage binding. Binding 0 of group 0 is the parameter block; entry `i` of a kernel's list is binding `i + 1`.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The WGSL variable's name.
    pub name: &'static str,
    /// Read or read-write.
    pub access: Access,
    /// Element type.
    pub elem: Elem,
    /// Shape and meaning of the words.
    pub doc: &'static str,
}

impl Binding {
    /// A read-only f32 binding.
    pub const fn read(name: &'static str, doc: &'static str) -> Self {
        Binding { name, access: Access::Read, elem: Elem::F32, doc }
    }
    /// A read-write f32 binding.
    pub const fn write(name: &'static str, doc: &'static str) -> Self {
        Binding { name, access: Access::ReadWrite, elem: Elem::F32, doc }
    }
    /// A read-only u32 binding.
    pub const fn read_u32(name: &'static str, doc: &'static str) -> Self {
        Binding { name, access: Access::Read, elem: Elem::U32, doc }
    }
    /// A read-write u32 binding.
    pub const fn write_u32(name: &'static str, doc: &'static str) -> Self {
        Binding { name, access: Access::ReadWrite, elem: Elem::U32, doc }
    }
}

/// The class of shader variants on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Real GPUs: workgroup-tiled convolutions.
    Tiled,
    /// Software adapters (lavapipe, WARP, SwiftShader): register tiles straight from storage, no workgroup memory.
    Direct,
    /// Software adapters with subgroups of 8 invocations and 64-bit integers (lavapipe): as [`Class::Direct`], but the
    /// convolutions share loads by broadcasts within a subgroup (`shaders/lib/lanes.wgsl`). Needs optional features.
    Lanes,
}

impl Class {
    /// All classes, in the order of `validate`.
    pub const ALL: [Class; 3] = [Class::Tiled, Class::Direct, Class::Lanes];
    /// The classes that run on every device.
    pub const PORTABLE: [Class; 2] = [Class::Tiled, Class::Direct];

    /// The name printed in plans and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Tiled => "tiled",
            Class::Direct => "direct",
            Class::Lanes => "lanes",
        }
    }
}

/// The shader and grid for given parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The shader's path under `shaders/`, e.g. `nn/conv2d_direct.wgsl`.
    pub file: &'static str,
    /// Constants set by the assembler (`const NAME: u32 = ...;` in the file).
    pub consts: Vec<(&'static str, u32)>,
    /// Workgroups in x, y, z; each within 1..=65535.
    pub grid: [u32; 3],
}

impl Build {
    /// A build without constants.
    pub fn plain(file: &'static str, grid: [u32; 3]) -> Self {
        Build { file, consts: Vec::new(), grid }
    }
}

/// Work of a launch: floating-point operations and compulsory bytes (each operand once).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations (a multiply-add is two).
    pub flops: f64,
    /// Bytes read plus bytes written, each operand once.
    pub bytes: f64,
}

/// One output element as the reference computes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eval {
    /// The value in f64 (for u32 outputs: the integer, exactly).
    pub value: f64,
    /// The largest |device - value| allowed; 0 demands equality with `value` rounded to f32.
    pub bound: f64,
    /// Number of roundings that the bound counts for the element: the n of gamma(n), for sums. Random roundings add up
    /// to about sqrt(n) of them.
    roundings: std::num::NonZeroU32,
}

impl Eval {
    /// A value that must match bit for bit.
    pub const fn exact(value: f64) -> Self {
        Eval::within(value, 0.0)
    }
    /// A value with an absolute bound of one rounding.
    pub const fn within(value: f64, bound: f64) -> Self {
        Eval { value, bound, roundings: std::num::NonZeroU32::MIN }
    }
    /// The same with a bound for `roundings` roundings.
    pub fn over(self, roundings: usize) -> Self {
        let roundings = u32::try_from(roundings).ok().and_then(std::num::NonZeroU32::new);
        Eval { roundings: roundings.unwrap_or(std::num::NonZeroU32::MIN), ..self }
    }
    /// The argument of [`Eval::over`], otherwise 1.
    pub fn roundings(&self) -> u32 {
        self.roundings.get()
    }
}

/// The contents of a launch's bindings BEFORE it runs, one slice of words per binding.
#[derive(Clone, Debug)]
pub struct Inputs<'a>(pub Vec<&'a [u32]>);

impl Inputs<'_> {
    /// Element `i` of binding `slot` as f64 from f32.
    #[inline]
    pub fn f(&self, slot: usize, i: usize) -> f64 {
        f32::from_bits(self.0[slot][i]) as f64
    }
    /// Element `i` of binding `slot` as u32.
    #[inline]
    pub fn u(&self, slot: usize, i: usize) -> u32 {
        self.0[slot][i]
    }
    /// Length of binding `slot` in words.
    pub fn len(&self, slot: usize) -> usize {
        self.0[slot].len()
    }
    /// True when there are no bindings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The contents of a binding in a validation case.
#[derive(Clone, Debug, PartialEq)]
pub enum Contents {
    /// Normally distributed numbers times `scale` plus `shift`; small integers in the exact pass.
    Real {
        /// Standard deviation.
        scale: f64,
        /// Mean.
        shift: f64,
    },
    /// |normal| times `scale`, plus 1e-3 `scale`: variances and second moments; small positive integers in the exact
    /// pass.
    Positive {
        /// Scale.
        scale: f64,
    },
    /// Exactly these words, repeated to the binding's length (indices, step state, tables).
    Words(Vec<u32>),
    /// Uniform integers in 0..n.
    Below(u32),
    /// Outputs that the kernel writes without reading, pre-filled with NaN.
    Nan,
}

impl Contents {
    /// Standard normals.
    pub const NORMAL: Contents = Contents::Real { scale: 1.0, shift: 0.0 };
}

/// The number of a kernel's bindings, as a type: [`Arity`].
pub trait Operands {
    /// One `T` per binding, in binding order.
    type Each<T: Clone + 'static>: AsRef<[T]> + Clone + 'static;
}

/// `N` bindings.
#[derive(Clone, Copy, Debug)]
pub struct Arity<const N: usize>;

impl<const N: usize> Operands for Arity<N> {
    type Each<T: Clone + 'static> = [T; N];
}

/// One `T` for each binding of `K`: an array.
pub type Each<K, T> = <<K as Kernel>::Operands as Operands>::Each<T>;

/// A kernel: everything specific to it. The catalogue, validation and engines use it as [`AnyKernel`].
///
/// A launch ([`crate::exec::Recording::launch`]) takes this kernel's parameters and one operand per binding; anything
/// else does not compile:
///
/// ```compile_fail
/// use fedgan::{exec::{Recording, Tensor}, kernels::nn::{bce_with_logits::BceWithLogits, wasserstein_loss::WassersteinLossParams}};
/// fn wrong_parameters(recording: &mut Recording, x: Tensor) {
///     let params = WassersteinLossParams::default();
///     recording.launch(&BceWithLogits, &params, &[x, x, x], "loss").unwrap();
/// }
/// ```
/// ```compile_fail
/// use fedgan::{exec::{Recording, Tensor}, kernels::nn::bce_with_logits::{BceParams, BceWithLogits}};
/// fn too_few_operands(recording: &mut Recording, x: Tensor) {
///     recording.launch(&BceWithLogits, &BceParams::default(), &[x, x], "loss").unwrap();
/// }
/// ```
/// With the right types it does:
/// ```
/// use fedgan::{exec::{Recording, Tensor}, kernels::nn::bce_with_logits::{BceParams, BceWithLogits}};
/// fn right(recording: &mut Recording, x: Tensor) -> fedgan::Result<()> {
///     recording.launch(&BceWithLogits, &BceParams::default(), &[x, x, x], "loss")
/// }
/// ```
pub trait Kernel: Sync {
    /// The parameter struct.
    type Params: Params;
    /// The number of bindings: `Arity<N>`, at most 7 (with headroom under the portable limit of 8).
    type Operands: Operands;
    /// Family and name, `family/name`: the folder and file stem of its Rust file, of its shader (without a variant
    /// suffix) and of its f32 twin.
    const STEM: &'static str;
    /// The formula, in one line.
    const FORMULA: &'static str;
    /// The storage bindings.
    const BINDINGS: &'static Each<Self, Binding>;
    /// The shape rule: the minimum extent of each binding in words.
    ///
    /// # Errors
    /// Names the parameter that is out of range, its value and the values allowed.
    fn extents(&self, p: &Self::Params) -> Result<Each<Self, usize>, String>;
    /// Shader file, constants and grid for a device class. A kernel without variants ignores `class`.
    fn build(&self, p: &Self::Params, class: Class) -> Build;
    /// The builds among which a tuner may choose for [`Class::Tiled`], each with its name; the first is that of
    /// [`Kernel::build`]. Empty if there is no choice.
    fn variants(&self, _: &Self::Params) -> Vec<(&'static str, Build)> {
        Vec::new()
    }
    /// Flops and compulsory bytes.
    fn cost(&self, p: &Self::Params) -> Cost;
    /// Element `index` of read-write binding `slot` after the launch; `None` if the launch does not write it.
    /// Naive: loops in index order, f64 accumulators, nothing shared with the shader's logic.
    fn at(&self, p: &Self::Params, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval>;
    /// All of read-write binding `slot` after the launch, `extents[slot]` elements.
    fn whole(&self, p: &Self::Params, inputs: &Inputs, slot: usize, extent: usize) -> Vec<Option<Eval>> {
        use rayon::prelude::*;
        (0..extent).into_par_iter().map(|i| self.at(p, inputs, slot, i)).collect()
    }
    /// Parameters of the validation cases: ordinary, odd, prime and single-element shapes, several clients.
    fn cases(&self) -> Vec<Self::Params>;
    /// The contents of each binding in a case.
    fn contents(&self, p: &Self::Params) -> Each<Self, Contents>;
    /// True if small-integer inputs must give bit-equal results in any order of summation with these parameters.
    fn exact_on_integers(&self, _: &Self::Params) -> bool {
        false
    }
    /// Bindings whose values may also be multiplied by the zeros of padding. A non-finite value there may spread to
    /// elements that do not depend on it by the formula, as in PyTorch where it multiplies by zeros rather than
    /// skipping them.
    fn meets_padding(&self, _: &Self::Params) -> &'static [usize] {
        &[]
    }
}

/// A [`Kernel`] without its types: a row of the catalogue. `words` are always the parameter struct's words
/// ([`super::Params::words`]); slot `i` is `bindings()[i]`. Every kernel implements it through the blanket impl.
pub trait AnyKernel: Sync {
    /// [`Kernel::STEM`].
    fn stem(&self) -> &'static str;
    /// The name: the second half of [`Kernel::STEM`].
    fn name(&self) -> &'static str;
    /// The family: the first half of [`Kernel::STEM`].
    fn family(&self) -> &'static str;
    /// [`Kernel::FORMULA`].
    fn formula(&self) -> &'static str;
    /// The parameter struct's fields.
    fn fields(&self) -> &'static [Field];
    /// [`Kernel::BINDINGS`].
    fn bindings(&self) -> &'static [Binding];
    /// [`Kernel::extents`].
    ///
    /// # Errors
    /// As [`Kernel::extents`].
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String>;
    /// [`Kernel::build`].
    fn build(&self, words: &[u32], class: Class) -> Build;
    /// [`Kernel::variants`].
    fn variants(&self, words: &[u32]) -> Vec<(&'static str, Build)>;
    /// [`Kernel::cost`].
    fn cost(&self, words: &[u32]) -> Cost;
    /// [`Kernel::at`].
    fn at(&self, words: &[u32], inputs: &Inputs, slot: usize, index: usize) -> Option<Eval>;
    /// [`Kernel::whole`].
    fn whole(&self, words: &[u32], inputs: &Inputs, slot: usize, extent: usize) -> Vec<Option<Eval>>;
    /// [`Kernel::cases`], as words.
    fn cases(&self) -> Vec<Vec<u32>>;
    /// [`Kernel::contents`].
    fn contents(&self, words: &[u32]) -> Vec<Contents>;
    /// [`Kernel::exact_on_integers`].
    fn exact_on_integers(&self, words: &[u32]) -> bool;
    /// [`Kernel::meets_padding`].
    fn meets_padding(&self, words: &[u32]) -> &'static [usize];
}

impl<K: Kernel> AnyKernel for K {
    fn stem(&self) -> &'static str {
        K::STEM
    }
    fn name(&self) -> &'static str {
        K::STEM.split_once('/').map_or(K::STEM, |(_, name)| name)
    }
    fn family(&self) -> &'static str {
        K::STEM.split_once('/').map_or("", |(family, _)| family)
    }
    fn formula(&self) -> &'static str {
        K::FORMULA
    }
    fn fields(&self) -> &'static [Field] {
        K::Params::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        K::BINDINGS.as_ref()
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        Kernel::extents(self, &K::Params::from_words(words)).map(|extents| extents.as_ref().to_vec())
    }
    fn build(&self, words: &[u32], class: Class) -> Build {
        Kernel::build(self, &K::Params::from_words(words), class)
    }
    fn variants(&self, words: &[u32]) -> Vec<(&'static str, Build)> {
        Kernel::variants(self, &K::Params::from_words(words))
    }
    fn cost(&self, words: &[u32]) -> Cost {
        Kernel::cost(self, &K::Params::from_words(words))
    }
    fn at(&self, words: &[u32], inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        Kernel::at(self, &K::Params::from_words(words), inputs, slot, index)
    }
    fn whole(&self, words: &[u32], inputs: &Inputs, slot: usize, extent: usize) -> Vec<Option<Eval>> {
        Kernel::whole(self, &K::Params::from_words(words), inputs, slot, extent)
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        Kernel::cases(self).iter().map(Params::words).collect()
    }
    fn contents(&self, words: &[u32]) -> Vec<Contents> {
        Kernel::contents(self, &K::Params::from_words(words)).as_ref().to_vec()
    }
    fn exact_on_integers(&self, words: &[u32]) -> bool {
        Kernel::exact_on_integers(self, &K::Params::from_words(words))
    }
    fn meets_padding(&self, words: &[u32]) -> &'static [usize] {
        Kernel::meets_padding(self, &K::Params::from_words(words))
    }
}

impl std::fmt::Debug for dyn AnyKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// True for a factor with at most eight bits, in steps of 2^-6: its product with an integer below 2^16 is exact in f32.
pub fn few_bits(factor: f32) -> bool {
    factor.abs() <= 4.0 && (factor * 64.0).fract() == 0.0
}

/// ceil(a / b).
pub const fn ceil_div(a: u32, b: u32) -> u32 {
    a.div_ceil(b)
}

/// The grid of an elementwise kernel with a grid-stride loop: x covers `n` elements with `per_group` per workgroup (at
/// most 4096 groups, the loop covers the rest), z covers clients.
pub fn linear_grid(n: u32, per_group: u32, clients: u32) -> [u32; 3] {
    [ceil_div(n, per_group).clamp(1, 4096), 1, clients.max(1)]
}

/// The largest number of workgroups per dimension that every device supports.
pub const MAX_GROUPS: u32 = 65535;

/// The largest extent of a per-client tensor, in words: shaders count its bytes in u32.
pub const MOST_WORDS: usize = u32::MAX as usize / 4;

/// Rejects a grid that some device does not support.
///
/// # Errors
/// States the number of groups.
pub fn grid_fits(build: &Build) -> Result<(), String> {
    match build.grid.iter().find(|g| !(1..=MAX_GROUPS).contains(*g)) {
        Some(groups) => Err(format!("a grid of {groups} workgroups in one dimension: at most {MAX_GROUPS}")),
        None => Ok(()),
    }
}

/// The number of elements of a tensor with these sides.
///
/// # Errors
/// If it exceeds u32.
pub fn product(what: &str, sides: &[u32]) -> Result<u32, String> {
    let all = sides.iter().try_fold(1u32, |n, side| n.checked_mul(*side));
    all.ok_or_else(|| format!("{what} of {sides:?}: more elements than u32 can count"))
}

/// Extent of a per-client tensor: the last client's end. Rejects zero clients, strides shorter than the length or not
/// aligned to 64 words (with one client the stride does not matter), and extents beyond u32 indices.
///
/// # Errors
/// States the values found.
pub fn strided(clients: u32, stride: u32, len: u32) -> Result<usize, String> {
    if clients == 0 || len == 0 {
        return Err(format!("{clients} clients of {len} elements: both must be at least 1"));
    }
    if clients > MAX_GROUPS {
        return Err(format!("{clients} clients: at most {MAX_GROUPS}, the groups of one grid dimension"));
    }
    if clients > 1 && (stride < len || !stride.is_multiple_of(64)) {
        return Err(format!("client stride {stride}: must be a multiple of 64 and at least {len}"));
    }
    let extent = (clients as u64 - 1) * stride as u64 + len as u64;
    if extent > MOST_WORDS as u64 {
        return Err(format!("{clients} clients of stride {stride}: {extent} words exceed a u32 byte index"));
    }
    Ok(extent as usize)
}

/// Client and element within it of word `index` of a per-client tensor (with one client the stride does not matter).
pub fn split(index: usize, clients: u32, stride: u32) -> (usize, usize) {
    if clients <= 1 { (0, index) } else { (index / stride as usize, index % stride as usize) }
}
