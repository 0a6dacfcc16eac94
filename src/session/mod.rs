//! An experiment from its plan to its run directory: load images, open the device, plan its memory, train, evaluate, write
//! checkpoints, resume. The command line is one user of this module, `examples/train.rs` another.
//!
//! ```no_run
//! use fedgan::config::{self, Overrides};
//! use fedgan::session::{Session, Silent, Trained};
//!
//! let set = vec!["rounds=2".to_string(), "train.local_steps=4".to_string()];
//! let plan = config::load(None, &Overrides { set, ..Overrides::default() })?;
//! if let Trained::Finished(run) = Session::new(plan).directory("runs/mine").train(&mut Silent)? {
//!     println!("{:?} in {}", run.summary.metrics, run.directory.display());
//! }
//! # Ok::<(), fedgan::Error>(())
//! ```

mod builder;
pub mod demo;
mod diagnose;
pub mod evaluate;
mod experiment;
mod fit;
mod generator;
pub mod images;
mod memory;
mod observer;
mod parts;
mod prepared;
mod ranks;
mod replay;
mod resume;
mod retry;
pub mod sweep;
mod tuned;

pub use builder::Session;
pub use generator::Generator;
pub use images::Images;
pub use observer::{Observer, Round, Silent, Start};
pub use parts::{Parts, parts};
pub use prepared::{Finished, Prepared, Trained};
pub use ranks::{Workers, open as open_worker};
pub use replay::replay;

#[cfg(test)]
mod tests;
