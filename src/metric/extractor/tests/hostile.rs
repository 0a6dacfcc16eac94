//! Files and options that are refused: one error that says why, and no panic.

use super::builder::{Graph, Message, Small, end, ints, node, tensor};
use super::*;

fn small() -> Graph {
    Small::new(3, 4).graph(16)
}

fn with(change: impl FnOnce(&mut Graph)) -> Graph {
    let mut graph = small();
    change(&mut graph);
    graph
}

#[test]
fn unsuitable_networks_are_refused_with_the_reason() {
    let input = |kind, shape: &[usize]| with(|g| g.inputs = vec![end("images", kind, shape)]);
    let cases = [
        (with(|g| g.inputs.push(end("mask", 1, &[1]))), "2 inputs (\"images\", \"mask\"); must be one, the images"),
        (with(|g| g.inputs.clear()), "0 inputs; must be one"),
        (with(|g| g.outputs.clear()), "no output"),
        (input(2, &[0, 3, 16, 16]), "input \"images\": elements of type uint8; must be float32"),
        (input(1, &[0, 3, 16]), "input \"images\" [?, 3, 16]: must have 4 dimensions"),
        (input(1, &[8, 3, 16, 16]), "takes several images at once"),
        (input(1, &[0, 4, 16, 16]), "4 channels in the order \"nchw\"; must be 1 or 3"),
        (input(1, &[0, 3, 16, 24]), "height and width must be equal"),
        (input(1, &[0, 3, 0, 0]), "evaluation.extractor_side: is missing"),
        (input(1, &[0, 3, 2048, 2048]), "at most 1024 pixels"),
        (with(|g| g.outputs = vec![end("absent", 1, &[0, 4])]), "Source node not found for output \"absent\""),
        (with(|g| g.nodes.push(node("Frobnicate", &["features"], "y", &[]))), "Frobnicate"),
        (with(|g| g.stored[0] = tensor("w0", &[5, 3, 3, 3], &[0.0; 4])), "w0"),
        (with(|g| g.nodes.remove(1).0.clear()), "cannot be computed"),
        (
            with(|g| {
                g.nodes.push(node("Unsqueeze", &["features", "axis"], "deep", &[]));
                g.stored.push(
                    Message::default().number(1, 1).number(2, 7).text(8, "axis").bytes(9, &[2, 0, 0, 0, 0, 0, 0, 0]),
                );
                g.outputs = vec![end("deep", 1, &[0, 4, 1])];
            }),
            "output \"deep\": has the shape [1, 4, 1] for one image; must be [1, features], or a map",
        ),
        (
            with(|g| {
                g.nodes.push(node(
                    "Cast",
                    &["features"],
                    "whole",
                    &[Message::default().text(1, "to").number(20, 2).number(3, 6)],
                ));
                g.outputs = vec![end("whole", 6, &[0, 4])];
            }),
            "output \"whole\": elements of type",
        ),
    ];
    for (graph, what) in cases {
        let text = refused(&graph, |_| ());
        assert!(text.contains(what) && text.contains("net.onnx"), "{what}: {text}");
    }
}

#[test]
fn unsuitable_options_are_refused_with_the_key() {
    let two = with(|g| g.outputs.push(end("map", 1, &[0, 4, 8, 8])));
    assert!(refused(&two, |_| ()).contains("evaluation.extractor_output: is missing; "), "{}", refused(&two, |_| ()));
    let text = refused(&two, |o| o.output = Some("logits".into()));
    assert!(text.starts_with("evaluation.extractor_output = \"logits\": must be an output of "), "{text}");
    assert!(text.ends_with("\"features\", \"map\""), "{text}");
    let text = refused(&small(), |o| o.side = Some(32));
    assert!(text.starts_with("evaluation.extractor_side = 32: must be 16, the side of "), "{text}");
    let text = refused(&small(), |o| o.layout = Some(Layout::Nhwc));
    assert!(text.contains("16 channels in the order \"nhwc\""), "{text}");
    let text = refused(&Small::new(1, 4).graph(16), |o| o.mean = Some(vec![0.1, 0.2, 0.3]));
    assert!(text.contains("evaluation.extractor_mean = [0.1, 0.2, 0.3]: must be one number"), "{text}");
    let text = refused(&small(), |o| o.path = "/no/such.onnx".into());
    assert!(text.contains("evaluation.extractor = \"/no/such.onnx\": ") && text.contains("or an ONNX file"), "{text}");
}

