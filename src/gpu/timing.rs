//! The device's clock round a compute pass.

use super::Device;
use crate::{Error, Result};
use std::sync::mpsc;

/// Two timestamps: begin and end of a pass.
const BYTES: u64 = 16;

/// A pair of timestamps and the way back to the host.
#[derive(Debug)]
pub(super) struct Clock {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Nanoseconds of a tick.
    period: f64,
}

impl Clock {
    /// A clock of `device`, which must have been opened with timestamps.
    pub(super) fn new(device: &Device) -> Result<Clock> {
        device.guarded(
            || "timestamp queries".into(),
            || {
                let set = device.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("pass times"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2,
                });
                let buffer = |usage| {
                    device.device.create_buffer(&wgpu::BufferDescriptor {
                        label: Some("pass times"),
                        size: BYTES,
                        usage,
                        mapped_at_creation: false,
                    })
                };
                let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
                let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
                Clock { set, resolved, staging, period: device.queue.get_timestamp_period() as f64 }
            },
        )
    }

    /// What a pass to be timed is begun with.
    pub(super) fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Seconds between the two timestamps of a pass that is over; `None` where they are zero or out of order, as some
    /// drivers answer. Resolved in a submission of its own: in the pass's own some drivers resolve before it is over.
    pub(super) fn read(&self, device: &Device) -> Result<Option<f64>> {
        let doing = || "reading timestamps".to_string();
        let (sender, receiver) = mpsc::channel();
        device.guarded(doing, || {
            let mut encoder = device.device.create_command_encoder(&Default::default());
            encoder.resolve_query_set(&self.set, 0..2, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, Some(BYTES));
            device.queue.submit(Some(encoder.finish()));
            self.staging.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
        })?;
        device.wait(None)?;
        match receiver.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Error::device(format!("{}: {error}", doing()))),
            Err(_) => return Err(Error::device(format!("{}: the device gave no answer", doing()))),
        }
        let ticks: Vec<u64> = {
            let view = self.staging.get_mapped_range(..).map_err(|e| Error::device(format!("{}: {e}", doing())))?;
            bytemuck::pod_collect_to_vec(&view)
        };
        self.staging.unmap();
        Ok(seconds(ticks[0], ticks[1], self.period))
    }
}

fn seconds(begin: u64, end: u64, period: f64) -> Option<f64> {
    (begin > 0 && end > begin).then(|| (end - begin) as f64 * period * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_cannot_be_true_are_none() {
        assert!((seconds(1000, 3000, 2.0).unwrap() - 4e-6).abs() < 1e-15);
        for (begin, end) in [(0, 0), (0, 5), (5, 5), (6, 5)] {
            assert_eq!(seconds(begin, end, 1.0), None, "{begin} {end}");
        }
    }
}
