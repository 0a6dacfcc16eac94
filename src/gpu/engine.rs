//! The GPU engine: buffers, prepared recordings, submission.

use super::pipelines::Pipelines;
use super::{Device, GpuOptions, Kind, select};
use crate::exec::{BufferId, Descriptor, Engine, Launch, Purpose, Recording, Tensor, Traffic};
use crate::kernels::Class;
use crate::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, mpsc};

/// Submissions that may be under way at once: enough to keep the device busy, few enough that a lost device or a user's
/// interrupt is noticed soon.
const IN_FLIGHT: usize = 4;
/// Predicted seconds of a submission at most: Windows resets a device that works on one for 2 s, macOS sooner, and a shared
/// desktop stutters before that.
const SUBMISSION: f64 = 0.1;
/// Uniform bindings start at multiples of this (the largest alignment that WebGPU allows a device to ask for).
const SLOT: usize = 256;
/// Uploads wait in staging memory for the next submission; beyond this many bytes they are submitted at once.
const UPLOADS: u64 = 64 << 20;

/// One launch, ready to encode.
#[derive(Debug)]
struct Step {
    pipeline: wgpu::ComputePipeline,
    operands: wgpu::BindGroup,
    grid: [u32; 3],
}

/// A recording, ready to encode: its launches, and where it is cut into submissions.
#[derive(Debug)]
struct Prepared {
    steps: Vec<Step>,
    parts: Vec<Range<usize>>,
}

/// Runs recordings through wgpu.
#[derive(Debug)]
pub struct GpuEngine {
    device: Arc<Device>,
    class: Class,
    pipelines: Pipelines,
    buffers: Vec<wgpu::Buffer>,
    prepared: HashMap<u64, Prepared>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    pending_upload: u64,
    allocated: u64,
    traffic: Traffic,
    descriptor: Descriptor,
}

impl GpuEngine {
    /// An engine without buffers on `device`.
    ///
    /// # Errors
    /// [`Error::Input`] when `options` replace a shader file that does not exist.
    pub fn new(device: Arc<Device>, options: GpuOptions) -> Result<Self> {
        options.check()?;
        let facts = device.facts();
        let class = options.class.unwrap_or(facts.class());
        let checked = options.checked.unwrap_or(facts.checked());
        let descriptor = Descriptor {
            engine: "gpu".into(),
            adapter: facts.name.clone(),
            backend: format!("{:?}", facts.backend),
            device_type: format!("{:?}", facts.kind),
            driver: facts.driver.clone(),
            variant: class.name().into(),
        };
        Ok(GpuEngine {
            device,
            class,
            pipelines: Pipelines::new(options, checked),
            buffers: Vec::new(),
            prepared: HashMap::new(),
            in_flight: VecDeque::new(),
            pending_upload: 0,
            allocated: 0,
            traffic: Traffic::default(),
            descriptor,
        })
    }

    /// The engine that `--device REQUEST` gives, if that is a GPU engine.
    ///
    /// # Errors
    /// As [`select::open`]; [`Error::Input`] when the request leads to an engine without a GPU.
    pub fn open(request: &str, options: GpuOptions) -> Result<Self> {
        match select::choose(request)? {
            select::Choice { target: select::Target::Gpu(adapter), .. } => {
                GpuEngine::new(Device::open(&adapter, options.default_limits)?, options)
            }
            select::Choice { reason, .. } => Err(Error::input(format!("device `{request}` is {reason}"))),
        }
    }

    /// The shader variants in use.
    pub fn class(&self) -> Class {
        self.class
    }

    fn buffer(&self, tensor: Tensor) -> Result<&wgpu::Buffer> {
        let buffer = self.buffers.get(tensor.buffer.0 as usize);
        buffer.ok_or_else(|| Error::internal(format!("tensor of another engine (buffer {})", tensor.buffer.0)))
    }

