use super::*;
use crate::data::files::AXIS;
use crate::data::{Window, Word};
use image::{Rgb, RgbImage};
use std::fs;
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
    // One flipped byte in the pixel data, detected by the chunk's checksum.
    let flipped = write(&root, "flipped.png", 200);
    let mut bytes = fs::read(&flipped).unwrap();
    let data = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
    bytes[data + 8] ^= 0x10;
    fs::write(&flipped, bytes).unwrap();

    let names = ["cut.jpg", "cut.png", "cut_end.png", "flipped.png", "nothing.png", "text.jpg"];
    let text = message(folder(root.path(), 16, 3, STOP));
    assert!(text.contains("6 of 10 files") && text.contains("skip_bad"), "{text}");
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
    // No image is left to train with: an error even when skipping.
    message(folder(root.path(), 16, 1, SKIP));
}

#[test]
fn missing_and_empty_folders() {
    let root = TempDir::new().unwrap();
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("no image in this folder; PNG, JPEG, TIFF"));
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
    assert!(message(client_folders(root.path(), 16, 1, SKIP)).contains("h1 has no readable image"));
    write(&root, "stray.png", 1);
    assert!(message(client_folders(root.path(), 16, 1, STOP)).contains("stray.png"));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_followed_on_request_only() {
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
    // A parent folder, and a file reached through links inside, that lead out of the folder.
    fs::remove_file(&link).unwrap();
    symlink(other.path().join("deep"), root.path().join("b")).unwrap();
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("b: a symbolic link to"));
    assert!(message(client_folders(root.path(), 16, 1, STOP)).contains("b: a symbolic link to"));
    assert_eq!(folder(root.path(), 16, 1, follow).unwrap().0.len(), 2);
    fs::remove_file(root.path().join("b")).unwrap();
    // Links inside the folder, and a link to the folder itself, need no permission.
    symlink(root.path().join("a/1.png"), &link).unwrap();
    let outer = other.path().join("outer");
    symlink(root.path(), &outer).unwrap();
    assert_eq!(folder(&outer, 16, 1, STOP).unwrap().0.files, ["a/1.png", "a/2.png"]);
    // A dangling link is an unreadable image; a link to a parent is caught by the depth limit.
    symlink("nowhere", root.path().join("a/3.png")).unwrap();
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("a/3.png"));
    let skipped = folder(root.path(), 16, 1, SKIP).unwrap().1;
    assert!(skipped.len() == 1 && skipped[0].starts_with("a/3.png ("), "{skipped:?}");
    symlink(root.path().join("a"), root.path().join("a/up")).unwrap();
    assert!(message(folder(root.path(), 16, 1, SKIP)).contains("nested more than 16 deep"));
}

