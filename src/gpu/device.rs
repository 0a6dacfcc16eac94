//! A logical device whose failures are errors: every call has error scopes, and nothing panics.

use super::adapter::LANES;
use super::{Adapter, AdapterFacts};
use crate::kernels::Class;
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Errors that the driver reported outside any error scope.
#[derive(Debug, Default)]
struct Health {
    uncaptured: Option<String>,
    lost: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open device. Engines on it share its queue and, on software adapters, its thread pool.
#[derive(Debug)]
pub struct Device {
    pub(super) facts: AdapterFacts,
    pub(super) limits: wgpu::Limits,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    default_limits: bool,
    optional: wgpu::Features,
    health: Arc<Mutex<Health>>,
}

impl Device {
    /// Opens `adapter`, or returns the device that another engine of this process opened on it with the same limits.
    /// `default_limits` requests WebGPU's default limits and no optional feature, instead of the adapter's limits and, where the
    /// adapter runs [`Class::Lanes`], the features that it needs.
    ///
    /// # Errors
    /// [`Error::Device`] with the driver's reason.
    pub fn open(adapter: &Adapter, default_limits: bool) -> Result<Arc<Device>> {
        Device::shared(adapter, default_limits, wgpu::Features::empty())
    }

    /// [`Device::open`] according to `options`: with timestamps if requested and available.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_for(adapter: &Adapter, options: &super::GpuOptions) -> Result<Arc<Device>> {
        let wanted = if options.timestamps { wgpu::Features::TIMESTAMP_QUERY } else { wgpu::Features::empty() };
        Device::shared(adapter, options.default_limits, wanted)
    }

    /// Opens `adapter` for a foreign shader: with timestamps if available, and with 16-bit floats if `half`.
    ///
    /// # Errors
    /// As [`Device::open`]; an adapter without 16-bit floats if the shader needs them.
    pub fn open_foreign(adapter: &Adapter, default_limits: bool, half: bool) -> Result<Arc<Device>> {
        let needs = if half { wgpu::Features::SHADER_F16 } else { wgpu::Features::empty() };
        if !adapter.handle.features().contains(needs) {
            return Err(Error::input(format!("{} has no 16-bit floats (shader-f16)", adapter.facts.title())));
        }
        // Without default limits, whatever is optional is requested as well.
        Device::shared(adapter, default_limits, needs | wgpu::Features::TIMESTAMP_QUERY)
    }

