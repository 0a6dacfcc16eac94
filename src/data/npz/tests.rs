use super::*;
use npyz::WriterBuilder;
use std::path::PathBuf;
use tempfile::TempDir;

/// A `.npz` writer; each call adds one array.
struct Writer(TempDir, zip::ZipWriter<File>);

impl Writer {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let file = File::create(root.path().join("set.npz")).unwrap();
        Writer(root, zip::ZipWriter::new(file))
    }

    fn array<T: npyz::AutoSerialize + Copy>(self, name: &str, shape: &[u64], data: &[T]) -> Self {
        self.ordered(name, shape, data, Order::C)
    }

    fn ordered<T: npyz::AutoSerialize + Copy>(mut self, name: &str, shape: &[u64], data: &[T], order: Order) -> Self {
        // Stored uncompressed, so that a test can edit a header.
        let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
        self.1.start_file(format!("{name}.npy"), stored).unwrap();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
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
    let text = Writer::new().array("train_labels", &[1], &[0u8]).error();
    assert!(text.contains("no array `train_images`") && text.contains("it has: train_labels"), "{text}");
    let text = Writer::new().array("train_images", &[2, 16, 16, 2], &[0u8; 1024]).error();
    assert!(text.contains("[2, 16, 16, 2]") && text.contains("data.axis"), "{text}");
    let text = Writer::new().array("train_images", &[0, 16, 16], &[0u8; 0]).error();
    assert!(text.contains("[0, 16, 16]"), "{text}");
    let text = images(Writer::new()).array("train_labels", &[3, 1], &[0u8; 3]).error();
    assert!(text.contains("[3, 1]") && text.contains("[2, 1]"), "{text}");
    let text = images(Writer::new()).array("train_labels", &[2], &[0.5f64; 2]).error();
    assert!(text.contains("f8") && text.contains("not integers"), "{text}");
    let text = images(Writer::new()).array("train_labels", &[2, 0], &[0u8; 0]).error();
    assert!(text.contains("[2, 0]"), "{text}");
    for (data, needle) in [
        (vec![-1.0f32; 512], "values from -1 to -1"),
        ((0..512).map(|i| i as f32 - 100.0).collect(), "values from -100 to 411 without a known black and white"),
        (vec![f32::NAN; 512], "NaN or infinite"),
        (vec![f32::INFINITY; 512], "NaN or infinite"),
    ] {
        let text = Writer::new().array("train_images", &[2, 16, 16], &data).error();
        assert!(text.contains(needle), "{text}");
    }
    let text = Writer::new().array("train_images", &[2, 16, 16], &[-1000i16; 512]).error();
    assert!(text.contains("data.window = [-1000, -1000]"), "{text}");
}

/// The numbers 0 to 255 of one image give the same set in every unambiguous type.
#[test]
fn every_unambiguous_type() {
    let bytes: Vec<u8> = (0..512).map(|i| (i * 5 % 256) as u8).collect();
    fn of<T: npyz::AutoSerialize + Copy>(bytes: &[u8], value: impl Fn(u8) -> T) -> Vec<u8> {
        let data: Vec<T> = bytes.iter().map(|b| value(*b)).collect();
        let (_root, path) = Writer::new().array("train_images", &[2, 16, 16], &data).path();
        npz(&path, 16, 1).unwrap().pixels
    }
    assert_eq!(of(&bytes, |b| b), bytes);
    assert_eq!(of(&bytes, u16::from).iter().max(), Some(&1), "16 bits use the whole range");
    assert_eq!(of(&bytes, |b| u16::from(b) * 257), bytes);
    assert_eq!(of(&bytes, i16::from), bytes);
    assert_eq!(of(&bytes, u32::from), bytes);
    assert_eq!(of(&bytes, i32::from), bytes);
    assert_eq!(of(&bytes, i64::from), bytes);
    assert_eq!(of(&bytes, u64::from), bytes);
    assert_eq!(of(&bytes, f32::from), bytes);
    assert_eq!(of(&bytes, f64::from), bytes);
    assert_eq!(of(&bytes, |b| f32::from(b) / 255.0), bytes);
    assert_eq!(of(&bytes, |b| f64::from(b) / 255.0), bytes);
    assert_eq!(of(&bytes, |b| b > 100), bytes.iter().map(|b| if *b > 100 { 255 } else { 0 }).collect::<Vec<u8>>());
}

