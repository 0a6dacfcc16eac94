use super::*;
use crate::report::{picture, safetensors};
use std::collections::BTreeMap;
use std::fs;

const MARK: &str = "fedgan test --out";
const COMMENT: &str = "<!-- written by fedgan test --out -->\n";
const KINDS: [OutputKind; 5] = [
    OutputKind::Png(MARK),
    OutputKind::Tensors(MARK),
    OutputKind::Json(MARK),
    OutputKind::Table(MARK),
    OutputKind::Text(COMMENT),
];

fn png(software: Option<&str>) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(4, 4, image::Rgb([9, 80, 7]));
    software.map_or_else(|| picture::encode_png(&picture), |text| picture::encode_png_by(&picture, text)).unwrap()
}

fn tensors(metadata: &[(&str, &str)]) -> Vec<u8> {
    let tensors = BTreeMap::from([("images".to_string(), (vec![2], vec![0.5f32, 1.0]))]);
    let metadata = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    safetensors::encode(&tensors, &metadata).unwrap()
}

/// What the kind's option writes.
fn own(kind: OutputKind) -> Vec<u8> {
    match kind {
        OutputKind::Png(mark) => png(Some(mark)),
        OutputKind::Tensors(mark) => tensors(&[(KEY, mark)]),
        OutputKind::Json(mark) => format!("{{\n  \"{KEY}\": \"{mark}\",\n  \"fake\": 1\n}}\n").into_bytes(),
        OutputKind::Table(mark) => format!("cell,seed,{KEY}\na,1,{mark}\nb,2,{mark}\n").into_bytes(),
        OutputKind::Text(begin) => format!("{begin}# A page\n").into_bytes(),
        OutputKind::Any => b"anything".to_vec(),
    }
}

/// Files that users have: of every format, also with the words of the marks in the wrong places.
fn foreign() -> Vec<(&'static str, Vec<u8>)> {
    let jpeg = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(8, 8).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    };
    let with_text = |keyword: &str, text: &str| {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
        encoder.add_text_chunk(keyword.into(), text.into()).unwrap();
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        bytes
    };
    let text = |text: String| text.into_bytes();
    vec![
        ("a training image", png(None)),
        ("a picture of another program", png(Some("GIMP"))),
        ("a grid of another option", png(Some("fedgan sample --other"))),
        ("a picture with the mark as its title", with_text("Title", MARK)),
        ("a picture with a longer mark", png(Some("fedgan test --out, edited"))),
        ("a torn picture", png(Some(MARK))[..45].to_vec()),
        ("a JPEG", jpeg),
        ("a run's discriminator", tensors(&[("format", "pt"), ("fedgan", "0.1.0")])),
        ("tensors without metadata", tensors(&[])),
        ("tensors of another option", tensors(&[(KEY, "fedgan test --other")])),
        ("no tensors", b"\x10\0\0\0\0\0\0\0{}".to_vec()),
        ("a huge header", [u64::MAX.to_le_bytes().to_vec(), b"{\"__metadata__\":{}}".to_vec()].concat()),
        ("JSON with a key of an answer", text("{\n  \"fake\": 3,\n  \"schema\": 1\n}\n".into())),
        ("JSON of another option", text(format!("{{\"{KEY}\": \"fedgan test --other\", \"fake\": 1}}"))),
        ("JSON with the mark further in", text(format!("{{\"mine\": {{\"{KEY}\": \"{MARK}\"}}}}"))),
        ("JSON with the mark later", text(format!("{{\"mine\": 1, \"{KEY}\": \"{MARK}\"}}"))),
        ("JSON with the mark's words in a string", text(format!("{{\"{KEY}\": \"{MARK} was here\"}}"))),
        ("JSON in a list", text(format!("[{{\"{KEY}\": \"{MARK}\"}}]"))),
        ("a validation report of 0.1.0", text("{\n  \"format\": \"fedgan-validate-1\"\n}".into())),
        ("a table", text("cell,seed\na,1\n".into())),
        ("a table of bench of 0.1.0", text("kernel,origin,shape,variant\nfill,w1,x,y\n".into())),
        ("a table with lines of one's own", text(format!("cell,{KEY}\na,{MARK}\nb,mine\n"))),
        ("a table of another option", text(format!("cell,{KEY}\na,fedgan other\n"))),
        ("a page of 0.1.0", text("# fedgan validate: cpu: passed\n".into())),
        ("a page that quotes the mark", text(format!("# Notes\n{COMMENT}"))),
        ("HTML", text("<!DOCTYPE html>\n<html>\n".into())),
        ("TOML", text(format!("{KEY} = \"{MARK}\"\n"))),
        ("a text", text(format!("my notes on {MARK}\n"))),
        ("one byte", b"\n".to_vec()),
    ]
}

