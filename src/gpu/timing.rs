//! Times compute passes with the device's clock.

use super::Device;
use crate::{Error, Result};
use std::sync::mpsc;

/// Bytes of a pair of timestamps: begin and end of a pass.
const PAIR: u64 = 16;
/// Maximum pairs per query set (WebGPU: 4096 queries).
const MOST: u32 = 2048;

/// Pairs of timestamps and the buffers for reading them back.
#[derive(Debug)]
pub(super) struct Clock {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    pairs: u32,
    /// Nanoseconds per tick.
    period: f64,
}

impl Clock {
    /// A clock of `device`, which must have been opened with timestamps, for `pairs` passes; `None` if they exceed a
    /// query set.
    pub(super) fn new(device: &Device, pairs: u32) -> Result<Option<Clock>> {
        if !(1..=MOST).contains(&pairs) {
            return Ok(None);
        }
        let make = || {
            let set = device.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("pass times"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * pairs,
            });
            let buffer = |usage| {
                device.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("pass times"),
                    size: PAIR * u64::from(pairs),
                    usage,
                    mapped_at_creation: false,
                })
            };
            let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            Clock { set, resolved, staging, pairs, period: device.queue.get_timestamp_period() as f64 }
        };
        device.guarded(|| "timestamp queries".into(), make).map(Some)
    }

    /// Passes that it can time.
    pub(super) fn pairs(&self) -> u32 {
        self.pairs
    }

    /// The timestamp writes of pass `at`.
    pub(super) fn writes(&self, at: u32) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(2 * at),
            end_of_pass_write_index: Some(2 * at + 1),
        }
    }

    /// Total seconds of the first `pairs` passes, which have completed; `None` if timestamps are zero or out of order,
    /// as with some drivers. Resolved in a separate submission: some drivers resolve before the pass completes if both
    /// are in one submission.
    pub(super) fn read(&self, device: &Device, pairs: u32) -> Result<Option<f64>> {
        let doing = || "reading timestamps".to_string();
        let bytes = PAIR * u64::from(pairs);
        let (sender, receiver) = mpsc::channel();
        device.guarded(doing, || {
            let mut encoder = device.device.create_command_encoder(&Default::default());
            encoder.resolve_query_set(&self.set, 0..2 * pairs, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, Some(bytes));
            device.queue.submit(Some(encoder.finish()));
            self.staging.map_async(wgpu::MapMode::Read, ..bytes, move |result| drop(sender.send(result)));
        })?;
        device.wait(None)?;
        match receiver.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Error::device(format!("{}: {error}", doing()))),
            Err(_) => return Err(Error::device(format!("{}: the device did not answer", doing()))),
        }
        let ticks: Vec<u64> = {
            let view =
                self.staging.get_mapped_range(..bytes).map_err(|e| Error::device(format!("{}: {e}", doing())))?;
            bytemuck::pod_collect_to_vec(&view)
        };
        self.staging.unmap();
        Ok(ticks.chunks_exact(2).map(|pair| seconds(pair[0], pair[1], self.period)).sum())
    }
}

fn seconds(begin: u64, end: u64, period: f64) -> Option<f64> {
    (begin > 0 && end > begin).then(|| (end - begin) as f64 * period * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implausible_answers_are_none() {
        assert!((seconds(1000, 3000, 2.0).unwrap() - 4e-6).abs() < 1e-15);
        for (begin, end) in [(0, 0), (0, 5), (5, 5), (6, 5)] {
            assert_eq!(seconds(begin, end, 1.0), None, "{begin} {end}");
        }
    }
}
