//! The GPU engine: buffers, prepared recordings, submission.

use super::launch::{SLOT, check_grid, describe, operand_bytes, pack_params, param_bytes, parts, predicted_seconds};
use super::pipelines::Pipelines;
use super::timing::Clock;
use super::{Device, GpuOptions, Tuning, select};
use crate::error::{size, sizes};
use crate::exec::{BufferId, Descriptor, Engine, Launch, Purpose, Recording, Tensor, Timed, Traffic};
use crate::kernels::{Build, Class};
use crate::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Submissions in flight at once: enough to keep the device busy, few enough to notice a lost device or a user's
/// interrupt soon.
const IN_FLIGHT: usize = 4;
/// Uploads wait in staging memory for the next submission. Beyond this many bytes they are submitted at once, and
/// larger uploads are split: memory visible to both host and device may be as small as 256 MiB, and wgpu requests no
/// other.
const UPLOADS: usize = 16 << 20;

/// One launch, ready to encode.
#[derive(Debug)]
struct Step {
    pipeline: wgpu::ComputePipeline,
    operands: wgpu::BindGroup,
    grid: [u32; 3],
}

/// A recording, ready to encode: its launches and its submission boundaries.
#[derive(Debug)]
struct PreparedLaunch {
    steps: Vec<Step>,
    parts: Vec<Range<usize>>,
}

/// Runs recordings through wgpu.
#[derive(Debug)]
pub struct GpuEngine {
    device: Arc<Device>,
    class: Class,
    tuning: Option<Arc<Tuning>>,
    pipelines: Pipelines,
    buffers: Vec<wgpu::Buffer>,
    prepared: HashMap<u64, PreparedLaunch>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    pending_upload: usize,
    allocated: u64,
    traffic: Traffic,
    descriptor: Descriptor,
    clock: Option<Clock>,
}

impl GpuEngine {
    /// An engine without buffers on `device`.
    ///
    /// # Errors
    /// [`Error::Input`] when `options` replace a shader file that does not exist, or ask for variants that the device cannot run.
    pub fn new(device: Arc<Device>, options: GpuOptions) -> Result<Self> {
        options.check()?;
        let facts = device.facts();
        let class = options.class.unwrap_or(device.class());
        if !device.runs(class) {
            return Err(Error::input(format!(
                "{} cannot run the variants `{}`: they need a software adapter with subgroups of 8 invocations and 64-bit integers",
                facts.title(),
                class.name()
            )));
        }
        let checked = options.checked.unwrap_or(facts.checked());
        let options = GpuOptions { unroll: options.unroll && facts.expands(), ..options };
        let descriptor = Descriptor {
            engine: "gpu".into(),
            adapter: facts.name.clone(),
            address: facts.address(),
            backend: format!("{:?}", facts.backend),
            device_type: format!("{:?}", facts.kind),
            driver: facts.driver.clone(),
            variant: class.name().into(),
        };
        Ok(GpuEngine {
            device,
            class,
            tuning: options.tuning.clone(),
            pipelines: Pipelines::new(options, checked),
            buffers: Vec::new(),
            prepared: HashMap::new(),
            in_flight: VecDeque::new(),
            pending_upload: 0,
            allocated: 0,
            traffic: Traffic::default(),
            descriptor,
            clock: None,
        })
    }

    /// The engine for `--device REQUEST`, if that is a GPU engine.
    ///
    /// # Errors
    /// As [`select::open`]; [`Error::Input`] when the request selects an engine without a GPU.
    pub fn open(request: &str, options: GpuOptions) -> Result<Self> {
        match select::choose(request)? {
            select::Choice { target: select::DeviceTarget::Gpu(adapter), .. } => {
                GpuEngine::new(Device::open_for(&adapter, &options)?, options)
            }
            select::Choice { reason, .. } => Err(Error::input(format!("device `{request}` is {reason}"))),
        }
    }

    /// The shader variants in use.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Uses these choices (`None`: the rows' own) for every recording that has not run yet. The other
    /// classes have no choices.
    pub fn retune(&mut self, tuning: Option<Arc<Tuning>>) {
        self.tuning = tuning;
    }

    /// The shader build of a launch.
    fn build(&self, launch: &Launch) -> Build {
        let tuning = self.tuning.as_ref().filter(|_| self.class == Class::Tiled);
        let tuned = tuning.and_then(|t| t.build(launch.kernel, &launch.params));
        tuned.unwrap_or_else(|| launch.kernel.build(&launch.params, self.class))
    }

