//! How images are dealt to clients.
use serde::{Deserialize, Serialize};
/// Placeholder with the serde shape of the real type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Partition {
    /// Shuffled and dealt.
    Iid,
    /// Every client holds everything.
    Shared,
    /// By class, unevenly.
    Dirichlet {
        /// Concentration.
        alpha: f64,
    },
    /// One sub-folder a client.
    ClientFolders,
}
