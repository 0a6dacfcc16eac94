use super::*;
use crate::data::Window;
use image::{GrayImage, Luma};
use std::fs;
use tempfile::TempDir;

const STOP: FolderOptions = FolderOptions { skip_bad: false, follow_links: false };
const SKIP: FolderOptions = FolderOptions { skip_bad: true, follow_links: false };

/// A folder with pictures of one grey value each, and `list.csv` with that text.
fn set(files: &[(&str, u8)], text: &str) -> (TempDir, PathBuf) {
    let root = TempDir::new().unwrap();
    for (file, value) in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(20, 20, Luma([*value])).save_with_format(path, image::ImageFormat::Png).unwrap();
    }
    let list = root.path().join("list.csv");
    fs::write(&list, text).unwrap();
    (root, list)
}

fn message<T>(result: Result<T>) -> String {
    let error = result.err().expect("an error");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

/// What a text without files is refused with.
fn refused(text: impl AsRef<[u8]>) -> String {
    message(check_manifest(text.as_ref(), Path::new("list.csv")))
}

#[test]
fn all_columns_are_read_in_any_order() {
    let text = "patient,age,client,label,file\n\
                p1,33,north 10,sick;old,a/1.png\n\
                p2,44,north 2,healthy,a/2.dat\n\
                \n\
                p1,33,north 10, sick ,\"b,c.png\"\n";
    let (_root, list) = set(&[("a/1.png", 10), ("a/2.dat", 20), ("b,c.png", 30)], text);
    let loaded = manifest(&list, 16, 1, STOP).unwrap();
    assert_eq!(loaded.dataset.files, ["a/1.png", "a/2.dat", "b,c.png"], "in the order of the list");
    assert_eq!((0..3).map(|i| loaded.dataset.image(i)[0]).collect::<Vec<_>>(), [10, 20, 30]);
    assert_eq!(
        (&loaded.dataset.classes[..], &loaded.dataset.labels[..]),
        (&["healthy", "sick"].map(String::from)[..], &[1, 0, 1][..])
    );
    let clients = loaded.clients.unwrap();
    assert_eq!(
        (&clients.names[..], &clients.of_image[..]),
        (&["north 2", "north 10"].map(String::from)[..], &[1, 0, 1][..])
    );
    assert_eq!(loaded.patients, Some(vec![0, 1, 0]));
    assert!(loaded.labelled);
    let said = loaded.notes.join("\n");
    for needle in [
        "clients   0 north 2 (1), 1 north 10 (2)",
        "classes   healthy (1), sick (2)",
        "columns age",
        "several in 1 image;",
    ] {
        assert!(said.contains(needle), "{needle}: {said}");
    }
    assert!(!said.contains("p1"), "{said}");
    assert_eq!(manifest_clients(&list).unwrap(), ["north 2", "north 10"]);
}

#[test]
fn a_column_of_files_is_enough() {
    for text in ["file\n1.png\n2.png", "\u{feff}File\r\n1.png\r\n./2.png\r\n", "file\n\"1.png\"\n\n2.png\n\n"] {
        let (_root, list) = set(&[("1.png", 1), ("2.png", 2)], text);
        let loaded = manifest(&list, 16, 3, STOP).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!((loaded.dataset.labels, loaded.dataset.classes), (vec![0, 0], vec!["all".to_string()]));
        assert!(loaded.clients.is_none() && loaded.patients.is_none() && !loaded.labelled);
        assert!(message(manifest_clients(&list)).contains("no column `client`"));
    }
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let text = "file,label,client,patient\n\
                a.png,x,h1,p1\n\
                \n\
                b.png,x,h1\n\
                ./a.png,x,h1,p2\n\
                ../c.png,x,h1,p3\n\
                d.png,,h1,p4\n\
                e.png,x;;y,h1,p5\n\
                \"f\n.png\",x,h1,p6\n\
                g.png,x,h2,p1\n";
    let text = refused(text);
    for needle in [
        "list.csv: 7 mistakes",
        "line 4: 3 fields, must be 4 as in the header",
        "line 5: file \"./a.png\" is in line 2 too, must be listed once",
        "line 6: file \"../c.png\": must be a file in the manifest's folder or below",
        "line 7: no label, must have one in every line",
        "line 8: label \"x;;y\": must be a class, or several with `;` between them",
        "line 9: file \"f\\\\n.png\": must be without control characters",
        "line 11: client \"h2\" for the patient of line 2, who is at client \"h1\": must be at one client",
    ] {
        assert!(text.contains(needle), "{needle}: {text}");
    }
    assert!(!text.contains("p1") && !text.contains("p4"), "patients are not shown: {text}");
}

#[test]
fn headers_are_checked() {
    for (text, needle) in [
        ("", "line 1: no header, must name the columns `file` and, each optional, `label`, `client` and `patient`"),
        ("file\n", "line 2: no image"),
        ("name,label\na,b\n", "line 1: the columns \"name, label\", must be `file` and"),
        ("file;label\na;b\n", "commas separate columns"),
        ("file,file\na,b\n", "two columns `file`"),
        ("file\n/etc/passwd\n", "without a leading `/`"),
    ] {
        assert!(refused(text).contains(needle), "{text:?}: {}", refused(text));
    }
    assert!(refused(b"file\n\xff\xfe\n").contains("text in UTF-8"));
    // A picture, and a spreadsheet's text in UTF-16.
    for text in [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], b"f\0i\0l\0e\0,\0a\0\n\0b\0,\0c\0\n\0"] {
        assert!(refused(text).contains("line 1: not text in UTF-8, must be a CSV file with the columns `file` and"));
    }
    assert!(refused(format!("file\n\"{}", "x\n".repeat(5000))).contains("is a quote not closed?"));
    assert!(refused(format!("file,label\na,{}\n", "x;".repeat(1100) + "x")).contains("at most 1024 labels"));
    assert!(refused(format!("file,label\na,{}\n", "x".repeat(300))).contains("at most 256 bytes each"));
    assert!(refused(",".repeat(1000) + "file\n").contains("1001 columns, at most 1000"));
    let many = refused("file\n".to_string() + &"..\n".repeat(150));
    assert!(many.contains("150 mistakes") && many.contains("and 50 more"), "{many}");
}

