//! Networks in ONNX files, written by [`builder`].

pub(crate) mod builder;
mod hostile;

use super::*;
use crate::kernels::rng::{HostRng, Stream};
use crate::metric::{Evaluator, Metric};
use builder::{Graph, Small, end, node};
use std::sync::Arc;

/// Options for the file `net.onnx` with the inputs -1 to 1.
pub(crate) fn options(path: PathBuf) -> ExtractorOptions {
    ExtractorOptions {
        path,
        side: None,
        filter: Filter::CatmullRom,
        range: [-1.0, 1.0],
        mean: None,
        std: None,
        layout: None,
        order: Order::Rgb,
        output: None,
        is_fid: false,
    }
}

/// The answer to the file and the options that `change` makes.
fn opened(graph: &Graph, change: impl FnOnce(&mut ExtractorOptions)) -> Result<Extractor> {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path().join("net.onnx"));
    std::fs::write(&options.path, graph.file()).unwrap();
    change(&mut options);
    Extractor::open(&options)
}

/// The error about that file, without its folder.
fn refused(graph: &Graph, change: impl FnOnce(&mut ExtractorOptions)) -> String {
    let error = opened(graph, change).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

fn noise(n: usize, size: usize, channels: usize, client: u32) -> ImageSet {
    let mut rng = HostRng::new(8, Stream::CHECK, client, 0);
    let bytes: Vec<u8> = (0..n * size * size * channels).map(|_| rng.below(256) as u8).collect();
    ImageSet::from_bytes(&bytes, size, channels)
}

/// Largest difference, relative to the largest value.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

#[test]
fn features_agree_with_a_computation_in_f64() {
    let small = Small::new(3, 7);
    let set = noise(3, 16, 3, 0);
    let expected = |change: &dyn Fn(usize, f64) -> f64, order: [usize; 3]| -> Vec<f64> {
        let image = |i: usize| {
            let planes = order.into_iter().enumerate().flat_map(|(c, from)| {
                (0..256).map(move |p| (c, from, p)).map(|(c, from, p)| change(c, f64::from(set.image(i)[p * 3 + from])))
            });
            small.reference(&planes.collect::<Vec<_>>(), 16)
        };
        (0..3).flat_map(image).collect()
    };
    let plain = opened(&small.graph(16), |_| ()).unwrap();
    assert_eq!((plain.features(), plain.resize()), (7, "catmullrom16"));
    let same = expected(&|_, v| v, [0, 1, 2]);
    assert!(apart(&plain.of(&set).unwrap(), &same) < 1e-6);
    let bgr = opened(&small.graph(16), |o| o.order = Order::Bgr).unwrap();
    assert!(apart(&bgr.of(&set).unwrap(), &expected(&|_, v| v, [2, 1, 0])) < 1e-6);
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let scaled = opened(&small.graph(16), |o| {
        (o.range, o.mean, o.std) = ([0.0, 1.0], Some(mean.to_vec()), Some(std.to_vec()));
    });
    let change = |c: usize, v: f64| ((v + 1.0) / 2.0 - mean[c]) / std[c];
    assert!(apart(&scaled.unwrap().of(&set).unwrap(), &expected(&change, [0, 1, 2])) < 1e-6);
    // An open side takes that of the options, and other images are resized to it.
    let open = opened(&small.graph(0), |o| o.side = Some(16)).unwrap();
    assert_eq!(open.of(&set).unwrap(), plain.of(&set).unwrap());
    assert_eq!(open.of(&noise(2, 32, 3, 0)).unwrap().len(), 14);
}

#[test]
fn colours_and_layouts_are_converted() {
    let small = Small::new(3, 4);
    let grey = noise(2, 16, 1, 0);
    let rgb = ImageSet::new(grey.pixels.iter().flat_map(|v| [*v; 3]).collect(), 16, 3);
    let network = opened(&small.graph(16), |_| ()).unwrap();
    assert_eq!(network.of(&grey).unwrap(), network.of(&rgb).unwrap(), "grey is repeated");
    let one = opened(&Small::new(1, 4).graph(16), |_| ()).unwrap();
    assert!(apart(&one.of(&rgb).unwrap(), &one.of(&grey).unwrap()) < 1e-6, "the weights of the colours add up to 1");
    // The same network behind a transposition takes pixels, and a map is averaged.
    let mut pixels = small.graph(16);
    pixels.inputs = vec![end("pixels", 1, &[1, 16, 16, 3])];
    pixels.nodes.insert(0, node("Transpose", &["pixels"], "images", &[builder::ints("perm", &[0, 3, 1, 2])]));
    pixels.outputs.push(end("map", 1, &[1, 4, 8, 8]));
    let flat = opened(&pixels, |o| o.output = Some("features".into())).unwrap();
    let set = noise(2, 16, 3, 1);
    assert_eq!(flat.of(&set).unwrap(), network.of(&set).unwrap());
    let mut map = small.graph(16);
    map.outputs = vec![end("map", 1, &[0, 4, 8, 8])];
    assert!(apart(&opened(&map, |_| ()).unwrap().of(&set).unwrap(), &network.of(&set).unwrap()) < 1e-6);
    // A map behind channels is averaged over the two dimensions before them.
    let mut behind = pixels.clone();
    behind.nodes.push(node("Transpose", &["map"], "behind", &[builder::ints("perm", &[0, 2, 3, 1])]));
    behind.outputs = vec![end("behind", 1, &[1, 8, 8, 4])];
    assert!(apart(&opened(&behind, |_| ()).unwrap().of(&set).unwrap(), &network.of(&set).unwrap()) < 1e-6);
}

#[test]
fn names_carry_the_files_stem_and_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my net_v2.onnx");
    let file = Small::new(3, 3).graph(16).file();
    std::fs::write(&path, &file).unwrap();
    let own = Extractor::open(&options(path.clone())).unwrap();
    let digest = own.digest().unwrap().to_string();
    assert_eq!((digest.len(), extractor_digest(&path).unwrap()), (64, digest.clone()));
    let label = format!("my-net-v2-{}", &digest[..8]);
    assert_eq!(own.label(), label);
    let metrics = [Metric::Kid, Metric::Fd, Metric::Prdc];
    let evaluator = Evaluator::new(&metrics, noise(14, 16, 3, 0), None, 1, 12, Some(&Arc::new(own))).unwrap();
    let values = evaluator.values(&noise(12, 16, 3, 1)).unwrap();
    assert_eq!((values.len(), evaluator.floors().len()), (12, 6));
    for value in values.iter().chain(evaluator.floors()) {
        assert!(value.name.contains(&format!("_{label}_px16_catmullrom16_")), "{}", value.name);
        assert!(value.value.is_finite() && value.extractor.as_deref() == Some(&label[..]), "{value:?}");
    }
    assert!(values[2].name.starts_with("fd_my-net-v2-"), "{}", values[2].name);
}

