//! Images.
use serde::{Deserialize, Serialize};
/// Placeholder with the serde shape of the real type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataConfig {
    /// The built-in set.
    Builtin {},
    /// A folder.
    Folder {
        /// Its path.
        path: std::path::PathBuf,
        /// s
        #[serde(default)]
        skip_bad: bool,
        /// c
        #[serde(default)]
        client_folders: bool,
    },
}
