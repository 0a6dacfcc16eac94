use super::*;
use image::{Rgb, RgbImage};
use tempfile::TempDir;

const STOP: FolderOptions = FolderOptions { skip_bad: false, follow_links: false };
const SKIP: FolderOptions = FolderOptions { skip_bad: true, follow_links: false };

/// Writes a 20 x 20 image of one colour at `root/file`, PNG or JPEG by its name.
fn write(root: &TempDir, file: &str, value: u8) -> PathBuf {
    let path = root.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(20, 20, Rgb([value; 3])).save(&path).unwrap();
    path
}

fn truncate(path: &Path, keep: impl Fn(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
}

fn message<T>(result: Result<T>) -> String {
    let error = result.err().expect("an error");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn classes_from_sub_folders() {
    let root = TempDir::new().unwrap();
    write(&root, "b/2.png", 20);
    write(&root, "b/deep/1.JPG", 30);
    write(&root, "a/9.jpeg", 10);
    fs::write(root.path().join("a/notes.txt"), "no image").unwrap();
    fs::write(root.path().join("a/.hidden.png"), "no image").unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    let (set, skipped) = folder(root.path(), 16, 3, STOP).unwrap();
    assert_eq!(set.classes, ["a", "b"]);
    assert_eq!(set.labels, [0, 1, 1]);
    assert_eq!(set.files, ["a/9.jpeg", "b/2.png", "b/deep/1.JPG"]);
    assert_eq!((set.len(), set.pixels.len()), (3, 3 * 16 * 16 * 3));
    assert!(set.image(1).iter().all(|&v| v == 20));
    assert!(skipped.is_empty());
}

#[test]
fn one_class_without_sub_folders() {
    let root = TempDir::new().unwrap();
    write(&root, "1.png", 1);
    write(&root, "0.png", 0);
    let (set, _) = folder(root.path(), 16, 1, STOP).unwrap();
    assert_eq!((set.classes, set.files), (vec!["all".to_string()], vec!["0.png".to_string(), "1.png".into()]));
}

#[test]
fn bad_images_are_all_named_or_skipped() {
    let root = TempDir::new().unwrap();
    for i in 0..4 {
        write(&root, &format!("good{i}.png"), i);
    }
    truncate(&write(&root, "cut.png", 9), |n| n / 2);
    truncate(&write(&root, "cut_end.png", 9), |n| n - 3);
    truncate(&write(&root, "cut.jpg", 9), |n| n - 2);
    fs::write(root.path().join("nothing.png"), "").unwrap();
    fs::write(root.path().join("text.jpg"), "hello").unwrap();
    // One flipped byte in the pixel data: the chunk's checksum finds it.
    let flipped = write(&root, "flipped.png", 200);
    let mut bytes = fs::read(&flipped).unwrap();
    let data = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
    bytes[data + 8] ^= 0x10;
    fs::write(&flipped, bytes).unwrap();

    let names = ["cut.jpg", "cut.png", "cut_end.png", "flipped.png", "nothing.png", "text.jpg"];
    let text = message(folder(root.path(), 16, 3, STOP));
    assert!(text.contains("6 of 10 images") && text.contains("skip_bad"), "{text}");
    assert!(names.iter().all(|n| text.contains(n)), "{text}");
    assert!(!text.contains("good"), "{text}");

    let (set, skipped) = folder(root.path(), 16, 3, SKIP).unwrap();
    assert_eq!(skipped.len(), names.len());
    for (skipped, name) in skipped.iter().zip(&names) {
        assert!(skipped.starts_with(&format!("{name} (")), "{skipped}: no reason");
    }
    assert_eq!(set.files, ["good0.png", "good1.png", "good2.png", "good3.png"]);
}

#[test]
fn many_bad_images_are_counted() {
    let root = TempDir::new().unwrap();
    for i in 0..11 {
        fs::write(root.path().join(format!("{i:02}.png")), "x").unwrap();
    }
    write(&root, "good.png", 1);
    let text = message(folder(root.path(), 16, 1, STOP));
    assert!(text.contains("11 of 12") && text.contains("07.png") && text.contains("and 3 more"), "{text}");
    fs::remove_file(root.path().join("good.png")).unwrap();
    // Nothing is left to train with: an error even when skipping.
    message(folder(root.path(), 16, 1, SKIP));
}

#[test]
fn missing_and_empty_folders() {
    let root = TempDir::new().unwrap();
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("no PNG or JPEG"));
    assert!(message(folder(&root.path().join("absent"), 16, 1, STOP)).contains("no such folder"));
    let file = write(&root, "file.png", 1);
    assert!(message(folder(&file, 16, 1, STOP)).contains("not a folder"));
    assert!(message(folder(root.path(), 20, 1, STOP)).contains("20"));
}

#[test]
fn images_beside_classes_are_ambiguous() {
    let root = TempDir::new().unwrap();
    write(&root, "stray.png", 1);
    write(&root, "class/1.png", 1);
    let text = message(folder(root.path(), 16, 1, STOP));
    assert!(text.contains("stray.png") && text.contains("class"), "{text}");
}

#[test]
fn clients_with_and_without_classes() {
    let root = TempDir::new().unwrap();
    write(&root, "h1/sick/1.png", 1);
    write(&root, "h1/healthy/1.png", 2);
    write(&root, "h0/sick/1.png", 3);
    write(&root, "h2/1.png", 4);
    let (set, _, clients) = client_folders(root.path(), 16, 1, STOP).unwrap();
    assert_eq!(set.classes, ["all", "healthy", "sick"]);
    assert_eq!(set.files, ["h0/sick/1.png", "h1/healthy/1.png", "h1/sick/1.png", "h2/1.png"]);
    assert_eq!(set.labels, [2, 1, 2, 0]);
    assert_eq!(clients, Clients { names: vec!["h0".into(), "h1".into(), "h2".into()], of_image: vec![0, 1, 1, 2] });
}

#[test]
fn clients_need_images() {
    let root = TempDir::new().unwrap();
    assert!(message(client_folders(root.path(), 16, 1, STOP)).contains("empty folder"));
    write(&root, "h0/1.png", 1);
    fs::create_dir(root.path().join("h1")).unwrap();
    assert!(message(client_folders(root.path(), 16, 1, STOP)).contains("h1"));
    truncate(&write(&root, "h1/1.png", 1), |n| n / 2);
    assert!(message(client_folders(root.path(), 16, 1, SKIP)).contains("h1 holds no readable image"));
    write(&root, "stray.png", 1);
    assert!(message(client_folders(root.path(), 16, 1, STOP)).contains("stray.png"));
}

#[cfg(unix)]
#[test]
fn links_outside_are_followed_only_when_asked_for() {
    use std::os::unix::fs::symlink;
    let (root, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let secret = write(&other, "deep/secret.png", 7);
    write(&root, "a/1.png", 1);
    let link = root.path().join("a/2.png");
    symlink(&secret, &link).unwrap();
    let follow = FolderOptions { follow_links: true, ..STOP };
    let refused = |options| {
        let text = message(folder(root.path(), 16, 1, options));
        assert!(text.contains("a/2.png: a symbolic link to") && text.contains("data.follow_links"), "{text}");
    };
    refused(STOP);
    refused(SKIP);
    assert_eq!(folder(root.path(), 16, 1, follow).unwrap().0.files, ["a/1.png", "a/2.png"]);
    // A folder on the way, and a file reached through links inside, to outside.
    fs::remove_file(&link).unwrap();
    symlink(other.path().join("deep"), root.path().join("b")).unwrap();
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("b: a symbolic link to"));
    assert!(message(client_folders(root.path(), 16, 1, STOP)).contains("b: a symbolic link to"));
    assert_eq!(folder(root.path(), 16, 1, follow).unwrap().0.len(), 2);
    fs::remove_file(root.path().join("b")).unwrap();
    // Links inside, and a link to the folder itself, need no permission.
    symlink(root.path().join("a/1.png"), &link).unwrap();
    let outer = other.path().join("outer");
    symlink(root.path(), &outer).unwrap();
    assert_eq!(folder(&outer, 16, 1, STOP).unwrap().0.files, ["a/1.png", "a/2.png"]);
    // A link that leads nowhere is an image that cannot be read; one to a parent is found by depth.
    symlink("nowhere", root.path().join("a/3.png")).unwrap();
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("a/3.png"));
    let skipped = folder(root.path(), 16, 1, SKIP).unwrap().1;
    assert!(skipped.len() == 1 && skipped[0].starts_with("a/3.png ("), "{skipped:?}");
    symlink(root.path().join("a"), root.path().join("a/up")).unwrap();
    assert!(message(folder(root.path(), 16, 1, SKIP)).contains("nested more than 16 deep"));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_utf8_and_pipes_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let root = TempDir::new().unwrap();
    let plain = write(&root, "1.png", 1);
    fs::copy(plain, root.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe.png"))).unwrap();
    let (set, _) = folder(root.path(), 16, 1, STOP).unwrap();
    assert_eq!(set.files, ["1.png", "\u{fffd}\u{fffd}.png"]);
    assert!(std::process::Command::new("mkfifo").arg(root.path().join("pipe.png")).status().unwrap().success());
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("pipe.png (no regular file)"));
}
