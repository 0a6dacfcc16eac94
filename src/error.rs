//! The one error type: what went wrong, and which exit code it deserves.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error as the user sees it: one clear sentence and an exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bad input: names the file, key or tensor, what was found and what is allowed. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// A comparison failed (validation). Exit code 1.
    #[error("{0}")]
    Verdict(String),
    /// Training came upon NaN or infinity, and the experiment says to stop there: names round, client and tensor. Exit code 1.
    #[error("{0}")]
    NotFinite(String),
    /// The device refused or was lost. Exit code 1.
    #[error("device: {0}")]
    Device(String),
    /// The device's memory does not hold what was asked for. Exit code 1.
    #[error("device: {what}")]
    OutOfMemory {
        /// What was under way.
        what: String,
        /// Bytes that the engine held by then, as far as that is known: so much fits.
        held: u64,
    },
    /// A result could not be written (disk full, no permission): names the file. Exit code 1.
    #[error("{0}")]
    Output(String),
    /// A broken promise inside the program. Exit code 1.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// Bad input, as a finished sentence.
    pub fn input(message: impl Into<String>) -> Self {
        Error::Input(message.into())
    }

    /// A device failure, as a finished sentence.
    pub fn device(message: impl Into<String>) -> Self {
        Error::Device(message.into())
    }

    /// A broken promise inside the program.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::Internal(message.into())
    }

    /// An input error about a file: "PATH: WHAT".
    pub fn file(path: &std::path::Path, what: impl std::fmt::Display) -> Self {
        Error::Input(format!("{}: {what}", path.display()))
    }

    /// A failed write: "PATH: cannot write: WHY".
    pub fn output(path: &std::path::Path, why: impl std::fmt::Display) -> Self {
        Error::Output(format!("{}: cannot write: {why}", path.display()))
    }

    /// The same error, with more to say.
    pub fn and(self, more: &str) -> Self {
        let with = |what: String| format!("{what}\n{more}");
        match self {
            Error::Input(what) => Error::Input(with(what)),
            Error::Verdict(what) => Error::Verdict(with(what)),
            Error::NotFinite(what) => Error::NotFinite(with(what)),
            Error::Device(what) => Error::Device(with(what)),
            Error::OutOfMemory { what, held } => Error::OutOfMemory { what: with(what), held },
            Error::Output(what) => Error::Output(with(what)),
            Error::Internal(what) => Error::Internal(with(what)),
        }
    }

    /// The process exit code: 2 for bad input, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input(_) => 2,
            Error::Verdict(_)
            | Error::NotFinite(_)
            | Error::Device(_)
            | Error::OutOfMemory { .. }
            | Error::Output(_)
            | Error::Internal(_) => 1,
        }
    }
}