#[cfg(target_os = "linux")]
#[test]
fn names_outside_utf8_and_pipes_are_harmless() {
    use std::os::unix::ffi::OsStrExt;
    let root = TempDir::new().unwrap();
    let plain = write(&root, "1.png", 1);
    fs::copy(plain, root.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe.png"))).unwrap();
    let (set, _) = folder(root.path(), 16, 1, STOP).unwrap();
    assert_eq!(set.files, ["1.png", "\u{fffd}\u{fffd}.png"]);
    assert!(std::process::Command::new("mkfifo").arg(root.path().join("pipe.png")).status().unwrap().success());
    assert!(message(folder(root.path(), 16, 1, STOP)).contains("pipe.png (not a regular file)"));
}

#[test]
fn clients_classes_and_files_are_in_natural_order() {
    let root = TempDir::new().unwrap();
    for client in ["client1", "client10", "client2"] {
        for class in ["c10", "c9"] {
            for file in ["10.png", "9.png", "009.png"] {
                write(&root, &format!("{client}/{class}/{file}"), 1);
            }
        }
    }
    let loaded =
        clients(root.path(), Decoding { size: 16, channels: 1, options: STOP, window: None, axis: AXIS }).unwrap();
    assert_eq!(loaded.clients.as_ref().unwrap().names, ["client1", "client2", "client10"]);
    assert_eq!(client_names(root.path(), STOP).unwrap(), ["client1", "client2", "client10"]);
    assert_eq!(loaded.dataset.classes, ["c9", "c10"]);
    assert_eq!(loaded.dataset.labels[..6], [0, 0, 0, 1, 1, 1]);
    assert_eq!(loaded.dataset.files[..3], ["client1/c9/009.png", "client1/c9/9.png", "client1/c9/10.png"]);
    assert_eq!(loaded.clients.unwrap().of_image[5..7], [0, 1]);
    let said = &loaded.notes[0];
    assert!(said.starts_with("clients   0 client1 (6), 1 client2 (6), 2 client10 (6)"), "{said}");
    assert!(said.contains("classes   c9 (9), c10 (9)"), "{said}");
}

#[test]
fn system_folders_are_neither_classes_nor_clients() {
    let root = TempDir::new().unwrap();
    write(&root, "a/1.png", 1);
    write(&root, "b/1.png", 2);
    let foreign = [
        "@eaDir",
        "__MACOSX",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        ".git",
        ".ipynb_checkpoints",
        "@Recycle",
        "__pycache__",
        "__macosx",
    ];
    for folder in foreign {
        write(&root, &format!("{folder}/1.png"), 9);
        write(&root, &format!("a/{folder}/deep/1.png"), 9);
    }
    for file in ["Thumbs.db", "desktop.ini", ".DS_Store", "._1.png", "a/notes.txt", "a/x.TXT", "b/scan.mhd", "b/README"]
    {
        fs::write(root.path().join(file), "x").unwrap();
    }
    let form = Decoding { size: 16, channels: 1, options: STOP, window: None, axis: AXIS };
    let loaded = classes(root.path(), form).unwrap();
    assert_eq!(loaded.dataset.files, ["a/1.png", "b/1.png"]);
    let said = &loaded.notes[0];
    for needle in [
        "classes   a (1), b (1); passed over: ",
        "2 .txt",
        "1 .db",
        "1 .ini",
        "2 hidden",
        "1 .mhd",
        "1 without an ending",
    ] {
        assert!(said.contains(needle), "{needle}: {said}");
    }
    assert!(said.contains("@eaDir (2 times)") && said.contains("4 other kinds"), "{said}");
    assert_eq!(clients(root.path(), form).unwrap().clients.unwrap().names, ["a", "b"]);
    assert_eq!(client_names(root.path(), STOP).unwrap(), ["a", "b"]);
}

#[test]
fn every_format_is_read_by_every_ending() {
    use image::ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
    let root = TempDir::new().unwrap();
    let image = RgbImage::from_pixel(20, 20, Rgb([77; 3]));
    let endings = [
        ("png", Png),
        ("jpg", Jpeg),
        ("jpeg", Jpeg),
        ("jpe", Jpeg),
        ("jfif", Jpeg),
        ("tif", Tiff),
        ("tiff", Tiff),
        ("bmp", Bmp),
        ("dib", Bmp),
        ("webp", WebP),
    ];
    for (ending, format) in endings {
        image.save_with_format(root.path().join(format!("low.{ending}")), format).unwrap();
        image.save_with_format(root.path().join(format!("UP.{}", ending.to_uppercase())), format).unwrap();
        // Identified by content.
        image.save_with_format(root.path().join(format!("{format:?}-{ending}.png")), format).unwrap();
    }
    let (set, _) = folder(root.path(), 16, 3, STOP).unwrap();
    assert_eq!(set.len(), 30);
    assert!(set.pixels.iter().all(|v| v.abs_diff(77) <= 1));
    fs::write(root.path().join("movie.gif"), "GIF89a").unwrap();
    let empty = TempDir::new().unwrap();
    fs::write(empty.path().join("scan.mhd"), "x").unwrap();
    let text = message(folder(empty.path(), 16, 1, STOP));
    assert!(text.contains("no image in this folder") && text.contains("passed over: 1 .mhd"), "{text}");
}

#[test]
fn windows_hold_for_the_whole_set() {
    let root = TempDir::new().unwrap();
    let save = |file: &str, value: u16| {
        image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(20, 20, image::Luma([value]))
            .save(root.path().join(file))
            .unwrap();
    };
    for (file, value) in [("0.png", 0), ("1.tif", 4095), ("2.png", 2048)] {
        save(file, value);
    }
    write(&root, "3.png", 50);
    let of =
        |window| classes(root.path(), Decoding { size: 16, channels: 1, options: STOP, window, axis: AXIS }).unwrap();
    let first = |loaded: &Loaded| (0..4).map(|i| loaded.dataset.image(i)[0]).collect::<Vec<u8>>();
    let plain = of(None);
    assert_eq!(first(&plain), [0, 16, 8, 50]);
    assert!(plain.warnings[0].contains("0 to 4095") && plain.warnings[0].contains("less than a quarter"), "{plain:?}");
    let auto = of(Some(Window::Word(Word::Auto)));
    assert_eq!(first(&auto), [0, 255, 128, 50], "8-bit images do not change");
    assert!(auto.warnings.is_empty() && auto.notes[1].contains("0 to 4095 (auto)"), "{:?}", auto.notes);
    assert_eq!(first(&of(Some(Window::Range([2048.0, 4095.0])))), [0, 255, 0, 50]);
    save("4.png", 65535);
    assert!(of(None).warnings.is_empty(), "the whole range is in use");
    assert_eq!(of(None).dataset.image(4)[0], 255);
}

#[test]
fn splits_and_colours_are_reported() {
    let root = TempDir::new().unwrap();
    for file in ["train/1.png", "test/1.png", "val/1.png"] {
        write(&root, file, 40);
    }
    RgbImage::from_pixel(20, 20, Rgb([250, 0, 0])).save(root.path().join("train/2.png")).unwrap();
    let form = Decoding { size: 16, channels: 1, options: STOP, window: None, axis: AXIS };
    let loaded = classes(root.path(), form).unwrap();
    assert!(loaded.warnings[0].contains("the folders test, train, val look like"), "{:?}", loaded.warnings);
    assert!(loaded.notes.iter().any(|n| n.contains("1 of 4 images has colours, made grey")), "{:?}", loaded.notes);
    let colour = classes(root.path(), Decoding { channels: 3, ..form }).unwrap();
    assert!(colour.notes.iter().any(|n| n.contains("3 of 4 images have grey values only")), "{:?}", colour.notes);
    assert_eq!(clients(root.path(), form).unwrap().warnings.len(), 1);
}

#[test]
fn scans_bring_patients_frames_and_values() {
    use crate::data::dicom::tests::file_of;
    let root = TempDir::new().unwrap();
    let put = |file: &str, patient: &str, values: &[u16]| {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file_of(patient, values)).unwrap();
    };
    put("h0/1.dcm", "secret-7", &[0; 4]);
    put("h0/2", "secret-7", &[1000; 4]);
    put("h0/3.dcm", "", &[[500; 4], [250; 4]].concat());
    put("h1/1.dcm", "secret-7", &[1000; 4]);
    write(&root, "h1/2.png", 7);
    put("h1/DICOMDIR", "x", &[0; 4]);
    let form = Decoding { size: 16, channels: 1, options: STOP, window: None, axis: AXIS };
    let loaded = clients(root.path(), form).unwrap();
    let files = ["h0/1.dcm", "h0/2", "h0/3.dcm frame 1", "h0/3.dcm frame 2", "h1/1.dcm", "h1/2.png"];
    assert_eq!(loaded.dataset.files, files);
    assert_eq!(loaded.patients, Some(vec![0, 0, 1, 1, 2, 3]), "the IDs of two clients are not compared");
    assert_eq!(loaded.clients.as_ref().unwrap().of_image, [0, 0, 0, 0, 1, 1]);
    let first = |loaded: &Loaded| (0..6).map(|i| loaded.dataset.image(i)[0]).collect::<Vec<u8>>();
    assert_eq!(first(&loaded), [0, 62, 31, 16, 62, 7]);
    assert!(loaded.warnings[0].contains("from 0 to 1000, less than a quarter of 0 to 4095"), "{:?}", loaded.warnings);
    assert!(loaded.notes.iter().any(|n| n.starts_with("patients  4; ")), "{:?}", loaded.notes);
    let auto = clients(root.path(), Decoding { window: Some(Window::Word(Word::Auto)), ..form }).unwrap();
    assert_eq!(first(&auto), [0, 255, 128, 64, 255, 7]);
    assert!(!format!("{loaded:?}{auto:?}").contains("secret"), "IDs are not kept");
    assert_eq!(first_side(&root.path().join("h0")).unwrap(), 2);
    fs::write(root.path().join("h1/4.dcm"), &file_of("secret-7", &[9; 4])[..300]).unwrap();
    let text = message(clients(root.path(), form).map(drop));
    assert!(text.contains("h1/4.dcm (truncated") && !text.contains("secret"), "{text}");
    let one = classes(&root.path().join("h0"), Decoding { options: SKIP, ..form }).unwrap();
    assert!(one.warnings.iter().all(|w| !w.contains("one patient")));
    fs::remove_file(root.path().join("h0/3.dcm")).unwrap();
    let one = classes(&root.path().join("h0"), form).unwrap();
    assert!(one.warnings.iter().any(|w| w.contains("all images are of one patient")), "{:?}", one.warnings);
}