    /// Submits `commands` and waits for the oldest submissions until few enough are under way.
    fn submit(&mut self, doing: impl FnOnce() -> String, commands: Option<wgpu::CommandBuffer>) -> Result<()> {
        let index = self.device.guarded(doing, || self.device.queue.submit(commands))?;
        self.pending_upload = 0;
        self.in_flight.push_back(index);
        while self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.device.wait(oldest)?;
        }
        Ok(())
    }

    /// Compiles the recording's pipelines and builds its bind groups, once.
    fn prepare(&mut self, recording: &Recording) -> Result<()> {
        let launches = recording.launches();
        if self.prepared.get(&recording.id()).is_some_and(|p| p.steps.len() == launches.len()) {
            return Ok(());
        }
        let mut builds = Vec::with_capacity(launches.len());
        for launch in launches {
            let build = launch.kernel.build(&launch.params, self.class);
            check_grid(launch, build.grid, self.device.limits.max_compute_workgroups_per_dimension)?;
            builds.push(build);
        }
        let pipelines = self.pipelines.of(&self.device, launches, &builds)?;
        let (params, offsets) = pack_params(launches);
        let uniforms = self.uniforms(&params)?;
        let mut steps = Vec::with_capacity(launches.len());
        for (((launch, build), pipeline), offset) in launches.iter().zip(&builds).zip(pipelines).zip(offsets) {
            let operands = self.operands(launch, &pipeline.layout, &uniforms, offset)?;
            steps.push(Step { pipeline: pipeline.pipeline, operands, grid: build.grid });
        }
        let predicted: Vec<f64> = launches.iter().map(|l| predicted_seconds(l, self.device.facts().kind)).collect();
        self.prepared.insert(recording.id(), Prepared { steps, parts: parts(&predicted) });
        Ok(())
    }

    fn uniforms(&self, params: &[u8]) -> Result<wgpu::Buffer> {
        let device = &self.device.device;
        let doing = || format!("parameter buffer of {} bytes", params.len());
        self.device.guarded(doing, || {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("parameters"),
                size: params.len().max(SLOT) as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            self.device.queue.write_buffer(&buffer, 0, params);
            buffer
        })
    }

    fn operands(
        &self,
        launch: &Launch,
        layout: &wgpu::BindGroupLayout,
        uniforms: &wgpu::Buffer,
        offset: usize,
    ) -> Result<wgpu::BindGroup> {
        let range = |buffer, start: usize, bytes: u64| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: start as u64,
                size: std::num::NonZeroU64::new(bytes),
            })
        };
        let params_bytes = param_bytes(launch) as u64;
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: range(uniforms, offset, params_bytes) }];
        for (i, (tensor, binding)) in launch.args.iter().zip(launch.kernel.bindings()).enumerate() {
            let bytes = operand_bytes(tensor.words);
            if bytes == 0 || bytes > self.device.max_binding_bytes() {
                return Err(Error::device(format!(
                    "{}: kernel `{}`: operand `{}` has {:.1} MiB; this device binds at most {:.1} MiB",
                    launch.label,
                    launch.kernel.name(),
                    binding.name,
                    mib(bytes),
                    mib(self.device.max_binding_bytes())
                )));
            }
            let resource = range(self.buffer(*tensor)?, tensor.offset * 4, bytes);
            entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
        }
        let doing = || format!("{}: kernel `{}`: binding its operands", launch.label, launch.kernel.name());
        self.device.guarded(doing, || {
            self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&launch.label),
                layout,
                entries: &entries,
            })
        })
    }

    /// One part of an execution as one compute pass: wgpu puts barriers between launches that share a written buffer.
    fn encode(&self, recording: &Recording, part: Range<usize>) -> Result<wgpu::CommandBuffer> {
        let prepared = self.prepared.get(&recording.id());
        let steps = prepared.and_then(|p| p.steps.get(part.clone())).unwrap_or(&[]);
        let device = &self.device;
        device.guarded(
            || describe(&recording.launches()[part]),
            || {
                let mut encoder = device.device.create_command_encoder(&Default::default());
                {
                    let mut pass = encoder.begin_compute_pass(&Default::default());
                    for step in steps {
                        pass.set_pipeline(&step.pipeline);
                        pass.set_bind_group(0, &step.operands, &[]);
                        pass.dispatch_workgroups(step.grid[0], step.grid[1], step.grid[2]);
                    }
                }
                encoder.finish()
            },
        )
    }
}

/// Says which launches a submission is made of.
fn describe(launches: &[Launch]) -> String {
    let name = |l: &Launch| format!("{} (kernel `{}`)", l.label, l.kernel.name());
    match launches {
        [] => "an empty recording".into(),
        [one] => name(one),
        [first, .., last] => format!("{} launches, {} to {}", launches.len(), name(first), name(last)),
    }
}

/// A launch's time on a slow device of its kind: half the arithmetic and a third of the bandwidth of entry-level cards.
fn predicted_seconds(launch: &Launch, kind: Kind) -> f64 {
    let (flops, bytes) = match kind {
        Kind::DiscreteGpu => (1e12, 60e9),
        Kind::IntegratedGpu | Kind::VirtualGpu | Kind::Other => (100e9, 10e9),
        Kind::Cpu => (20e9, 4e9),
    };
    let cost = launch.kernel.cost(&launch.params);
    (cost.flops / flops).max(cost.bytes / bytes)
}

/// Consecutive launches of at most [`SUBMISSION`] predicted seconds together; a longer launch is a part of its own.
fn parts(predicted: &[f64]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut sum = 0.0;
    for (i, seconds) in predicted.iter().enumerate() {
        match parts.last_mut() {
            Some(part) if sum + seconds <= SUBMISSION => part.end = i + 1,
            _ => {
                parts.push(i..i + 1);
                sum = 0.0;
            }
        }
        sum += seconds;
    }
    parts
}