fn loaded(path: &Path, options: NpzOptions) -> Loaded {
    load(path, 16, 1, options).unwrap()
}

#[test]
fn windows_stretch_values() {
    let values: Vec<u16> = (0..512).map(|i| i * 8).collect();
    let (_root, path) = Writer::new().array("train_images", &[2, 16, 16], &values).path();
    let plain = loaded(&path, NpzOptions::default());
    assert!(plain.dataset.pixels.iter().all(|v| *v <= 16));
    assert!(plain.warnings[0].contains("0 to 4088") && plain.warnings[0].contains("data.window"), "{plain:?}");
    for window in [Window::Range([0.0, 4088.0]), Window::Word(crate::data::Word::Auto)] {
        let set = loaded(&path, NpzOptions { window: Some(window), axis: None });
        let expected: Vec<u8> = values.iter().map(|v| (f64::from(*v) / 4088.0 * 255.0).round() as u8).collect();
        assert!(set.dataset.pixels.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1));
        assert!(set.warnings.is_empty() && set.notes.iter().any(|n| n.contains("0 to 4088")), "{:?}", set.notes);
    }
    let hounsfield: Vec<i16> = (0..512).map(|i| i * 4 - 1000).collect();
    let (_root, path) = Writer::new().array("train_images", &[2, 16, 16], &hounsfield).path();
    let set = loaded(&path, NpzOptions { window: Some(Window::Range([-160.0, 240.0])), axis: None });
    assert_eq!((set.dataset.pixels[0], set.dataset.pixels[511], set.dataset.pixels[260]), (0, 255, 128));
    let (_root, path) = Writer::new().array("train_images", &[2, 16, 16], &[9u8; 512]).path();
    let set = loaded(&path, NpzOptions { window: Some(Window::Range([0.0, 9.0])), axis: None });
    assert!(set.dataset.pixels[0] == 9 && set.warnings[0].contains("no effect"), "{:?}", set.warnings);
}

/// Shapes, element orders and byte orders: the same pictures.
#[test]
fn shapes_and_orders() {
    let (n, h, w) = (3usize, 16usize, 16usize);
    let value = |i: usize, y: usize, x: usize| (i * 80 + y * 5 + x) as u8;
    let plain: Vec<u8> = (0..n * h * w).map(|at| value(at / (h * w), at / w % h, at % w)).collect();
    for shape in [vec![3u64, 16, 16], vec![3, 16, 16, 1], vec![3, 1, 16, 16]] {
        let (_root, path) = Writer::new().array("train_images", &shape, &plain).path();
        assert_eq!(npz(&path, 16, 1).unwrap().pixels, plain, "{shape:?}");
        let mut columns = vec![0; plain.len()];
        // In Fortran order the first index varies fastest.
        for at in 0..plain.len() {
            let (i, y, x) = (at / (h * w), at / w % h, at % w);
            columns[i + n * (y + h * x)] = plain[at];
        }
        let (_root, path) = Writer::new().ordered("train_images", &shape, &columns, Order::Fortran).path();
        assert_eq!(npz(&path, 16, 1).unwrap().pixels, plain, "{shape:?} in Fortran order");
    }
}

#[test]
fn channels_first_and_last_are_the_same_colours() {
    let value = |i: usize, y: usize, x: usize, c: usize| (i * 7 + y * 13 + x * 3 + c * 70) as u8;
    let (mut last, mut first) = (Vec::new(), vec![0u8; 2 * 3 * 256]);
    for (i, y, x) in (0..2).flat_map(|i| (0..16).flat_map(move |y| (0..16).map(move |x| (i, y, x)))) {
        for c in 0..3 {
            last.push(value(i, y, x, c));
            first[((i * 3 + c) * 16 + y) * 16 + x] = value(i, y, x, c);
        }
    }
    for (shape, data) in [(&[2u64, 16, 16, 3], &last), (&[2, 3, 16, 16], &first)] {
        let (_root, path) = Writer::new().array("train_images", shape, data).path();
        assert_eq!(npz(&path, 16, 3).unwrap().pixels, last, "{shape:?}");
        let said = load(&path, 16, 1, NpzOptions::default()).unwrap().notes;
        assert!(said.iter().any(|n| n.contains("all 2 images have colours, made grey")), "{said:?}");
    }
}

