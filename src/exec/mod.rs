//! Record, then execute: launches are plain data that engines run. This module does not use wgpu.

mod cluster;
pub mod cpu;
mod engine;
mod forward;
mod pool;
mod recording;
mod reference;
mod tally;
mod tensor;

pub use cluster::{Cluster, Link, Open, RemoteEngine, Thread, end, serve};
pub use cpu::CpuEngine;
pub use engine::{Descriptor, Engine, Purpose, Timed, Traffic, most_words, read_f32, write_f32};
pub use pool::Pool;
pub use recording::{Launch, Recording};
pub use reference::ReferenceEngine;
pub use tally::{Allocation, Tally, TallyEngine};
pub use tensor::{ALIGN, BufferId, Tensor, align};