/// What the library would follow down the stack, and other files.
#[test]
fn deep_and_divided_files_are_refused() {
    let branch = Message::default().text(1, "then_branch").number(20, 5).bytes(6, &small().graph().0);
    let text = refused(&with(|g| g.nodes.push(node("If", &["features"], "y", &[branch]))), |_| ());
    assert!(text.contains("operator If: has a graph of its own"), "{text}");
    let outside = tensor("w0", &[5, 3, 3, 3], &[]).number(14, 1);
    let text = refused(&with(|g| g.stored[0] = outside), |_| ());
    assert!(
        text.contains("tensor \"w0\": its values are in another file") && text.contains("external_data=False"),
        "{text}"
    );
    let sequence =
        (0..1000).fold(Vec::new(), |inner, _| Message::default().bytes(4, &Message::default().bytes(1, &inner).0).0);
    let text = refused(&with(|g| g.inputs.push(Message::default().text(1, "s").bytes(2, &sequence))), |_| ());
    assert!(text.contains("\"s\" is no tensor"), "{text}");
    let chain = |n: usize| {
        with(|g| {
            let link = |i: usize| node("Relu", &[&format!("x{i}")], &format!("x{}", i + 1), &[]);
            g.nodes.push(node("Relu", &["features"], "x0", &[]));
            g.nodes.extend((0..n).map(link));
            g.outputs = vec![end(&format!("x{n}"), 1, &[0, 4])];
        })
    };
    assert_eq!(opened(&chain(9_990), |_| ()).unwrap().features(), 4);
    let text = refused(&chain(10_000), |_| ());
    assert!(text.contains("10007 operators; at most 10000 are read"), "{text}");
    // A ring of operators.
    let ring = with(|g| {
        g.nodes[0] = node("Add", &["map", "images"], "a", &[]);
    });
    assert!(refused(&ring, |_| ()).contains("cycle"), "{}", refused(&ring, |_| ()));
}

#[test]
fn a_panic_of_the_library_is_an_error_of_the_file() {
    let square = |stride: u64| [ints("kernel_shape", &[3, 3]), ints("strides", &[stride; 2])];
    let stuck = with(|g| g.nodes[0] = node("Conv", &["images", "w0", "b0"], "a", &square(0)));
    assert!(refused(&stuck, |_| ()).contains("net.onnx: "));
}

/// Files cut short, and files with changed bytes: an error or features, never a panic. Weights stay as they are: the interest
/// is in the structure.
#[test]
fn damaged_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path().join("net.onnx"));
    let file = Small::new(1, 2).graph(8).file();
    let tried = |bytes: &[u8]| {
        std::fs::write(&options.path, bytes).unwrap();
        match Extractor::open(&options) {
            Ok(own) => drop(own.of(&noise(1, 8, 1, 0))),
            Err(error) => assert_eq!(error.exit_code(), 2, "{error}"),
        }
    };
    (0..file.len()).step_by(7).for_each(|end| tried(&file[..end]));
    let mut rng = HostRng::new(3, Stream::CHECK, 0, 0);
    for _ in 0..400 {
        let mut bytes = file.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u32) as usize;
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1 << rng.below(8)][rng.below(6) as usize];
        }
        tried(&bytes);
    }
    for bytes in [&b""[..], b"RTEN", b"\x89PNG\r\n\x1a\n", &[0; 100]] {
        tried(bytes);
    }
}
