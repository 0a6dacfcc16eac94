//! Compiles a catalogue row's build to a pipeline; cached by shader file and constants.

use super::device::describe;
use super::{Device, GpuOptions};
use crate::exec::Launch;
use crate::kernels::shader::{self, Assembled};
use crate::kernels::{Access, AnyKernel, Build, reflect};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};

/// A compiled shader and the layout of its one bind group.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// Everything that a pipeline depends on: shader file, constants, and which bindings are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    file: &'static str,
    consts: Vec<(&'static str, u32)>,
    writes: Vec<bool>,
}

/// The pipelines of one engine.
#[derive(Debug)]
pub(super) struct Pipelines {
    options: GpuOptions,
    checked: bool,
    cache: HashMap<Key, Pipeline>,
}

impl Pipelines {
    pub(super) fn new(options: GpuOptions, checked: bool) -> Self {
        Pipelines { options, checked, cache: HashMap::new() }
    }

    /// The pipelines of `launches` and their builds, in order; new ones are compiled on all threads.
    ///
    /// # Errors
    /// The first launch in order whose shader does not compile.
    pub(super) fn of(&mut self, device: &Device, launches: &[Launch], builds: &[Build]) -> Result<Vec<Pipeline>> {
        let key = |launch: &Launch, build: &Build| Key {
            file: build.file,
            consts: build.consts.clone(),
            writes: launch.kernel.bindings().iter().map(|b| b.access == Access::ReadWrite).collect(),
        };
        let keys: Vec<Key> = launches.iter().zip(builds).map(|(l, b)| key(l, b)).collect();
        let mut seen = HashSet::new();
        let new: Vec<usize> =
            (0..keys.len()).filter(|i| !self.cache.contains_key(&keys[*i]) && seen.insert(&keys[*i])).collect();
        let (options, checked) = (&self.options, self.checked);
        // Error scopes belong to the thread that opened them, so threads do not see each other's errors.
        let made: Vec<Result<Pipeline>> = new
            .par_iter()
            .map(|i| {
                let Launch { kernel, label, .. } = &launches[*i];
                Shader { device, options, checked, build: &builds[*i], kernel: *kernel, label }
                    .pipeline(&keys[*i].writes)
            })
            .collect();
        for (i, pipeline) in new.iter().zip(made) {
            self.cache.insert(keys[*i].clone(), pipeline?);
        }
        keys.iter()
            .map(|key| self.cache.get(key).cloned().ok_or_else(|| Error::internal("a pipeline was not compiled")))
            .collect()
    }
}

/// One compilation.
struct Shader<'a> {
    device: &'a Device,
    options: &'a GpuOptions,
    checked: bool,
    build: &'a Build,
    kernel: &'a dyn AnyKernel,
    label: &'a str,
}

impl Shader<'_> {
    fn replaced(&self) -> bool {
        self.options.sources.contains_key(self.build.file)
    }

    /// An error of a message that names the shader: a failure in the user's text is bad input; a failure in a shader of the
    /// catalogue is a fault of the device or the program.
    fn fail(&self, what: &str) -> Error {
        if self.replaced() {
            return Error::input(what);
        }
        Error::device(format!("{}: kernel `{}`: {what}", self.label, self.kernel.name()))
    }

    /// An error of a message that names no shader.
    fn fail_at(&self, what: &str) -> Error {
        let name = self.options.sources.get(self.build.file).map_or(self.build.file, |source| &source.name);
        self.fail(&format!("{name}: {what}"))
    }

    fn assembled(&self) -> Result<Assembled> {
        let Build { file, consts, .. } = self.build;
        match self.options.sources.get(*file) {
            Some(source) => shader::assemble(source, consts, self.options.unroll),
            None => shader::assemble_file(file, consts, self.options.unroll),
        }
        .map_err(|what| self.fail(&what))
    }

    fn module(&self) -> Result<wgpu::ShaderModule> {
        let assembled = self.assembled()?;
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(self.build.file),
            source: wgpu::ShaderSource::Wgsl(assembled.text().into()),
        };
        let (module, error) = self.device.scoped(|| {
            if self.checked || self.replaced() {
                return self.device.device.create_shader_module(descriptor);
            }
            // SAFETY: only shaders of the catalogue get here. Recording checked every operand against the row's
            // extents, which bound all indices. Loops terminate because their bounds come from checked parameters.
            // Tests run both forms and require equal bits.
            unsafe {
                let checks = wgpu::ShaderRuntimeChecks::unchecked();
                self.device.device.create_shader_module_trusted(descriptor, checks)
            }
        });
        let Some(error) = error else { return Ok(module) };
        // naga's own message names the lines that were written; wgpu's only those of the assembled text.
        if let Err(what) = reflect::Shader::parse(&assembled) {
            return Err(self.fail(&what));
        }
        let info = pollster::block_on(module.get_compilation_info());
        match info.messages.iter().find(|m| m.message_type == wgpu::CompilationMessageType::Error) {
            Some(wgpu::CompilationMessage { message, location: Some(at), .. }) => {
                let range = at.offset as usize..(at.offset + at.length) as usize;
                Err(self.fail(&assembled.show(range, message.trim(), "")))
            }
            Some(message) => Err(self.fail_at(message.message.trim())),
            None => Err(self.fail_at(&describe(&error))),
        }
    }

    fn pipeline(&self, writes: &[bool]) -> Result<Pipeline> {
        let module = self.module()?;
        let device = &self.device.device;
        let (made, error) = self.device.scoped(|| {
            let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(self.kernel.name()),
                entries: &entries(writes),
            });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(self.kernel.name()),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(self.kernel.name()),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: self.checked || self.replaced(),
                    ..Default::default()
                },
                cache: None,
            });
            Pipeline { pipeline, layout }
        });
        match error {
            Some(error) => Err(self.fail_at(&describe(&error))),
            None => self.device.check().map(|()| made),
        }
    }
}

/// Binding 0: the parameter block; binding `i + 1`: operand `i`.
fn entries(writes: &[bool]) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding: u32, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let storage =
        (1u32..).zip(writes).map(|(i, write)| entry(i, wgpu::BufferBindingType::Storage { read_only: !write }));
    std::iter::once(entry(0, wgpu::BufferBindingType::Uniform)).chain(storage).collect()
}