#[test]
fn only_a_declared_inception_gives_fid() {
    let small = Small::new(3, 2048).graph(8);
    let own = opened(&small, |o| o.is_fid = true).unwrap();
    let evaluator = Evaluator::new(&[Metric::Fd], noise(4, 8, 3, 0), None, 1, 4, Some(&Arc::new(own))).unwrap();
    let values = evaluator.values(&noise(4, 8, 3, 1)).unwrap();
    assert!(values[0].name.starts_with("fid_net-") && values[0].name.contains("_biased_n4_r4"), "{}", values[0].name);
    let text = refused(&Small::new(3, 7).graph(8), |o| o.is_fid = true);
    assert!(text.contains("extractor_is_fid = true") && text.contains("has 7 features; the Inception"), "{text}");
}

/// A network of NaN gives no number: real images are refused, generated ones measure as NaN with a note.
#[test]
fn non_finite_features_are_told() {
    // The root of a negative mean, such as that of a dark image.
    let mut graph = Small::new(3, 3).graph(16);
    graph.nodes = vec![
        node("GlobalAveragePool", &["images"], "mean", &[]),
        node("Flatten", &["mean"], "flat", &[]),
        node("Sqrt", &["flat"], "features", &[]),
    ];
    let own = Arc::new(opened(&graph, |_| ()).unwrap());
    let flat = |shade: f32| ImageSet::new(vec![shade; 4 * 16 * 16 * 3], 16, 3);
    let metrics = [Metric::Fd, Metric::MsSsim];
    let refused = Evaluator::new(&metrics, flat(-0.5), None, 1, 4, Some(&own)).unwrap_err();
    assert!(refused.to_string().contains("non-finite features of 4 of 4 real images"), "{refused}");
    assert_eq!(refused.exit_code(), 2);
    let evaluator = Evaluator::new(&metrics, noise(4, 16, 3, 0), None, 1, 4, Some(&own));
    let evaluator = evaluator.or_else(|_| Evaluator::new(&metrics, flat(0.5), None, 1, 4, Some(&own))).unwrap();
    let values = evaluator.values(&flat(-0.5)).unwrap();
    for value in values {
        let on_features = value.extractor.is_some();
        assert_eq!(value.value.is_nan(), on_features, "{value:?}");
        assert_eq!(value.note.is_some_and(|note| note.contains("4 of 4 generated images have features")), on_features);
    }
}

/// Batches and the library's threads change no bit.
#[test]
fn images_come_in_any_batches() {
    let own = opened(&Small::new(3, 9).graph(16), |_| ()).unwrap();
    let set = noise(9, 16, 3, 2);
    let whole = own.of(&set).unwrap();
    for size in [1, 4] {
        let parts: Vec<f64> = set.batches(size).flat_map(|part| own.of(&part).unwrap()).collect();
        assert_eq!(parts, whole);
    }
}