#[test]
fn volumes_are_cut_along_an_axis() {
    let voxel = |v: usize, i: usize, j: usize, k: usize| (v * 100 + i * 3 + j * 2 + k) as u8;
    let all = |f: &mut dyn FnMut(usize, usize, usize, usize)| {
        for at in 0..2 * 16 * 16 * 16 {
            f(at / 4096, at / 256 % 16, at / 16 % 16, at % 16);
        }
    };
    let mut data = Vec::new();
    all(&mut |v, i, j, k| data.push(voxel(v, i, j, k)));
    let (_root, path) =
        Writer::new().array("train_images", &[2, 16, 16, 16], &data).array("train_labels", &[2, 1], &[7u8, 4]).path();
    let text = npz(&path, 16, 1).unwrap_err().to_string();
    assert!(text.contains("data.axis = 1, 2 or 3"), "{text}");
    for axis in 1..=3 {
        let set = loaded(&path, NpzOptions { axis: Some(axis), window: None }).dataset;
        assert_eq!((set.len(), set.classes.clone()), (32, vec!["4".to_string(), "7".into()]));
        assert_eq!((set.labels[15], set.labels[16]), (1, 0), "slices take their volume's label");
        assert_eq!(set.files[17], "set.npz:train_images[1] slice 1");
        for (y, x) in [(0, 0), (3, 9), (15, 2)] {
            let expected = [voxel(1, 5, y, x), voxel(1, y, 5, x), voxel(1, y, x, 5)][axis as usize - 1];
            assert_eq!(set.image(16 + 5)[y * 16 + x], expected, "axis {axis}");
        }
    }
    let error = load(&path, 16, 1, NpzOptions { axis: Some(4), window: None }).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn labels_of_every_kind() {
    let images = |n: u64| Writer::new().array("train_images", &[n, 16, 16], &vec![0u8; n as usize * 256]);
    let classes = |w: Writer| {
        let (_root, path) = w.path();
        let loaded = loaded(&path, NpzOptions::default());
        (loaded.dataset.classes, loaded.dataset.labels, loaded.labelled)
    };
    let (names, labels, found) = classes(images(3));
    assert_eq!((names, labels, found), (vec!["all".to_string()], vec![0, 0, 0], false));
    let (names, labels, found) = classes(images(3).array("train_labels", &[3, 1], &[2.0f32, 0.0, 2.0]));
    assert_eq!((names, labels, found), (vec!["0".to_string(), "2".into()], vec![1, 0, 1], true));
    let (names, labels, _) = classes(images(2).array("train_labels", &[2], &[true, false]));
    assert_eq!((names, labels), (vec!["0".to_string(), "1".into()], vec![1, 0]));
    let marks = [0u8, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1];
    let (names, labels, _) = classes(images(4).array("train_labels", &[4, 3], &marks));
    assert_eq!((names, labels), (vec!["0+2".to_string(), "2".into(), "none".into()], vec![1, 2, 0, 1]));
    // The same in Fortran order: column by column.
    let columns = [0u8, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1];
    let (names, labels, _) = classes(images(4).ordered("train_labels", &[4, 3], &columns, Order::Fortran));
    assert_eq!((names, labels), (vec!["0+2".to_string(), "2".into(), "none".into()], vec![1, 2, 0, 1]));
    let (names, ..) = classes(images(2).array("train_labels", &[2, 2], &[3i64, -1, 10, 0]));
    assert_eq!(names, ["3,-1", "10,0"]);
}

/// Images beyond one block are at their places; labels of another number; a shape that no file of this size can have.
#[test]
fn images_are_read_in_blocks_and_shapes_are_checked_against_the_file() {
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
        (b"(9, 1024, 1024,4)", "data.axis"),
        (b"((((((,1024,,20,)", "Python"),
    ] {
        bytes[at..at + 17].copy_from_slice(shape);
        let error = decode(std::io::Cursor::new(&bytes), &path, 16, 1, NpzOptions::default()).unwrap_err();
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
