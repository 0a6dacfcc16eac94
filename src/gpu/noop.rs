//! A device without a driver: wgpu's noop backend.

use super::adapter::LANES;
use super::{Adapter, AdapterFacts, Device};
use crate::{Error, Result};
use std::sync::Arc;

impl Device {
    /// A device on which wgpu validates everything with WebGPU's default limits and computes nothing: buffers can be
    /// written, copied and read, dispatches do nothing. It has the features of [`crate::kernels::Class::Lanes`], so that
    /// those shaders are validated too. It is not listed among the adapters.
    ///
    /// # Errors
    /// [`Error::Device`] when wgpu refuses (a bug).
    pub fn noop() -> Result<Arc<Device>> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::NOOP;
        descriptor.backend_options.noop = wgpu::NoopBackendOptions::enabled();
        let instance = wgpu::Instance::new(descriptor);
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::NOOP));
        let handle = adapters.into_iter().next().ok_or_else(|| Error::device("wgpu offers no noop adapter"))?;
        let adapter = Adapter { facts: AdapterFacts::new(&handle, true), handle };
        let lanes = adapter.handle.features() & LANES;
        let optional = if lanes == LANES { LANES } else { wgpu::Features::empty() };
        Device::request(&adapter, true, optional).map(Arc::new)
    }
}
