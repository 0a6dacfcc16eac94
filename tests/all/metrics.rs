//! Metrics against NumPy and SciPy, and Lite0 against the original network (`tests/metric/make_fixtures.py`).

use fedgan::metric::{Features, Lite0, frechet, ms_ssim, prdc, squared_mmd};
use fedgan::report::checkpoint::{self, TensorFile};
use safetensors::SafeTensors;
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
    let file = checkpoint::load(&fixture("fixtures.safetensors")).unwrap();
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
    let image = |name: &str| file.f32_any(name).unwrap().1;
    let value = ms_ssim(&image("ssim.a"), &image("ssim.b"), 32, 3);
    agrees("ms-ssim", value, file.tensor("ssim.value").unwrap().values[0]);
}

#[test]
fn a_set_is_at_distance_zero_of_itself() {
    let file = checkpoint::load(&fixture("fixtures.safetensors")).unwrap();
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
        // The same weights in ONNX Runtime: what is left is f32 rounding.
        let same = relative(&half[row.clone()]);
        assert!(same < 1e-4, "image {i}: relative error {same} with the same weights");
        // The original's f32 weights: rounding them to half precision moves the features of these images by 0.3 to 0.7 %.
        let rounded = relative(&original[row]);
        assert!(rounded < 1e-2, "image {i}: relative error {rounded} against the unrounded weights");
    }
}
