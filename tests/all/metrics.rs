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
    let words = file.tensor("features").unwrap().data().as_chunks::<4>().0;
    let expected: Vec<f64> = words.iter().map(|w| f64::from(f32::from_le_bytes(*w))).collect();
    let network = Lite0::embedded().unwrap();
    let images = images.data().chunks_exact(224 * 224 * 3);
    assert_eq!(images.len(), 4);
    for (i, (image, expected)) in images.zip(expected.chunks_exact(1280)).enumerate() {
        let planes: Vec<f32> = (0..3).flat_map(|c| image.iter().skip(c).step_by(3).map(|b| f32::from(*b))).collect();
        let got = network.forward(&planes);
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
        let error = norm(&mut got.iter().zip(expected).map(|(a, b)| f64::from(*a) - b));
        let relative = error / norm(&mut expected.iter().copied());
        assert!(relative < 1e-3, "image {i}: relative error {relative}");
    }
}