#[test]
fn missing_files_are_mistakes_or_skipped() {
    let (root, list) = set(&[("a.png", 1)], "file\na.png\nb.png\nsub\\c.png\n");
    let text = message(manifest(&list, 16, 1, STOP));
    assert!(text.contains("2 mistakes") && text.contains("line 3: file \"b.png\": no such file"), "{text}");
    assert!(text.contains("folders are separated by /"), "{text}");
    // Together with the other mistakes, in the order of the lines.
    let (_root, mixed) = set(&[("a.png", 1)], "file,label\nb.png,x\n../a.png,y\na.png,\nc.png,z\n");
    let text = message(manifest(&mixed, 16, 1, STOP));
    let lines: Vec<&str> = text.lines().skip(1).map(|l| l.trim().split(':').next().unwrap()).collect();
    assert_eq!(lines, ["line 2", "line 3", "line 4", "line 5"], "{text}");
    let loaded = manifest(&list, 16, 1, SKIP).unwrap();
    assert_eq!((loaded.dataset.files.len(), loaded.skipped.len()), (1, 2));
    fs::write(&list, "file,client\na.png,h1\nb.png,h2\n").unwrap();
    assert!(message(manifest(&list, 16, 1, SKIP)).contains("client \"h2\" has no readable image"));
    assert!(message(manifest(&root.path().join("absent.csv"), 16, 1, STOP)).contains("absent.csv: "));
    fs::write(root.path().join("b.png"), "no picture").unwrap();
    assert!(message(manifest(&list, 16, 1, STOP)).contains(
        "list.csv: 1 of 2 files cannot be read: b.png (none of PNG, JPEG, TIFF, BMP, WebP, DICOM and NIfTI)"
    ));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_mistakes() {
    use std::os::unix::fs::symlink;
    let (other, _) = set(&[("deep/secret.png", 7)], "");
    let (root, list) = set(&[("a.png", 1)], "file\na.png\nlink.png\nfolder/secret.png\n");
    symlink(other.path().join("deep/secret.png"), root.path().join("link.png")).unwrap();
    symlink(other.path().join("deep"), root.path().join("folder")).unwrap();
    for options in [STOP, SKIP] {
        let text = message(manifest(&list, 16, 1, options));
        assert!(
            text.contains("2 mistakes") && text.contains("line 3: ") && text.contains("a symbolic link to"),
            "{text}"
        );
    }
    let follow = FolderOptions { follow_links: true, ..STOP };
    assert_eq!(manifest(&list, 16, 1, follow).unwrap().dataset.len(), 3);
}

#[test]
fn windows_apply_as_in_folders() {
    let (root, list) = set(&[], "file\ndeep.png\n");
    let deep = image::ImageBuffer::<Luma<u16>, _>::from_pixel(20, 20, Luma([4095u16]));
    deep.save(root.path().join("deep.png")).unwrap();
    let form =
        Decoding { size: 16, channels: 1, options: STOP, window: Some(Window::Range([0.0, 4095.0])), axis: AXIS };
    assert_eq!(load(&list, form).unwrap().dataset.image(0)[0], 255);
}

#[test]
fn the_column_replaces_the_patient_of_a_scan() {
    use crate::data::dicom::tests::file_of;
    let (root, list) = set(&[], "file\na.dcm\nb\nc.png\n");
    for file in ["a.dcm", "b", "c.png"] {
        fs::write(root.path().join(file), file_of("anonymous", &[9; 4])).unwrap();
    }
    assert_eq!(manifest(&list, 16, 1, STOP).unwrap().patients, Some(vec![0, 0, 0]));
    fs::write(&list, "file,patient\na.dcm,1\nb,2\nc.png,1\n").unwrap();
    assert_eq!(manifest(&list, 16, 1, STOP).unwrap().patients, Some(vec![0, 1, 0]));
}