    fn buffer(&self, tensor: Tensor) -> Result<&wgpu::Buffer> {
        let buffer = self.buffers.get(tensor.buffer.0 as usize);
        buffer.ok_or_else(|| Error::internal(format!("tensor of another engine (buffer {})", tensor.buffer.0)))
    }

    /// Submits `commands` and waits for the oldest submissions until few enough are in flight.
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
            let build = self.build(launch);
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
        self.prepared.insert(recording.id(), PreparedLaunch { steps, parts: parts(&predicted) });
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
                let [needs, has] = sizes(bytes, self.device.max_binding_bytes());
                return Err(Error::device(format!(
                    "{}: kernel `{}`: operand `{}` has {needs}; this device binds at most {has}",
                    launch.label,
                    launch.kernel.name(),
                    binding.name
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

    /// One part of an execution, `times` times, in one compute pass. wgpu inserts barriers between launches that share
    /// a written buffer.
    fn encode(
        &self,
        recording: &Recording,
        part: Range<usize>,
        times: u32,
        timestamps: Option<wgpu::ComputePassTimestampWrites>,
    ) -> Result<wgpu::CommandBuffer> {
        let prepared = self.prepared.get(&recording.id());
        let steps = prepared.and_then(|p| p.steps.get(part.clone())).unwrap_or(&[]);
        let device = &self.device;
        device.guarded(
            || describe(&recording.launches()[part]),
            || {
                let mut encoder = device.device.create_command_encoder(&Default::default());
                {
                    let mut pass = encoder
                        .begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: timestamps });
                    for step in (0..times).flat_map(|_| steps) {
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
                let ([needs, has], title) = (sizes(bytes, limit), self.device.facts().title());
                return Err(Error::device(format!("`{label}` needs {needs}; {title} allows {has} ({name})")));
            }
        }
        let doing = || format!("allocating {} for `{label}` in addition to {}", size(bytes), size(self.allocated));
        let buffer = self.device.guarded(doing, || {
            self.device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let buffer = buffer.map_err(|error| match error {
            Error::OutOfMemory { what, .. } => Error::OutOfMemory { what, held: self.allocated },
            other => other,
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
        let doing = || format!("uploading {}", size(4 * words.len() as u64));
        for (at, piece) in words.chunks(UPLOADS / 4).enumerate() {
            let buffer = self.buffer(to)?;
            let offset = to.offset as u64 * 4 + (at * UPLOADS) as u64;
            self.device.guarded(doing, || {
                self.device.queue.write_buffer(buffer, offset, bytemuck::cast_slice(piece));
            })?;
            self.pending_upload += 4 * piece.len();
            if self.pending_upload >= UPLOADS {
                self.submit(|| "uploading".into(), None)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        if from.words == 0 {
            return Ok(Vec::new());
        }
        let bytes = from.words as u64 * 4;
        let doing = || format!("reading {} back", size(bytes));
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
            Err(_) => return Err(Error::device(format!("{}: the device did not answer", doing()))),
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
                let commands = self.encode(recording, part.clone(), 1, None)?;
                self.submit(|| describe(&recording.launches()[part.clone()]), Some(commands))?;
            }
        }
        Ok(())
    }

    /// All executions in one pass if one submission holds a whole execution; the device's time is the sum over all
    /// passes.
    fn timed(&mut self, recording: &Recording, times: u32) -> Result<Timed> {
        self.prepare(recording)?;
        self.finish()?;
        let parts = self.prepared.get(&recording.id()).map(|p| p.parts.clone()).unwrap_or_default();
        let (passes, of_each) = if parts.len() == 1 { (1, times) } else { (times, 1) };
        let pairs = passes.saturating_mul(parts.len() as u32);
        if self.device.has_timestamps() && self.clock.as_ref().is_none_or(|c| c.pairs() < pairs) {
            self.clock = Clock::new(&self.device, pairs)?;
        }
        // Taken out temporarily: passes are encoded from the engine's own state.
        let clock = self.clock.take().filter(|c| c.pairs() >= pairs);
        let start = Instant::now();
        for pass in 0..passes {
            for (at, part) in (0u32..).zip(&parts) {
                let writes = clock.as_ref().map(|c| c.writes(pass * parts.len() as u32 + at));
                let commands = self.encode(recording, part.clone(), of_each, writes)?;
                self.submit(|| describe(&recording.launches()[part.clone()]), Some(commands))?;
            }
        }
        self.finish()?;
        let wall = start.elapsed().as_secs_f64();
        let device = match &clock {
            Some(clock) => clock.read(&self.device, pairs)?,
            None => None,
        };
        self.clock = clock;
        Ok(Timed { wall, device })
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
mod tests;
