//! `fedgan keys`: the keys of an experiment file.

use crate::config::keys_table;
use crate::report::run_dir::replace_file;
use crate::{Error, Result, input};
use std::path::{Path, PathBuf};

/// The lines around the table in a document.
pub const MARKERS: [&str; 2] = ["<!-- begin: fedgan keys -->\n", "<!-- end: fedgan keys -->"];

/// Arguments of `fedgan keys`.
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    /// Replace the table between the markers in this document, such as docs/configuration.md, instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// Prints the table, or inserts it into a document.
///
/// # Errors
/// A document that cannot be read or written, or that lacks the markers.
pub fn run(args: KeysArgs) -> Result<()> {
    match args.markdown {
        Some(path) => write(&path),
        None => super::print(keys_table()),
    }
}

fn write(path: &Path) -> Result<()> {
    let text = input::read_text(path, input::CONFIG).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let [begin, end] = MARKERS;
    let parts = text.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let Some((before, after)) = parts else {
        let what = format!("has no line `{}` with a later `{end}`: the table goes between them", begin.trim());
        return Err(Error::file(path, what));
    };
    replace_file(path, format!("{before}{begin}{}{end}{after}", keys_table()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_all_but_its_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.md");
        let [begin, end] = MARKERS;
        std::fs::write(&path, format!("# Title\n{begin}a former table\n{end}\nlast\n")).unwrap();
        run(KeysArgs { markdown: Some(path.clone()) }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("# Title\n") && text.ends_with("\nlast\n") && !text.contains("a former table"),
            "{text}"
        );
        assert!(text.contains("| `train.lr` |"));
        std::fs::write(&path, "no markers\n").unwrap();
        let error = run(KeysArgs { markdown: Some(path.clone()) }).unwrap_err();
        assert!(
            error.exit_code() == 2 && error.to_string().contains("c.md: has no line `<!-- begin: fedgan keys -->`")
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no markers\n");
    }
}
