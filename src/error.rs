//! The only error type: the fault, and its exit code.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error as shown to the user: one clear sentence and an exit code.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Error {
    /// Bad input: names the file, key or tensor, the value found and the values allowed. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// A comparison failed (validation). Exit code 1.
    #[error("{0}")]
    Verdict(String),
    /// Training produced a non-finite value, and the experiment stops in that case: names round, client and tensor.
    /// Exit code 1.
    #[error("{0}")]
    NotFinite(String),
    /// The device failed or was lost. Exit code 1.
    #[error("device: {0}")]
    Device(String),
    /// The device's memory is exhausted. Exit code 1.
    #[error("device: {what}")]
    OutOfMemory {
        /// The operation that failed.
        what: String,
        /// Bytes that the engine held at that time, if known: that much fits.
        held: u64,
    },
    /// A result could not be written (disk full, no permission): names the file. Exit code 1.
    #[error("{0}")]
    Output(String),
    /// A violated invariant of the program. Exit code 1.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// Bad input, as a complete sentence.
    pub fn input(message: impl Into<String>) -> Self {
        Error::Input(message.into())
    }

    /// A device failure, as a complete sentence.
    pub fn device(message: impl Into<String>) -> Self {
        Error::Device(message.into())
    }

    /// A violated invariant of the program.
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

    /// The same error, with additional text.
    pub fn and(self, more: &str) -> Self {
        self.map(|what| format!("{what}\n{more}"))
    }

    /// The same error with the name of the place where it occurred, such as a cell of a sweep.
    pub fn within(self, place: &str) -> Self {
        self.map(|what| format!("{place}: {what}"))
    }

    fn map(self, with: impl FnOnce(String) -> String) -> Self {
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

/// A byte count for readers.
pub fn size(bytes: u64) -> String {
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{:.1} KiB", of(1 << 10)),
        0x10_0000..0xa0_0000 => format!("{:.1} MiB", of(1 << 20)),
        _ => format!("{:.0} MiB", of(1 << 20)),
    }
}

/// Two byte counts for comparison: exact if the rounded values would read the same but differ.
pub fn sizes(a: u64, b: u64) -> [String; 2] {
    match (size(a), size(b)) {
        (x, y) if x == y && a != b => [a, b].map(|bytes| format!("{bytes} bytes")),
        (x, y) => [x, y],
    }
}

/// A number with its noun: `1 row`, `2 rows`, `3 launches`.
pub fn count(n: impl std::fmt::Display, what: &str) -> String {
    let n = n.to_string();
    let end = match () {
        () if n == "1" => "",
        () if what.ends_with("ch") => "es",
        () => "s",
    };
    format!("{n} {what}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suitable_units() {
        let expected = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (4096, "4.0 KiB"),
            (65535, "64.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (10 << 20, "10 MiB"),
            (3 << 30, "3072 MiB"),
        ];
        for (bytes, text) in expected {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(sizes(4096, 65536), ["4.0 KiB", "64.0 KiB"]);
        assert_eq!(sizes(128 << 20, 128 << 20), ["128 MiB", "128 MiB"]);
        assert_eq!(sizes((128 << 20) + 4, 128 << 20), ["134217732 bytes", "134217728 bytes"]);
    }

    #[test]
    fn numbers_have_their_nouns() {
        assert_eq!([0, 1, 2].map(|n| count(n, "row")), ["0 rows", "1 row", "2 rows"]);
        assert_eq!([1u64, 21].map(|n| count(n, "launch")), ["1 launch", "21 launches"]);
    }
}