/// Every kind of output against every kind of file, reached directly and through a link.
#[test]
fn only_what_the_option_wrote_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let mut paths = vec![file.clone()];
    #[cfg(unix)]
    {
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        paths.push(link);
    }
    let others = KINDS.map(|kind| ("the output of another kind", own(kind)));
    for (name, bytes) in foreign().into_iter().chain(others) {
        for (kind, path) in KINDS.iter().flat_map(|kind| paths.iter().map(move |path| (*kind, path))) {
            if bytes == own(kind) {
                continue;
            }
            fs::write(&file, &bytes).unwrap();
            let checked = check(&[output("--out", Some(path), kind)], &[]);
            for error in [checked.unwrap_err(), write(path, kind, &own(kind)).unwrap_err()] {
                let text = error.to_string();
                assert!(error.exit_code() == 2, "{name} as {kind:?}: {text}");
                assert!(text.contains("it is left as it is; choose another file, or remove this one"), "{text}");
            }
            assert_eq!(fs::read(&file).unwrap(), bytes, "{name} as {kind:?}");
        }
    }
    for (kind, path) in KINDS.iter().flat_map(|kind| paths.iter().map(move |path| (*kind, path))) {
        for there in [own(kind), Vec::new()] {
            fs::write(&file, there).unwrap();
            check(&[output("--out", Some(path), kind)], &[]).unwrap();
            write(path, kind, &own(kind)).unwrap();
            assert_eq!(fs::read(&file).unwrap(), own(kind));
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), paths.len(), "nothing temporary is left");
}

#[test]
fn nothing_is_written_without_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    for kind in KINDS {
        for (name, bytes) in foreign() {
            assert!(matches!(write(&path, kind, &bytes), Err(Error::Internal(_))), "{name}");
        }
        assert!(!path.exists());
        write(&path, kind, &own(kind)).unwrap();
        fs::remove_file(&path).unwrap();
    }
    write(&path, OutputKind::Any, b"x").unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn devices_and_links_stay_what_they_are() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let null = Path::new("/dev/null");
    let dir = tempfile::tempdir().unwrap();
    let (device, nothing) = (dir.path().join("device"), dir.path().join("nothing"));
    symlink(null, &device).unwrap();
    symlink(dir.path().join("not there"), &nothing).unwrap();
    for kind in KINDS {
        for path in [null, &device] {
            check(&[output("--out", Some(path), kind)], &[]).unwrap();
            write(path, kind, &own(kind)).unwrap();
        }
        let error = check(&[output("--out", Some(&nothing), kind)], &[]).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("is a link to nothing (--out)"), "{error}");
        assert!(write(&nothing, kind, &own(kind)).is_err());
    }
    assert!(fs::metadata(null).unwrap().file_type().is_char_device());
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    let kind = OutputKind::Text(COMMENT);
    fs::write(&file, COMMENT).unwrap();
    symlink(&file, &link).unwrap();
    write(&link, kind, &own(kind)).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&file).unwrap(), own(kind));
}

#[test]
fn inputs_directories_and_each_other_are_spared() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let out = |path: &'_ Path| -> Result<()> {
        check(&[output("--out", Some(&a), KINDS[0]), output("--json", Some(path), KINDS[0])], &[&b])
    };
    let refused = |path: &Path, what: &str| {
        let error = out(path).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(what), "{error}");
    };
    refused(&dir.path().join("./a"), "is the file of --out already (--json)");
    refused(&b, "is what is read");
    refused(dir.path(), "is a directory");
    refused(&dir.path().join("none/c"), "no such directory (--json)");
    refused(Path::new(""), "is no name of a file");
    refused(&dir.path().join("c/"), "is no name of a file");
    refused(&dir.path().join("n".repeat(300)), "cannot be written");
    #[cfg(target_os = "linux")]
    refused(Path::new("/proc/x.png"), "cannot be written");
    out(&dir.path().join("c")).unwrap();
    check(&[None, None], &[&b]).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a look leaves nothing");
}
