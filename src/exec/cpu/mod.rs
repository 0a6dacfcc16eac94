//! The CPU engine: fast f32 for machines without a GPU. GEMM for the convolutions, rayon over clients and images. The
//! partition of every sum depends on shapes only, so results do not depend on the number of threads.

mod args;
pub(crate) mod blas;
mod gemm;
mod lib;
mod patches;
pub mod peak;
#[cfg(test)]
mod tests;

pub use args::Args;

use super::{BufferId, Descriptor, Engine, Purpose, Recording, Tensor, Traffic};
use crate::kernels::{AnyKernel, Kernel, Params};
use crate::{Error, Result};

/// The f32 twin of a kernel: `src/exec/cpu/F/K.rs` is to `src/kernels/F/K.rs` what `shaders/F/K.wgsl` is.
trait Twin: Kernel {
    /// Runs a launch.
    fn run(p: &Self::Params, args: &Args);

    /// Words of scratch that the tasks of a launch share.
    fn scratch_words(_: &Self::Params) -> usize {
        0
    }
}

/// A [`Twin`] without its types.
struct Entry {
    stem: &'static str,
    run: fn(&[u32], &Args),
    scratch_words: fn(&[u32]) -> usize,
}

impl Entry {
    const fn of<T: Twin>() -> Entry {
        Entry {
            stem: T::STEM,
            run: |words, args| T::run(&T::Params::from_words(words), args),
            scratch_words: |words| T::scratch_words(&T::Params::from_words(words)),
        }
    }
}

/// Declares the twins' modules and lists them.
macro_rules! twins {
    ($($(#[$doc:meta])* $family:ident { $($kernel:ident : $type:ident),* $(,)? ; $($also:item)* })*) => {
        $(mod $family { $(mod $kernel;)* })*
        static TWINS: &[Entry] = &[$($(Entry::of::<crate::kernels::$family::$kernel::$type>()),*),*];
    };
}
crate::kernels::for_each_kernel!(twins);

fn twin(kernel: &dyn AnyKernel) -> Result<&'static Entry> {
    let found = TWINS.iter().find(|twin| twin.stem == kernel.stem());
    found.ok_or_else(|| Error::internal(format!("the cpu engine has no `{}`", kernel.name())))
}

/// Bytes of scratch shared by the launches of a recording, in addition to about 4 MiB per thread.
pub fn scratch_bytes(recording: &Recording) -> u64 {
    let words = recording.launches().iter().filter_map(|l| twin(l.kernel).ok().map(|t| (t.scratch_words)(&l.params)));
    4 * words.max().unwrap_or(0) as u64
}

/// Runs recordings on the host in f32.
#[derive(Debug)]
pub struct CpuEngine {
    buffers: Vec<Vec<u32>>,
    traffic: Traffic,
    descriptor: Descriptor,
}

impl Default for CpuEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl CpuEngine {
    /// An empty engine.
    pub fn new() -> Self {
        let descriptor = Descriptor {
            engine: "cpu".into(),
            adapter: "built-in CPU engine (f32, GEMM)".into(),
            address: String::new(),
            backend: "-".into(),
            device_type: "Cpu".into(),
            driver: "-".into(),
            variant: "-".into(),
        };
        CpuEngine { buffers: Vec::new(), traffic: Traffic::default(), descriptor }
    }
}

impl Engine for CpuEngine {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn alloc(&mut self, _label: &str, words: usize) -> Result<Tensor> {
        self.buffers.push(vec![0; words]);
        Ok(Tensor { buffer: BufferId(self.buffers.len() as u32 - 1), offset: 0, words })
    }

    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        if words.len() > to.words {
            return Err(Error::internal(format!("write of {} words to a tensor of {}", words.len(), to.words)));
        }
        self.buffers[to.buffer.0 as usize][to.offset..to.offset + words.len()].copy_from_slice(words);
        Ok(())
    }

    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        self.traffic.add(purpose, 4 * from.words as u64);
        Ok(self.buffers[from.buffer.0 as usize][from.offset..from.offset + from.words].to_vec())
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        let twins: Vec<&Entry> = recording.launches().iter().map(|l| twin(l.kernel)).collect::<Result<_>>()?;
        let buffers = &mut self.buffers;
        // Inside the pool, so that the calling thread hands over once per recording and not in every parallel loop: on
        // small models the hand-overs took a fifth of the time.
        rayon::scope(|_| {
            for _ in 0..times {
                for (launch, twin) in recording.launches().iter().zip(&twins) {
                    (twin.run)(&launch.params, &Args::new(buffers, launch.kernel.bindings(), &launch.args));
                }
            }
        });
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn max_binding_words(&self) -> usize {
        usize::MAX
    }

    fn winograd(&self) -> bool {
        true
    }

    fn allocated_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| 4 * buffer.len() as u64).sum()
    }
}
