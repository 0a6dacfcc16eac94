//! Output of a run: the run directory, metrics as JSON lines and CSV, sample grids and loss curves as PNG, networks as
//! safetensors, and the progress display.
//!
//! Everything except `timing.jsonl`, the `timing` of `summary.json`, the wall times in event files for TensorBoard and the
//! progress display is a pure function of the run's results, so two runs with the same seed on the same engine leave byte-identical files.

pub mod checkpoint;
pub mod curves;
pub mod html;
pub mod layout;
pub mod metrics;
pub mod outputs;
pub mod picture;
pub mod progress;
pub mod rates;
pub mod results;
pub mod roofline;
pub mod run_dir;
pub mod safetensors;
pub mod steps;
pub mod strip;
pub mod summary;
pub mod tensorboard;
pub mod usage;

mod font;

pub use metrics::{ClientRecord, MetricsWriter, RoundRecord};
pub use progress::{Progress, ProgressMode, RoundProgress, Together};
pub use run_dir::RunDir;
pub use safetensors::{TensorData, TensorFile};
pub use steps::Steps;
pub use summary::Summary;
