//! The wgpu engine: the only module that names wgpu.
//!
//! [`select`] lists adapters and resolves `--device`, `device` holds the logical device and turns its failures into
//! errors, `pipelines` assembles and compiles shaders, `engine` runs recordings, [`program`] any
//! other shader, [`tuning`] holds measured choices of variants.

mod adapter;
mod device;
mod engine;
mod launch;
mod noop;
mod pipelines;
pub mod program;
pub mod select;
mod timing;
pub mod tuning;

pub use adapter::{Adapter, AdapterFacts, AdapterKind, Backend, enumerate, quiet_drivers};
pub use device::Device;
pub use engine::GpuEngine;
pub use select::{Choice, DeviceTarget, choose, for_process, open};
pub use tuning::Tuning;

use crate::kernels::Class;
use crate::kernels::shader::{self, Source};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Options of a GPU engine; the default suits training.
#[derive(Clone, Debug)]
pub struct GpuOptions {
    /// Shader variants; `None`: [`Class::Tiled`] on hardware, [`Class::Lanes`] on software adapters that can run them,
    /// [`Class::Direct`] on the others.
    pub class: Option<Class>,
    /// Request WebGPU's default limits and no optional feature, even if the adapter offers more.
    pub default_limits: bool,
    /// Keep naga's run-time checks (index clamping, loop bounds, integer division) and the zeroing of workgroup memory;
    /// `None`: on software adapters only ([`AdapterFacts::checked`]).
    pub checked: Option<bool>,
    /// Shader text by path: a replacement for one of the catalogue's files, such as `nn/conv2d_direct.wgsl`, or, in a folder that
    /// the catalogue does not have, the shader of a row outside it, such as `custom/axpy.wgsl`. Given text always runs checked.
    pub sources: BTreeMap<String, Source>,
    /// Unroll the loops that the shaders mark for it, unless the adapter's compiler cannot handle them
    /// ([`AdapterFacts::expands`]).
    pub unroll: bool,
    /// Request timestamps if the adapter has them (and default limits are not requested):
    /// [`crate::exec::Engine::timed`] then reads the device's clock.
    pub timestamps: bool,
    /// Measured choices among the variants of [`Class::Tiled`]; `None`: those of the rows.
    pub tuning: Option<Arc<Tuning>>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        GpuOptions {
            class: None,
            default_limits: false,
            checked: None,
            sources: BTreeMap::new(),
            unroll: true,
            timestamps: false,
            tuning: None,
        }
    }
}

impl GpuOptions {
    /// Refuses files in a folder of the catalogue that no kernel is built from: the name is a mistake, and the text would not run.
    fn check(&self) -> Result<()> {
        let folder = |file: &str| file.split_once('/').map(|(folder, _)| folder.to_string());
        for file in self.sources.keys() {
            let own = shader::files().iter().all(|(known, _)| folder(known) != folder(file));
            let foreign = folder(file).is_some() && own;
            if !foreign && !shader::kernel_files().any(|(name, _)| name == file) {
                let known: Vec<&str> = shader::kernel_files().map(|f| f.0).collect();
                return Err(Error::input(format!(
                    "no kernel is built from `{file}`; shader files: {}; the shaders of other kernels lie in other folders",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }
}