#[test]
fn volumes_are_cut_into_slices_of_one_patient() {
    use crate::data::nifti::tests::Draft;
    let root = TempDir::new().unwrap();
    let voxels: Vec<u8> = (0..24).map(|i| i * 10).collect();
    let bytes = Draft::new(&[2, 3, 4], 2, &voxels);
    fs::write(root.path().join("b.NII"), bytes.file()).unwrap();
    write(&root, "a.png", 9);
    fs::write(root.path().join("notes.gz"), "no volume").unwrap();
    let form = Decoding { size: 16, channels: 1, options: STOP, window: None, axis: 2 };
    let loaded = classes(root.path(), form).unwrap();
    assert_eq!(loaded.dataset.files[1..], [0, 1, 2, 3].map(|i| format!("b.NII slice {i}")));
    assert_eq!(loaded.patients, Some(vec![0, 1, 1, 1, 1]));
    assert_eq!(classes(root.path(), Decoding { axis: 0, ..form }).unwrap().dataset.len(), 3);
    let words: Vec<u8> = voxels.iter().flat_map(|v| (i16::from(*v) * 10 - 1000).to_le_bytes()).collect();
    let words = Draft::new(&[2, 3, 4], 4, &words);
    fs::write(root.path().join("c.nii"), words.file()).unwrap();
    let text = message(classes(root.path(), form));
    assert!(text.contains("c.nii (values from -1000 to 1300 without a known black and white"), "{text}");
    let range = Decoding { window: Some(Window::Range([-1000.0, 1300.0])), ..form };
    assert_eq!(classes(root.path(), range).unwrap().dataset.len(), 9);
    let auto = classes(root.path(), Decoding { window: Some(Window::Word(Word::Auto)), ..form }).unwrap();
    assert!(auto.notes.iter().any(|n| n.contains("-1000 to 1300 (auto)")), "{:?}", auto.notes);
    fs::write(root.path().join("c.nii"), words.single(124, 300.0).single(128, 0.0).file()).unwrap();
    let own = classes(root.path(), form).unwrap();
    assert!(own.notes.iter().any(|n| n.contains("4 of 9 images have a window in the file")), "{:?}", own.notes);
}
