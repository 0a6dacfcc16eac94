//! Every option that names an output file, against every kind of existing user file.

use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Command lines up to the file. Their inputs need not exist: outputs are checked first.
const OPTIONS: [&[&str]; 12] = [
    &["sample", "no.safetensors", "--out"],
    &["sample", "no.safetensors", "--out", "new.png", "--save-images"],
    &["sample", "no.safetensors", "--out", "new.png", "--save-latents"],
    &["eval", "no-run", "--json"],
    &["eval", "--real", "no", "--fake", "no", "--json"],
    &["report", "no-run", "--out"],
    &["validate", "fill", "--device", "cpu", "--json"],
    &["validate", "fill", "--device", "cpu", "--markdown"],
    &["bench", "fill", "--device", "cpu", "--json"],
    &["bench", "fill", "--device", "cpu", "--csv"],
    &["bench", "fill", "--device", "cpu", "--roofline"],
    &["tune", "--device", "gpu", "--out"],
];

fn fedgan(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fedgan")).current_dir(dir).args(args).stdin(Stdio::null()).output().unwrap()
}

fn picture(format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::from_pixel(8, 8, image::Rgb([3, 90, 200])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A safetensors file of one tensor, with the metadata of a run's networks.
fn discriminator() -> Vec<u8> {
    let header =
        r#"{"__metadata__":{"fedgan":"0.1.0","format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
}

fn foreign() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("training image", picture(image::ImageFormat::Png)),
        ("JPEG", picture(image::ImageFormat::Jpeg)),
        ("discriminator", discriminator()),
        ("JSON", text("{\n  \"fake\": 1,\n  \"schema\": 1,\n  \"format\": \"fedgan-validate-1\"\n}\n")),
        ("table", text("kernel,origin,shape,variant\nfill,w1,n=1,-\n")),
        ("TOML", text("written_by = \"fedgan eval --json\"\n")),
        ("page", text("# fedgan validate: cpu: passed\n")),
        ("HTML", text("<!DOCTYPE html>\n<p>made by fedgan report\n")),
        ("text", text("fedgan sample --out\n")),
    ]
}

#[test]
fn no_option_replaces_a_foreign_file() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let mut names = vec!["there.png"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("there.png", dir.join("link.png")).unwrap();
        names.push("link.png");
    }
    for (n, option) in OPTIONS.iter().enumerate() {
        for (m, (kind, bytes)) in foreign().into_iter().enumerate() {
            let file = dir.join("there.png");
            std::fs::write(&file, &bytes).unwrap();
            // Alternately links and files.
            let name = names[(n + m) % names.len()];
            let output = fedgan(dir, &[*option, &[name]].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{option:?} {kind}: {said}");
            assert!(
                said.contains(name) && said.contains("this option has not written it"),
                "{option:?} {kind}: {said}"
            );
            assert_eq!(std::fs::read(&file).unwrap(), bytes, "{option:?} {kind}");
        }
        let output = fedgan(dir, &[*option, &["."]].concat());
        assert_eq!(output.status.code(), Some(2), "{option:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!dir.join("new.png").exists());
}

/// An option replaces its own files, and no others.
#[test]
fn options_replace_their_own_files_only() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let bench = ["bench", "fill", "--device", "cpu", "--seconds", "0"];
    let validate = ["validate", "fill", "--device", "cpu"];
    let files = ["--json", "b.json", "--csv", "b.csv", "--roofline", "b.png"];
    let reports = ["--json", "v.json", "--markdown", "v.md"];
    for _ in 0..2 {
        for line in
            [[&bench[..], &files].concat(), [&validate[..], &reports].concat(), vec!["kernels", "--markdown", "k.md"]]
        {
            let output = fedgan(dir, &line);
            assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let written = ["b.json", "b.csv", "b.png", "v.json", "v.md", "k.md"];
    for (command, option, own) in [
        (&bench[..], "--json", "b.json"),
        (&bench, "--csv", "b.csv"),
        (&bench, "--roofline", "b.png"),
        (&validate, "--json", "v.json"),
        (&validate, "--markdown", "v.md"),
        (&["kernels"], "--markdown", "k.md"),
    ] {
        for other in written.iter().filter(|name| **name != own) {
            let before = std::fs::read(dir.join(other)).unwrap();
            let output = fedgan(dir, &[command, &[option, other]].concat());
            assert_eq!(output.status.code(), Some(2), "{command:?} {option} {other}");
            assert_eq!(std::fs::read(dir.join(other)).unwrap(), before, "{command:?} {option} {other}");
        }
    }
}