    /// A device with those of the features `wanted` that the adapter has, and with default limits only 16-bit floats.
    fn shared(adapter: &Adapter, default_limits: bool, wanted: wgpu::Features) -> Result<Arc<Device>> {
        static OPEN: Mutex<Vec<Weak<Device>>> = Mutex::new(Vec::new());
        let allowed = if default_limits { wgpu::Features::SHADER_F16 } else { wgpu::Features::all() };
        let lanes = !default_limits && adapter.facts.runs(Class::Lanes);
        let lanes = if lanes { LANES } else { wgpu::Features::empty() };
        let optional = wanted & allowed & adapter.handle.features() | lanes;
        let mut open = lock(&OPEN);
        open.retain(|device| device.strong_count() > 0);
        let shared = open
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|d| d.default_limits == default_limits && d.optional == optional)
            .find(|d| d.facts == adapter.facts && lock(&d.health).lost.is_none());
        if let Some(device) = shared {
            return Ok(device);
        }
        let device = Arc::new(Device::request(adapter, default_limits, optional)?);
        open.push(Arc::downgrade(&device));
        Ok(device)
    }

    /// A new device with these optional features, which the adapter must have.
    pub(super) fn request(adapter: &Adapter, default_limits: bool, optional: wgpu::Features) -> Result<Device> {
        let limits = if default_limits { wgpu::Limits::default() } else { adapter.handle.limits() };
        let request = adapter.handle.request_device(&wgpu::DeviceDescriptor {
            label: Some("fedgan"),
            required_limits: limits.clone(),
            required_features: optional,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request)
            .map_err(|e| Error::device(format!("{} cannot be opened: {e}", adapter.facts.title())))?;
        let health = Arc::new(Mutex::new(Health::default()));
        let seen = health.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&seen).uncaptured.get_or_insert_with(|| describe(&error));
        }));
        let seen = health.clone();
        device.set_device_lost_callback(move |reason, message| {
            lock(&seen).lost.get_or_insert_with(|| format!("{reason:?} {message}").trim().to_string());
        });
        Ok(Device { facts: adapter.facts.clone(), limits, device, queue, default_limits, optional, health })
    }

    /// The properties of the adapter.
    pub fn facts(&self) -> &AdapterFacts {
        &self.facts
    }

    /// Most threads of a workgroup along each axis, most in all, and most bytes of its memory.
    pub fn workgroup_limits(&self) -> ([u32; 3], u32, u32) {
        let wgpu::Limits { max_compute_workgroup_size_x: x, max_compute_workgroup_size_y: y, .. } = self.limits;
        let axes = [x, y, self.limits.max_compute_workgroup_size_z];
        let limits = &self.limits;
        (axes, limits.max_compute_invocations_per_workgroup, limits.max_compute_workgroup_storage_size)
    }

    /// Number of bind groups.
    pub fn max_groups(&self) -> u32 {
        self.limits.max_bind_groups
    }

    /// Most workgroups of a dispatch along each axis.
    pub fn max_workgroups(&self) -> u32 {
        self.limits.max_compute_workgroups_per_dimension
    }

    /// True if the device was opened with what the shaders of `class` need.
    pub fn runs(&self, class: Class) -> bool {
        class != Class::Lanes || self.optional.contains(LANES)
    }

    /// The default shader variants on this device.
    pub(super) fn class(&self) -> Class {
        match self.facts.class() {
            Class::Lanes if !self.runs(Class::Lanes) => Class::Direct,
            class => class,
        }
    }

    /// True when the device's clock can time passes.
    pub(super) fn has_timestamps(&self) -> bool {
        self.optional.contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// The largest range that a shader may bind, in bytes (a multiple of 16).
    pub(super) fn max_binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size) / 16 * 16
    }

    /// Fails if the device was lost, or if an error occurred outside any scope since the last call.
    pub(super) fn check(&self) -> Result<()> {
        let mut health = lock(&self.health);
        if let Some(lost) = &health.lost {
            let what = format!("{} was lost: {lost}", self.facts.title());
            // wgpu has no error of its own for staging memory: a device that runs out of it is lost, with this reason.
            return Err(match lost.to_lowercase().contains("out of memory") {
                true => Error::OutOfMemory { what, held: 0 },
                false => Error::Device(what),
            });
        }
        match health.uncaptured.take() {
            Some(what) => Err(Error::device(format!("{}: {what}", self.facts.title()))),
            None => Ok(()),
        }
    }

    /// Runs `work` inside error scopes; `doing` describes the failed operation.
    pub(super) fn guarded<T>(&self, doing: impl FnOnce() -> String, work: impl FnOnce() -> T) -> Result<T> {
        let (done, error) = self.scoped(work);
        match error {
            Some(error) => {
                let what = format!("{}: {}", doing(), describe(&error));
                Err(match error {
                    wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { what, held: 0 },
                    _ => Error::Device(what),
                })
            }
            None => self.check().map(|()| done),
        }
    }

    /// Runs `work` inside error scopes; returns its result and the first error caught.
    pub(super) fn scoped<T>(&self, work: impl FnOnce() -> T) -> (T, Option<wgpu::Error>) {
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let done = work();
        let validation = pollster::block_on(validation.pop());
        let memory = pollster::block_on(memory.pop());
        let internal = pollster::block_on(internal.pop());
        (done, memory.or(internal).or(validation))
    }

    /// Waits at most `limit` for a submission; `false` if it is not done by then.
    pub(super) fn wait_for(&self, submission: wgpu::SubmissionIndex, limit: std::time::Duration) -> Result<bool> {
        let poll = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(limit) };
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(wgpu::PollError::Timeout)) => Ok(false),
            Ok(Err(error)) => Err(Error::device(format!("{}: waiting failed: {error}", self.facts.title()))),
            Err(_) => Err(Error::device(format!("{} failed while work was in progress", self.facts.title()))),
        }
    }

    /// Waits for a submission (`None`: for all submissions so far).
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index: submission, timeout: None };
        // wgpu panics in `poll` when the driver reports a lost device; here that becomes an ordinary error.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Error::device(format!("{}: waiting failed: {error}", self.facts.title()))),
            Err(_) => Err(Error::device(format!("{} failed while work was in progress", self.facts.title()))),
        }
    }
}

/// A wgpu error with its causes, outermost first, on one line.
pub(super) fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => "out of device memory".into(),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            let said = description.lines().map(str::trim);
            let wording = |l: &&str| !l.is_empty() && *l != "Validation Error" && *l != "Caused by:";
            said.filter(wording).collect::<Vec<_>>().join(": ")
        }
    }
}
