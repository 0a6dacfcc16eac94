//! The interface of every engine.

use super::{Recording, Tensor};
use crate::Result;
use std::collections::BTreeMap;

/// Why the host reads device memory. Bytes are counted per purpose; a round may use `RoundScalars` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// A few scalars per client and round: losses, norms.
    RoundScalars,
    /// Samples and metrics on evaluation rounds.
    Evaluation,
    /// Weights written to files.
    Checkpoint,
    /// Validation and tests.
    Check,
    /// Rows that one rank of a cluster sends to another.
    Exchange,
}

/// Bytes read back so far, by purpose.
#[derive(Clone, Debug, Default)]
pub struct Traffic(BTreeMap<Purpose, u64>);

impl Traffic {
    /// Counts `bytes` for `purpose`.
    pub fn add(&mut self, purpose: Purpose, bytes: u64) {
        *self.0.entry(purpose).or_default() += bytes;
    }
    /// Bytes read for `purpose`.
    pub fn bytes(&self, purpose: Purpose) -> u64 {
        self.0.get(&purpose).copied().unwrap_or(0)
    }
    /// Total bytes read.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The identity of an engine for plans, logs and reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Descriptor {
    /// `gpu`, `cpu` or `reference`.
    pub engine: String,
    /// Adapter name, or the CPU engine's name.
    pub adapter: String,
    /// Distinguishes equal GPUs: the PCI address, or the number in `fedgan devices` (`gpu:1`) where the driver reports
    /// none. Empty for engines on the CPU.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// `Vulkan`, `Metal`, `Dx12`, `Gl` or `-`.
    pub backend: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu`, `Cpu`, `Other`.
    pub device_type: String,
    /// Driver name and version, or `-`.
    pub driver: String,
    /// The shader variant class in use (`tiled`, `direct`) or `-`.
    pub variant: String,
}

/// Duration of executions, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// By the host's clock, from submission to completion.
    pub wall: f64,
    /// By the device's clock; `None` if it has none or its answer is implausible.
    pub device: Option<f64>,
}

/// Executes recordings over buffers of 32-bit words.
pub trait Engine {
    /// The identity of this engine.
    fn descriptor(&self) -> &Descriptor;

    /// Allocates a zero-filled buffer of `words` words and returns a tensor over all of it.
    ///
    /// # Errors
    /// When the size exceeds the device's limits (named with the label) or memory is exhausted.
    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor>;

    /// Uploads `words` to the start of `to`.
    ///
    /// # Errors
    /// When the data exceeds the tensor, or the device fails.
    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()>;

    /// Downloads a tensor, counting its bytes for `purpose`.
    ///
    /// # Errors
    /// When the device fails.
    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>>;

    /// Runs the recording `times` times after all earlier work; may return before the device is done.
    ///
    /// # Errors
    /// When a shader does not compile or the device fails; names the launch.
    fn run(&mut self, recording: &Recording, times: u32) -> Result<()>;

    /// Runs the recording `times` times on an idle device, waits for the end and returns the duration. Engines may
    /// submit all executions at once.
    ///
    /// # Errors
    /// As [`Engine::run`].
    fn timed(&mut self, recording: &Recording, times: u32) -> Result<Timed> {
        self.finish()?;
        let start = std::time::Instant::now();
        self.run(recording, times)?;
        self.finish()?;
        Ok(Timed { wall: start.elapsed().as_secs_f64(), device: None })
    }

    /// Waits until the device has completed all work.
    ///
    /// # Errors
    /// When the device fails.
    fn finish(&mut self) -> Result<()>;

    /// Bytes read back so far.
    fn traffic(&self) -> &Traffic;

    /// The largest tensor that a launch may bind, in words.
    fn max_binding_words(&self) -> usize;

    /// Whether Winograd's form of a convolution ([`crate::kernels::nn::winograd`]) is faster on this engine than the direct
    /// one, as measured.
    fn winograd(&self) -> bool {
        false
    }

    /// Bytes that [`Engine::alloc`] has taken so far, on the device or, for engines without one, in host memory; 0
    /// where they are not counted.
    fn allocated_bytes(&self) -> u64 {
        0
    }

    /// Releases what was prepared for a recording that will not run again.
    fn forget(&mut self, _recording: &Recording) {}

    /// Number of ranks: processes with a device each. 1 outside of a [`Cluster`](super::Cluster).
    fn ranks(&self) -> usize {
        1
    }

    /// Makes [`Engine::alloc`] take memory of `rank` from now on; at first it is rank 0's.
    fn place(&mut self, _rank: usize) {}

    /// Prepares a recording that will run, so that its first execution starts at once on another rank.
    ///
    /// # Errors
    /// If the rank cannot be reached.
    fn prepare(&mut self, _recording: &Recording) -> Result<()> {
        Ok(())
    }

    /// Announces a read of a tensor on another rank, so that several ranks may send at the same time.
    ///
    /// # Errors
    /// If the rank cannot be reached.
    fn prefetch(&mut self, _from: Tensor) -> Result<()> {
        Ok(())
    }

    /// Bytes that this process has sent to other ranks and received from them, messages included.
    fn exchanged(&self) -> u64 {
        0
    }
}

/// Uploads f32 values.
///
/// # Errors
/// As [`Engine::write`].
pub fn write_f32(engine: &mut dyn Engine, to: Tensor, values: &[f32]) -> Result<()> {
    engine.write(to, bytemuck::cast_slice(values))
}

/// Downloads f32 values.
///
/// # Errors
/// As [`Engine::read`].
pub fn read_f32(engine: &mut dyn Engine, from: Tensor, purpose: Purpose) -> Result<Vec<f32>> {
    Ok(bytemuck::cast_vec(engine.read(from, purpose)?))
}

/// The largest tensor of a launch in words: the smaller of the engine's binding limit and the reach of the kernels'
/// 32-bit indices.
pub fn most_words(engine: &dyn Engine) -> usize {
    engine.max_binding_words().min(crate::kernels::MOST_WORDS)
}
