//! Metrics against NumPy and SciPy, and Lite0 against the original network (`tests/metric/make_fixtures.py`).

use ::safetensors::SafeTensors;
use fedgan::metric::{Features, Lite0, frechet, ms_ssim, patch_distance, prdc, squared_mmd};
use fedgan::report::safetensors::{self, TensorFile};
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/metric").join(name)
}

fn features(file: &TensorFile, name: &str) -> Features {
    let tensor = file.tensor(name).unwrap();
    Features::new(tensor.values.clone(), tensor.shape[1])
}

/// Relative agreement to 1e-6.
fn agrees(what: &str, got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-6 * expected.abs(), "{what}: {got}, expected {expected}");
}

#[test]
fn distances_agree_with_scipy() {
    let file = safetensors::load(&fixture("fixtures.safetensors")).unwrap();
    // `full` has n > 4 d, `few` has n <= d.
    for (set, biased) in [("full", false), ("few", true)] {
        let (x, y) = (features(&file, &format!("{set}.x")), features(&file, &format!("{set}.y")));
        let expected = |metric: &str| file.tensor(&format!("{set}.{metric}")).unwrap().values.clone();
        let fd = frechet(&x, &y).unwrap();
        assert_eq!(fd.biased, biased, "{set}");
        agrees("fd", fd.value, expected("fd")[0]);
        agrees("fd reversed", frechet(&y, &x).unwrap().value, expected("fd")[0]);
        agrees("mmd2", squared_mmd(&x, &y), expected("mmd2")[0]);
        let p = prdc(&x, &y, 5).unwrap();
        for (got, expected) in [p.precision, p.recall, p.density, p.coverage].iter().zip(expected("prdc")) {
            agrees("prdc", *got, expected);
        }
    }
}

/// MS-SSIM against TensorFlow, PRDC against the authors' package, the sliced distance against SciPy
/// (`tests/metric/make_independent.py`).
#[test]
fn values_agree_with_independent_implementations() {
    let file = safetensors::load(&fixture("independent.safetensors")).unwrap();
    let values = |name: &str| file.tensor(name).unwrap().values.clone();
    for (size, channels) in [(16, 1), (32, 3), (64, 1), (176, 1)] {
        let [a, b] = ["a", "b"].map(|n| ssim_image(n == "b", size, channels));
        let expected = values(&format!("ssim.{size}.{channels}"))[0];
        let got = ms_ssim(&a, &b, size, channels);
        assert!((got - expected).abs() <= 1e-5, "ms-ssim of {size}: {got}, expected {expected}");
    }
    let p = prdc(&features(&file, "prdc.real"), &features(&file, "prdc.fake"), 5).unwrap();
    for (got, expected) in [p.precision, p.recall, p.density, p.coverage].iter().zip(values("prdc.value")) {
        agrees("prdc", *got, expected);
    }
    let directions: Vec<Vec<f64>> = values("sliced.directions").chunks(147).map(<[f64]>::to_vec).collect();
    let got = patch_distance(values("sliced.a"), values("sliced.b"), 3, &directions);
    agrees("sliced", got, values("sliced.value")[0]);
}

/// The images of `make_independent.py`, in integer arithmetic.
fn ssim_image(second: bool, size: usize, channels: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (y, x, c) in (0..size).flat_map(|y| (0..size).flat_map(move |x| (0..channels).map(move |c| (y, x, c)))) {
        let smooth = (x * x + 2 * y * y + 40 * c) * 3 / size % 200;
        let noise = (x * 7919 + y * 104_729 + c * 1_299_709) % 251;
        bytes.push(if second { smooth * 3 / 4 + noise / 4 } else { smooth } as u8);
    }
    bytes
}

#[test]
fn a_set_is_at_distance_zero_of_itself() {
    let file = safetensors::load(&fixture("fixtures.safetensors")).unwrap();
    for set in ["full.x", "few.x"] {
        let x = features(&file, set);
        let distance = frechet(&x, &x).unwrap().value;
        assert!(distance.abs() < 1e-9, "{set}: {distance}");
    }
}

#[test]
fn lite0_agrees_with_the_original_network() {
    let bytes = std::fs::read(fixture("lite0_reference.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let images = file.tensor("images_u8_nhwc").unwrap();
    let features = |name: &str| -> Vec<f64> {
        let words = file.tensor(name).unwrap().data().as_chunks::<4>().0;
        words.iter().map(|w| f64::from(f32::from_le_bytes(*w))).collect()
    };
    let (half, original) = (features("features_half"), features("features"));
    let network = Lite0::embedded().unwrap();
    let images = images.data().chunks_exact(224 * 224 * 3);
    assert_eq!((images.len(), half.len(), original.len()), (4, 4 * 1280, 4 * 1280));
    for (i, image) in images.enumerate() {
        let planes: Vec<f32> = (0..3).flat_map(|c| image.iter().skip(c).step_by(3).map(|b| f32::from(*b))).collect();
        let got = network.forward(&planes);
        let relative = |expected: &[f64]| {
            let squares: f64 = got.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
            (squares / expected.iter().map(|v| v * v).sum::<f64>()).sqrt()
        };
        let row = i * 1280..(i + 1) * 1280;
        // The same weights in ONNX Runtime: only f32 rounding remains.
        let same = relative(&half[row.clone()]);
        assert!(same < 1e-4, "image {i}: relative error {same} with the same weights");
        // The original's f32 weights: rounding them to half precision changes the features of these images by 0.3 to
        // 0.7 %.
        let rounded = relative(&original[row]);
        assert!(rounded < 1e-2, "image {i}: relative error {rounded} against the unrounded weights");
    }
}
