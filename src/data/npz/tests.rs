use super::*;
use npyz::WriterBuilder;
use std::path::PathBuf;
use tempfile::TempDir;

/// A `.npz` writer whose arrays come in one call each.
struct Writer(TempDir, zip::ZipWriter<File>);

impl Writer {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let file = File::create(root.path().join("set.npz")).unwrap();
        Writer(root, zip::ZipWriter::new(file))
    }

    fn array<T: npyz::AutoSerialize + Copy>(mut self, name: &str, shape: &[u64], data: &[T]) -> Self {
        // Stored, so that a test can edit a header.
        let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
        self.1.start_file(format!("{name}.npy"), stored).unwrap();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(&mut self.1).begin_nd().unwrap();
        writer.extend(data.iter().copied()).unwrap();
        writer.finish().unwrap();
        self
    }

    fn path(self) -> (TempDir, PathBuf) {
        let path = self.0.path().join("set.npz");
        drop(self.1);
        (self.0, path)
    }

    fn error(self) -> String {
        let (_root, path) = self.path();
        let error = npz(&path, 16, 1).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }
}

#[test]
fn grey_round_trip() {
    let pixels: Vec<u8> = (0..3 * 256).map(|i| (i * 7 % 251) as u8).collect();
    let (_root, path) =
        Writer::new().array("train_images", &[3, 16, 16], &pixels).array("train_labels", &[3, 1], &[5u8, 0, 5]).path();
    let set = npz(&path, 16, 1).unwrap();
    assert_eq!(set.pixels, pixels);
    assert_eq!((set.labels, set.classes), (vec![1, 0, 1], vec!["0".to_string(), "5".into()]));
    assert_eq!(set.files[2], "set.npz:train_images[2]");
    let rgb = npz(&path, 16, 3).unwrap();
    assert!(rgb.pixels.chunks_exact(3).zip(&pixels).all(|(c, &g)| c == [g; 3]));
}

#[test]
fn rgb_round_trip_with_wide_labels() {
    let pixels: Vec<u8> = (0..2 * 16 * 16 * 3).map(|i| (i * 5 % 253) as u8).collect();
    let (_root, path) =
        Writer::new().array("train_images", &[2, 16, 16, 3], &pixels).array("train_labels", &[2], &[300i64, -1]).path();
    let set = npz(&path, 16, 3).unwrap();
    assert_eq!(set.pixels, pixels);
    assert_eq!((set.labels, set.classes), (vec![1, 0], vec!["-1".to_string(), "300".into()]));
    assert_eq!(npz(&path, 32, 1).unwrap().pixels.len(), 2 * 32 * 32);
}

#[test]
fn clear_errors() {
    let images = |w: Writer| w.array("train_images", &[2, 16, 16], &[0u8; 512]);
    let text = images(Writer::new()).error();
    assert!(text.contains("no array `train_labels`") && text.contains("it has: train_images"), "{text}");
    let text = Writer::new().array("train_labels", &[1], &[0u8]).error();
    assert!(text.contains("no array `train_images`"), "{text}");
    let text = Writer::new().array("train_images", &[2, 16, 16], &[0f32; 512]).error();
    assert!(text.contains("f4") && text.contains("uint8"), "{text}");
    let text = Writer::new().array("train_images", &[2, 16, 16, 2], &[0u8; 1024]).error();
    assert!(text.contains("[2, 16, 16, 2]"), "{text}");
    let text = Writer::new().array("train_images", &[0, 16, 16], &[0u8; 0]).error();
    assert!(text.contains("[0, 16, 16]"), "{text}");
    let text = images(Writer::new()).array("train_labels", &[3, 1], &[0u8; 3]).error();
    assert!(text.contains("[3, 1]") && text.contains("[2, 1]"), "{text}");
    let text = images(Writer::new()).array("train_labels", &[2], &[0f64; 2]).error();
    assert!(text.contains("f8"), "{text}");
}

/// Images beyond one block, each at its place; labels of another number; a shape that no file of this size can have.
#[test]
fn images_are_read_in_blocks_and_shapes_are_held_against_the_file() {
    let image: Vec<u8> = (0..1 << 20).map(|i| (i / 7 % 250) as u8).collect();
    let pixels: Vec<u8> = (0..9).flat_map(|n| image.iter().map(move |p| p + n / 2)).collect();
    let (_root, path) =
        Writer::new().array("train_images", &[9, 1024, 1024], &pixels).array("train_labels", &[9], &[0u16; 9]).path();
    let set = npz(&path, 16, 1).unwrap();
    let first = set.image(0)[17];
    assert!((0..9).all(|i| set.image(i)[17].abs_diff(first + i as u8 / 2) <= 1), "{first}");
    let text = Writer::new()
        .array("train_images", &[2, 16, 16], &[0u8; 512])
        .array("train_labels", &[9000], &[0u8; 9000])
        .error();
    assert!(text.contains("[9000]") && text.contains("[2, 1]"), "{text}");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(17).position(|w| w == b"(9, 1024, 1024, )").unwrap();
    for (shape, needle) in [
        (b"(900000,1024,102)", "a damaged file"),
        (b"(9, 99999, 99999)", "a damaged file"),
        (b"(2, 1024, 1024, )", "more than the 2097152 bytes"),
        (b"(9, 1024, 1024,1)", "shape [9, 1024, 1024, 1], expected"),
        (b"((((((,1024,,20,)", "Python"),
    ] {
        bytes[at..at + 17].copy_from_slice(shape);
        let error = decode(std::io::Cursor::new(&bytes), &path, 16, 1).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(needle), "{error}");
    }
}

#[test]
fn damaged_files() {
    let (root, path) = Writer::new().array("train_images", &[2, 16, 16], &[0u8; 512]).path();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(npz(&path, 16, 1).unwrap_err().exit_code(), 2);
    let absent = npz(&root.path().join("absent.npz"), 16, 1).unwrap_err();
    assert!(absent.exit_code() == 2 && absent.to_string().contains("absent.npz"));
}
