//! The reference engine: every launch by the catalogue's naive f64 reference. The ground truth, and slow.

use super::{Descriptor, Engine, Launch, Purpose, Recording, Tensor, Traffic};
use crate::kernels::{Access, Elem, Inputs};
use crate::{Error, Result};

/// Runs recordings through [`crate::kernels::Kernel::whole`]; outputs are rounded to f32 once per launch.
#[derive(Debug)]
pub struct ReferenceEngine {
    buffers: Vec<Vec<u32>>,
    traffic: Traffic,
    descriptor: Descriptor,
}

impl Default for ReferenceEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl ReferenceEngine {
    /// An empty engine.
    pub fn new() -> Self {
        let descriptor = Descriptor {
            engine: "reference".into(),
            adapter: "f64 reference".into(),
            address: String::new(),
            backend: "-".into(),
            device_type: "Cpu".into(),
            driver: "-".into(),
            variant: "-".into(),
        };
        ReferenceEngine { buffers: Vec::new(), traffic: Traffic::default(), descriptor }
    }

    fn slice(&self, t: Tensor) -> &[u32] {
        &self.buffers[t.buffer.0 as usize][t.offset..t.offset + t.words]
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        let kernel = launch.kernel;
        let extents = kernel.extents(&launch.params).map_err(Error::internal)?;
        let inputs = Inputs(launch.args.iter().map(|t| self.slice(*t)).collect());
        let mut writes = Vec::new();
        for (slot, binding) in kernel.bindings().iter().enumerate() {
            if binding.access == Access::ReadWrite {
                writes.push((slot, binding.elem, kernel.whole(&launch.params, &inputs, slot, extents[slot])));
            }
        }
        for (slot, elem, values) in writes {
            let t = launch.args[slot];
            let out = &mut self.buffers[t.buffer.0 as usize][t.offset..t.offset + t.words];
            for (word, eval) in out.iter_mut().zip(values) {
                if let Some(eval) = eval {
                    *word = match elem {
                        Elem::F32 => (eval.value as f32).to_bits(),
                        Elem::U32 => eval.value as u32,
                    };
                }
            }
        }
        Ok(())
    }
}

impl Engine for ReferenceEngine {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn alloc(&mut self, _label: &str, words: usize) -> Result<Tensor> {
        self.buffers.push(vec![0; words]);
        Ok(Tensor { buffer: super::BufferId(self.buffers.len() as u32 - 1), offset: 0, words })
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
        Ok(self.slice(from).to_vec())
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        for _ in 0..times {
            for launch in recording.launches() {
                self.launch(launch)?;
            }
        }
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

    fn allocated_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| 4 * buffer.len() as u64).sum()
    }
}
