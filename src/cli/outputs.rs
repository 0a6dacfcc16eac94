//! Files that a command writes where it is told to: looked at before any work is done. What a command would have written itself
//! is replaced, anything else is somebody's.

use crate::report::run_dir::replace_file;
use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// What a file begins with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A PNG picture.
    Png,
    /// A safetensors file.
    Tensors,
    /// A JSON object that has this among its first keys and values.
    Json(&'static str),
    /// A text that begins so.
    Text(&'static str),
    /// A report, which has this mark near its beginning.
    Report(&'static str),
    /// Whatever it is.
    Any,
}

impl Kind {
    fn begins(self, start: &[u8]) -> bool {
        let contains = |word: &str| start.windows(word.len()).any(|w| w == word.as_bytes());
        match self {
            Kind::Png => start.starts_with(b"\x89PNG"),
            Kind::Tensors => start.get(8) == Some(&b'{'),
            Kind::Json(word) => start.starts_with(b"{") && contains(word),
            Kind::Text(word) => start.starts_with(word.as_bytes()),
            Kind::Report(mark) => contains(mark),
            Kind::Any => true,
        }
    }

    fn refusal(self) -> &'static str {
        match self {
            Kind::Report(_) => "exists and is no fedgan report; choose another file, or replace it with --force",
            _ => "exists and is not what this option writes: it is left as it is; choose another file",
        }
    }
}

/// A file that will be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output<'a> {
    /// The option that names it.
    pub flag: &'static str,
    pub path: &'a Path,
    pub kind: Kind,
}

/// The output of an option, where it is given.
pub(super) fn output<'a>(flag: &'static str, path: Option<&'a Path>, kind: Kind) -> Option<Output<'a>> {
    path.map(|path| Output { flag, path, kind })
}

/// Refuses outputs that cannot be, that are `read` or twice the same file, or that would replace what is of another kind. An
/// empty file has nothing to lose; a device or a pipe is written to.
///
/// # Errors
/// [`Error::Input`] naming the file and its option.
pub(super) fn check(outputs: &[Option<Output>], read: &[&Path]) -> Result<()> {
    let outputs: Vec<&Output> = outputs.iter().flatten().collect();
    for (i, output) in outputs.iter().enumerate() {
        let Output { flag, path, .. } = output;
        let refuse = |what: &str| Err(Error::file(path, format!("{what} ({flag})")));
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
            return Err(Error::file(parent, format!("no such directory ({flag})")));
        }
        if let Some(other) = outputs[..i].iter().find(|other| same(other.path, path)) {
            return refuse(&format!("is the file of {} already", other.flag));
        }
        if read.iter().any(|input| same(input, path)) {
            return refuse("is what is read; choose another file");
        }
        match std::fs::metadata(path) {
            // A dangling link exists too: renaming would replace it.
            Err(_) if std::fs::symlink_metadata(path).is_ok() => return refuse("is a link to nothing"),
            Err(_) => {}
            Ok(there) if there.is_dir() => return refuse("is a directory, must be a file"),
            Ok(there) if !there.is_file() || there.len() == 0 => {}
            Ok(_) => {
                let mut start = Vec::new();
                let looked = std::fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
                if looked.is_err() || !output.kind.begins(&start) {
                    return refuse(output.kind.refusal());
                }
            }
        }
    }
    Ok(())
}

/// Writes a file that was checked, in one step where it is one: what a link leads to, not the link; into a device or a pipe, not
/// in its place.
///
/// # Errors
/// [`Error::Output`] if it cannot be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let bad = |e: std::io::Error| Error::output(path, e);
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => std::fs::write(path, bytes).map_err(bad),
        Ok(_) => replace_file(&path.canonicalize().map_err(bad)?, bytes),
        Err(_) => replace_file(path, bytes),
    }
}

/// Whether both name one file, there or not.
fn same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => Some(path),
        (Err(_), Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Some(parent.canonicalize().ok()?.join(name))
        }
        _ => None,
    };
    a == b || whole(a).is_some_and(|a| Some(a) == whole(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_kind_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let json = Kind::Json("\"format\": \"x\"");
        let checked = |kind| check(&[output("--out", Some(&a), kind)], &[&b]);
        for kind in [Kind::Png, Kind::Tensors, json, Kind::Text("# x")] {
            checked(kind).unwrap();
        }
        for (text, kind) in [
            (&b""[..], json),
            (b"\x89PNG\r\n", Kind::Png),
            (b"\x10\0\0\0\0\0\0\0{}", Kind::Tensors),
            (b"{\n \"format\": \"x\"", json),
            (b"# x y", Kind::Text("# x")),
        ] {
            std::fs::write(&a, text).unwrap();
            checked(kind).unwrap();
        }
        for kind in [Kind::Png, Kind::Tensors, json] {
            let error = checked(kind).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("left as it is"), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_and_links_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        write(&file, b"a").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"b").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"b");
    }

    #[test]
    fn inputs_directories_and_each_other_are_spared() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let out = |path: &'_ Path| -> Result<()> {
            check(&[output("--out", Some(&a), Kind::Png), output("--json", Some(path), Kind::Png)], &[&b])
        };
        let refused = |path: &Path, what: &str| {
            let error = out(path).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(what), "{error}");
        };
        refused(&dir.path().join("./a"), "is the file of --out already (--json)");
        refused(&b, "is what is read");
        refused(dir.path(), "is a directory");
        refused(&dir.path().join("none/c"), "no such directory (--json)");
        out(&dir.path().join("c")).unwrap();
        check(&[None, None], &[&b]).unwrap();
    }
}
