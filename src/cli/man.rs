//! `fedgan man`: manual pages, made from the texts of `--help`.

use crate::report::outputs::{self, OutputKind, output};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The first line of a page: a comment of roff.
const MARK: &str = ".\\\" written by fedgan man --out, which replaces this file\n";

/// Arguments of `fedgan man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write the main page and one page per verb to this directory, instead of printing the main page.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A page and its file name.
struct Page {
    name: String,
    text: Vec<u8>,
}

/// Prints the main page or writes all pages.
///
/// # Errors
/// A directory that is a file, a page's name taken by another file, a failed write.
pub fn run(args: ManArgs) -> Result<()> {
    match args.out {
        None => super::print(main_page()?.text),
        Some(dir) => write(&dir, &pages()?),
    }
}

fn main_page() -> Result<Page> {
    page(super::command().disable_help_subcommand(true))
}

/// The main page, then the verbs' in the order of `--help`.
fn pages() -> Result<Vec<Page>> {
    let mut command = super::command().disable_help_subcommand(true);
    // Gives the verbs their full names: fedgan-run.
    command.build();
    let verbs = command.get_subcommands().cloned().map(page);
    std::iter::once(main_page()).chain(verbs).collect()
}

fn page(command: clap::Command) -> Result<Page> {
    let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command).source(program);
    let mut text = MARK.as_bytes().to_vec();
    man.render(&mut text).map_err(|e| Error::internal(format!("manual page: {e}")))?;
    Ok(Page { name: man.get_filename(), text })
}

fn write(dir: &Path, pages: &[Page]) -> Result<()> {
    if dir.exists() && !dir.is_dir() {
        return Err(Error::file(dir, "is a file, must be a directory (--out)"));
    }
    std::fs::create_dir_all(dir).map_err(|e| Error::output(dir, e))?;
    let (paths, kind): (Vec<_>, _) = (pages.iter().map(|page| dir.join(&page.name)).collect(), OutputKind::Text(MARK));
    // All names are checked before the first page is written.
    outputs::check(&paths.iter().map(|path| output("--out", Some(path), kind)).collect::<Vec<_>>(), &[])?;
    for (page, path) in pages.iter().zip(&paths) {
        outputs::write(path, kind, &page.text)?;
    }
    super::print(format!("{}: {} pages\n", dir.display(), pages.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn run_in(dir: &Path) -> Result<()> {
        run(ManArgs { out: Some(dir.into()) })
    }

    #[test]
    fn every_verb_has_a_page_with_its_options() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("share/man1");
        run_in(&dir).unwrap();
        let main = fs::read_to_string(dir.join("fedgan.1")).unwrap();
        let command = super::super::command();
        for verb in command.get_subcommands() {
            let name = format!("fedgan-{}", verb.get_name());
            let text = fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
            assert!(text.contains(&format!(".TH {name} 1")), "{text}");
            // roff writes a hyphen as `\-`.
            assert!(main.contains(&name.replace('-', "\\-")), "{main}");
            for option in verb.get_arguments().filter_map(|a| a.get_long()) {
                assert!(text.contains(&option.replace('-', "\\-")), "{name}: no --{option}");
            }
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1 + command.get_subcommands().count());
    }

    #[test]
    fn pages_replace_pages_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, page) = (temp.path(), temp.path().join("fedgan-run.1"));
        run_in(dir).unwrap();
        let first = fs::read(&page).unwrap();
        run_in(dir).unwrap();
        assert_eq!(fs::read(&page).unwrap(), first);
        fs::write(&page, ".TH mine 1\n").unwrap();
        fs::remove_file(dir.join("fedgan.1")).unwrap();
        let error = run_in(dir).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("fedgan-run.1: exists"), "{error}");
        assert_eq!(fs::read(&page).unwrap(), b".TH mine 1\n");
        assert!(!dir.join("fedgan.1").exists(), "no page is written where one is refused");
        let error = run_in(&page).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("must be a directory"), "{error}");
    }
}
