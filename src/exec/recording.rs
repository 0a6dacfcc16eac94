//! Launches as plain data.

use super::Tensor;
use crate::kernels::{Access, AnyKernel, Cost, Each, Kernel, Params};
use crate::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// One kernel launch: a catalogue row, its parameter words and its operands in binding order.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The catalogue row.
    pub kernel: &'static dyn AnyKernel,
    /// The parameter struct's words.
    pub params: Vec<u32>,
    /// One tensor per binding.
    pub args: Vec<Tensor>,
    /// The role of this launch in the model, e.g. `D.real.main.2 forward`.
    pub label: String,
}

/// A list of launches in execution order. Recorded once, run many times; engines cache prepared data by
/// [`Recording::id`].
#[derive(Debug)]
pub struct Recording {
    id: u64,
    launches: Vec<Launch>,
}

impl Default for Recording {
    fn default() -> Self {
        Self::new()
    }
}

impl Recording {
    /// An empty recording with a unique id.
    pub fn new() -> Self {
        Recording { id: NEXT.fetch_add(1, Ordering::Relaxed), launches: Vec::new() }
    }

    /// Identifies the recording within this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The launches in order.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// Records a launch after checking operand count and extents against the catalogue row, and that no buffer is bound
    /// both read-only and read-write (WebGPU forbids it).
    ///
    /// # Errors
    /// Names the label, kernel and binding, what was given and what is required.
    pub fn launch<K: Kernel>(
        &mut self,
        kernel: &'static K,
        params: &K::Params,
        args: &Each<K, Tensor>,
        label: impl Into<String>,
    ) -> Result<()> {
        self.launch_words(kernel, params.words(), args.as_ref(), label)
    }

    /// [`Recording::launch`] for a row without its types, with the parameters as words.
    ///
    /// # Errors
    /// As [`Recording::launch`].
    pub fn launch_words(
        &mut self,
        kernel: &'static dyn AnyKernel,
        params: Vec<u32>,
        args: &[Tensor],
        label: impl Into<String>,
    ) -> Result<()> {
        let label = label.into();
        let fail = |what: String| Err(Error::internal(format!("{label}: {}: {what}", kernel.name())));
        if params.len() != kernel.fields().len() {
            return fail(format!("{} parameter words, {} declared", params.len(), kernel.fields().len()));
        }
        let extents = match kernel.extents(&params) {
            Ok(extents) => extents,
            Err(what) => return fail(what),
        };
        if args.len() != extents.len() || args.len() != kernel.bindings().len() {
            return fail(format!("{} operands, {} needed", args.len(), kernel.bindings().len()));
        }
        for ((arg, need), binding) in args.iter().zip(&extents).zip(kernel.bindings()) {
            if arg.words < *need {
                return fail(format!("`{}` has {} words, needs {need}", binding.name, arg.words));
            }
        }
        for (i, a) in args.iter().enumerate() {
            let writes = kernel.bindings()[i].access == Access::ReadWrite;
            let clash = args.iter().enumerate().find(|(j, b)| {
                *j != i && b.buffer == a.buffer && writes && kernel.bindings()[*j].access == Access::Read
            });
            if let Some((j, _)) = clash {
                let names = (kernel.bindings()[i].name, kernel.bindings()[j].name);
                return fail(format!("`{}` is written and `{}` read in one buffer", names.0, names.1));
            }
        }
        let rank = self.rank().or(args.first().map(|arg| arg.buffer.rank())).unwrap_or(0);
        if let Some((arg, binding)) = args.iter().zip(kernel.bindings()).find(|(arg, _)| arg.buffer.rank() != rank) {
            let other = arg.buffer.rank();
            return fail(format!("`{}` is on rank {other}, in a recording of rank {rank}", binding.name));
        }
        self.launches.push(Launch { kernel, params, args: args.to_vec(), label });
        Ok(())
    }

    /// The rank whose memory the launches use; `None` without launches.
    pub fn rank(&self) -> Option<usize> {
        self.launches.first().and_then(|launch| launch.args.first()).map(|arg| arg.buffer.rank())
    }

    /// Total cost of one execution.
    pub fn cost(&self) -> Cost {
        self.launches
            .iter()
            .map(|l| l.kernel.cost(&l.params))
            .fold(Cost::default(), |a, b| Cost { flops: a.flops + b.flops, bytes: a.bytes + b.bytes })
    }
}
