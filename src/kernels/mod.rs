//! The kernel catalogue. A row is the only declaration of a kernel: WGSL source, parameters, bindings, shape rule, grid,
//! cost, CPU reference, cases and error bound. Validation, argument checks, the generated table and every recording
//! derive from it. A new kernel is two files (`shaders/F/K.wgsl`, `src/kernels/F/K.rs`) and one line in [`CATALOGUE`].
//!
//! Nothing here knows a tensor handle or a device.

mod bound;
mod kernel;
mod params;
pub mod reflect;
pub mod shader;

pub mod attack;
pub mod fed;
pub mod nn;
pub mod optim;
pub mod rng;
pub mod util;

pub use bound::{U, gamma};
pub use kernel::{
    Access, Binding, Build, Class, Cost, Elem, Eval, Fill, Inputs, Kernel, ceil_div, linear_grid, strided,
};
pub use params::{Field, Params, Scalar};

/// Every kernel, in the order of the table in `shaders/README.md`.
pub static CATALOGUE: &[&dyn Kernel] = &[&util::fill::Fill];

/// The row of that name.
pub fn find(name: &str) -> Option<&'static dyn Kernel> {
    CATALOGUE.iter().copied().find(|k| k.name() == name)
}