fn check_grid(launch: &Launch, grid: [u32; 3], limit: u32) -> Result<()> {
    if grid.iter().all(|g| (1..=limit).contains(g)) {
        return Ok(());
    }
    let [x, y, z] = grid;
    let kernel = launch.kernel.name();
    Err(Error::device(format!(
        "{}: kernel `{kernel}`: a grid of {x} x {y} x {z} workgroups; each must be within 1..={limit}",
        launch.label
    )))
}

/// Bytes of a launch's parameter block: uniform blocks are read in units of 16 bytes.
fn param_bytes(launch: &Launch) -> usize {
    (launch.params.len() * 4).next_multiple_of(16).max(16)
}

/// Bytes of an operand's binding, up to the next vec4: a shader that reads vec4s must reach a last, partial one. The next
/// tensor starts at a multiple of 256 bytes, so nothing else lies there.
fn operand_bytes(words: usize) -> u64 {
    (words as u64 * 4).next_multiple_of(16)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

/// All parameter blocks in one buffer, each in a slot of its own; returns the bytes and where each block starts.
fn pack_params(launches: &[Launch]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut offsets = Vec::with_capacity(launches.len());
    for launch in launches {
        offsets.push(bytes.len());
        bytes.extend_from_slice(bytemuck::cast_slice(&launch.params));
        let end = (offsets[offsets.len() - 1] + param_bytes(launch)).next_multiple_of(SLOT);
        bytes.resize(end, 0);
    }
    (bytes, offsets)
}

impl Engine for GpuEngine {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        let bytes = operand_bytes(words).max(16);
        let limits = &self.device.limits;
        for (name, limit) in [
            ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
            ("max_buffer_size", limits.max_buffer_size),
        ] {
            if bytes > limit {
                return Err(Error::device(format!(
                    "`{label}` needs {:.1} MiB; {} allows {:.1} MiB ({name})",
                    mib(bytes),
                    self.device.facts().title(),
                    mib(limit)
                )));
            }
        }
        let doing = || format!("allocating {:.1} MiB for `{label}` beside {:.1} MiB", mib(bytes), mib(self.allocated));
        let buffer = self.device.guarded(doing, || {
            self.device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })?;
        self.allocated += bytes;
        self.buffers.push(buffer);
        Ok(Tensor { buffer: BufferId(self.buffers.len() as u32 - 1), offset: 0, words })
    }

    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        if words.len() > to.words {
            return Err(Error::internal(format!("write of {} words to a tensor of {}", words.len(), to.words)));
        }
        if words.is_empty() {
            return Ok(());
        }
        let buffer = self.buffer(to)?;
        let doing = || format!("uploading {:.1} MiB", mib(4 * words.len() as u64));
        self.device.guarded(doing, || {
            self.device.queue.write_buffer(buffer, to.offset as u64 * 4, bytemuck::cast_slice(words));
        })?;
        self.pending_upload += 4 * words.len() as u64;
        if self.pending_upload > UPLOADS {
            self.submit(|| "uploading".into(), None)?;
        }
        Ok(())
    }

    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        if from.words == 0 {
            return Ok(Vec::new());
        }
        let bytes = from.words as u64 * 4;
        let doing = || format!("reading {:.1} MiB back", mib(bytes));
        let source = self.buffer(from)?;
        let device = &self.device;
        let (staging, commands) = device.guarded(doing, || {
            let staging = device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read back"),
                size: bytes,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = device.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(source, from.offset as u64 * 4, &staging, 0, Some(bytes));
            (staging, encoder.finish())
        })?;
        self.submit(doing, Some(commands))?;
        let (sender, receiver) = mpsc::channel();
        self.device.guarded(doing, || {
            staging.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
        })?;
        self.finish()?;
        match receiver.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Error::device(format!("{}: {error}", doing()))),
            Err(_) => return Err(Error::device(format!("{}: the device gave no answer", doing()))),
        }
        let view = staging.get_mapped_range(..).map_err(|error| Error::device(format!("{}: {error}", doing())))?;
        let words = bytemuck::pod_collect_to_vec(&view);
        self.traffic.add(purpose, bytes);
        Ok(words)
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        self.prepare(recording)?;
        let parts = self.prepared.get(&recording.id()).map(|p| p.parts.clone()).unwrap_or_default();
        for _ in 0..times {
            for part in &parts {
                let commands = self.encode(recording, part.clone())?;
                self.submit(|| describe(&recording.launches()[part.clone()]), Some(commands))?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.pending_upload > 0 {
            self.submit(|| "uploading".into(), None)?;
        }
        self.in_flight.clear();
        self.device.wait(None)
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn max_binding_words(&self) -> usize {
        usize::try_from(self.device.max_binding_bytes() / 4).unwrap_or(usize::MAX)
    }

    fn allocated_bytes(&self) -> u64 {
        self.allocated
    }

    fn forget(&mut self, recording: &Recording) {
        self.prepared.remove(&recording.id());
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
