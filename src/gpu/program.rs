//! Any compute shader, run by its own interface: buffers, a pipeline, timed dispatches. For shaders that no catalogue row declares.

use super::Device;
use super::device::describe;
use super::timing::Clock;
use crate::error::size;
use crate::exec::Timed;
use crate::kernels::shader::Assembled;
use crate::{Error, Result};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// What a shader may do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// `var<uniform>`.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// Where a shader binds a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The bind group.
    pub group: u32,
    /// The number in the group.
    pub binding: u32,
    /// The use.
    pub access: Use,
}

/// A buffer of bytes on a device.
#[derive(Debug)]
pub struct Memory {
    device: Arc<Device>,
    buffer: wgpu::Buffer,
    bytes: u64,
}

impl Memory {
    /// A buffer with these contents, whose length must be a multiple of 4 and not 0.
    ///
    /// # Errors
    /// [`Error::Device`] when it exceeds a limit of the device, with both sizes; when memory is exhausted.
    pub fn new(device: &Arc<Device>, label: &str, contents: &[u8]) -> Result<Memory> {
        let bytes = contents.len() as u64;
        let most = device.limits.max_buffer_size.min(device.limits.max_storage_buffer_binding_size);
        if bytes == 0 || !bytes.is_multiple_of(4) || bytes > most {
            let (needs, has) = (size(bytes), size(most));
            return Err(Error::device(format!(
                "`{label}` needs {needs}; {} binds at most {has}",
                device.facts.title()
            )));
        }
        let buffer = device.guarded(
            || format!("allocating {} for `{label}`", size(bytes)),
            || {
                device.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(label),
                    size: bytes,
                    usage: wgpu::BufferUsages::STORAGE
                        | wgpu::BufferUsages::UNIFORM
                        | wgpu::BufferUsages::COPY_SRC
                        | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            },
        )?;
        let memory = Memory { device: device.clone(), buffer, bytes };
        memory.write(contents)?;
        Ok(memory)
    }

    /// Replaces the first bytes; the length must be a multiple of 4.
    ///
    /// # Errors
    /// When the device fails.
    pub fn write(&self, contents: &[u8]) -> Result<()> {
        let doing = || format!("uploading {}", size(contents.len() as u64));
        self.device.guarded(doing, || {
            self.device.queue.write_buffer(&self.buffer, 0, contents);
            self.device.queue.submit(None)
        })?;
        Ok(())
    }

    /// All bytes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&self) -> Result<Vec<u8>> {
        let device = &self.device;
        let doing = || format!("reading {} back", size(self.bytes));
        let (sender, receiver) = mpsc::channel();
        let staging = device.guarded(doing, || {
            let staging = device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read back"),
                size: self.bytes,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = device.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&self.buffer, 0, &staging, 0, Some(self.bytes));
            device.queue.submit(Some(encoder.finish()));
            staging.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
            staging
        })?;
        device.wait(None)?;
        match receiver.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Error::device(format!("{}: {error}", doing()))),
            Err(_) => return Err(Error::device(format!("{}: the device did not answer", doing()))),
        }
        let view = staging.get_mapped_range(..).map_err(|error| Error::device(format!("{}: {error}", doing())))?;
        Ok(view.to_vec())
    }
}

/// A shader to compile.
#[derive(Clone, Copy, Debug)]
pub struct ProgramText<'a> {
    /// The WGSL.
    pub wgsl: &'a Assembled,
    /// Its compute entry point.
    pub entry: &'a str,
    /// Values of its `override` constants.
    pub constants: &'a [(String, f64)],
    /// Keep naga's run-time checks: clamped indices, bounded loops, zeroed workgroup memory.
    pub checked: bool,
}

/// A compiled shader.
#[derive(Debug)]
pub struct Program {
    device: Arc<Device>,
    name: String,
    pipeline: wgpu::ComputePipeline,
    layouts: Vec<wgpu::BindGroupLayout>,
    slots: Vec<Slot>,
    clock: Option<Clock>,
}

impl Program {
    /// Compiles `text`, which binds `slots`.
    ///
    /// # Errors
    /// [`Error::Input`] with what the device or naga says about the shader.
    pub fn new(device: &Arc<Device>, text: ProgramText, slots: &[Slot]) -> Result<Program> {
        let name = text.wgsl.name().to_string();
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&name),
            source: wgpu::ShaderSource::Wgsl(text.wgsl.text().into()),
        };
        let ((pipeline, layouts), error) = device.scoped(|| {
            let module = if text.checked {
                device.device.create_shader_module(descriptor)
            } else {
                // SAFETY: not provable for a shader that the user brings. It runs so only on request, after the same text ran
                // with checks on the same buffers without a finding, as a native program of its author would run it.
                unsafe {
                    let checks = wgpu::ShaderRuntimeChecks::unchecked();
                    device.device.create_shader_module_trusted(descriptor, checks)
                }
            };
            // The caller has checked the groups against the device's limit.
            let groups = slots.iter().map(|s| s.group.saturating_add(1)).max().unwrap_or(0);
            let layouts: Vec<_> = (0..groups).map(|group| layout(&device.device, &name, slots, group)).collect();
            let pipeline_layout = device.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&name),
                bind_group_layouts: &layouts.iter().map(Some).collect::<Vec<_>>(),
                immediate_size: 0,
            });
            let constants: Vec<(&str, f64)> =
                text.constants.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let pipeline = device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(text.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    zero_initialize_workgroup_memory: text.checked,
                },
                cache: None,
            });
            (pipeline, layouts)
        });
        if let Some(error) = error {
            return Err(Error::input(format!("{name}: {}", plain(&describe(&error)))));
        }
        device.check()?;
        let clock = if device.has_timestamps() { Clock::new(device, 1)? } else { None };
        Ok(Program { device: device.clone(), name, pipeline, layouts, slots: slots.to_vec(), clock })
    }

    /// Binds `buffers`, in the order of the slots, each with the number of bytes that the shader may see of it.
    ///
    /// # Errors
    /// [`Error::Input`] when the shader does not accept them, [`Error::Device`] when the grid is too large.
    pub fn bind(&self, buffers: &[(&Memory, u64)], grid: [u32; 3]) -> Result<Bound> {
        let limit = self.device.limits.max_compute_workgroups_per_dimension;
        if !grid.iter().all(|g| (1..=limit).contains(g)) {
            let [x, y, z] = grid;
            let what = format!("a grid of {x} x {y} x {z} workgroups; each must be within 1..={limit} on this device");
            return Err(Error::input(format!("{}: {what}", self.name)));
        }
        let (groups, error) = self.device.scoped(|| {
            let group = |at: usize| {
                let members = self.slots.iter().zip(buffers).filter(|(slot, _)| slot.group as usize == at);
                let entries: Vec<_> = members
                    .map(|(slot, (memory, bytes))| wgpu::BindGroupEntry {
                        binding: slot.binding,
                        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                            buffer: &memory.buffer,
                            offset: 0,
                            size: std::num::NonZeroU64::new(*bytes),
                        }),
                    })
                    .collect();
                self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(&self.name),
                    layout: &self.layouts[at],
                    entries: &entries,
                })
            };
            (0..self.layouts.len()).map(group).collect()
        });
        match error {
            Some(error) => Err(Error::input(format!("{}: {}", self.name, plain(&describe(&error))))),
            None => Ok(Bound { groups, grid }),
        }
    }

    /// Runs a launch `times` times in one pass and waits. The device's time is that of the pass, if the device was opened with
    /// timestamps.
    ///
    /// # Errors
    /// When the device fails; [`Error::Verdict`] when it is not done after `limit`: the work cannot be stopped, and the process
    /// should end.
    pub fn run(&self, bound: &Bound, times: u32, limit: Duration) -> Result<Timed> {
        let device = &self.device;
        let start = Instant::now();
        let submission = device.guarded(
            || self.name.clone(),
            || {
                let mut encoder = device.device.create_command_encoder(&Default::default());
                {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: None,
                        timestamp_writes: self.clock.as_ref().map(|clock| clock.writes(0)),
                    });
                    pass.set_pipeline(&self.pipeline);
                    for (at, group) in (0u32..).zip(&bound.groups) {
                        pass.set_bind_group(at, group, &[]);
                    }
                    for _ in 0..times {
                        pass.dispatch_workgroups(bound.grid[0], bound.grid[1], bound.grid[2]);
                    }
                }
                device.queue.submit(Some(encoder.finish()))
            },
        )?;
        if !device.wait_for(submission, limit)? {
            // Dropping the device would wait for the work.
            std::mem::forget(device.clone());
            let seconds = limit.as_secs_f64();
            return Err(Error::Verdict(format!(
                "{}: not done after {seconds} s: an endless loop, or too much work for --timeout",
                self.name
            )));
        }
        let wall = start.elapsed().as_secs_f64();
        let device_time = self.clock.as_ref().map(|clock| clock.read(device, 1)).transpose()?.flatten();
        Ok(Timed { wall, device: device_time.filter(|t| *t <= wall) })
    }
}

/// The buffers of a launch and its grid.
#[derive(Debug)]
pub struct Bound {
    groups: Vec<wgpu::BindGroup>,
    grid: [u32; 3],
}

/// What a device says about a shader, without the name of the call that said it.
fn plain(what: &str) -> &str {
    match what.split_once(": ") {
        Some((call, rest)) if call.starts_with("In Device::") => rest,
        _ => what,
    }
}

fn layout(device: &wgpu::Device, name: &str, slots: &[Slot], group: u32) -> wgpu::BindGroupLayout {
    let entry = |slot: &Slot| wgpu::BindGroupLayoutEntry {
        binding: slot.binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match slot.access {
                Use::Uniform => wgpu::BufferBindingType::Uniform,
                access => wgpu::BufferBindingType::Storage { read_only: access == Use::Read },
            },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = slots.iter().filter(|s| s.group == group).map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries })
}
