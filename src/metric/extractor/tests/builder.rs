//! Writes ONNX files: protobuf by hand, and the network that the tests use.

use crate::kernels::rng::{HostRng, Stream};

/// A protobuf message.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn number(mut self, field: u64, value: u64) -> Message {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Message {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, field: u64, text: &str) -> Message {
        self.bytes(field, text.as_bytes())
    }

    pub fn all(self, field: u64, messages: &[Message]) -> Message {
        messages.iter().fold(self, |all, one| all.bytes(field, &one.0))
    }
}

/// `AttributeProto` with a list of whole numbers.
pub fn ints(name: &str, values: &[u64]) -> Message {
    values.iter().fold(Message::default().text(1, name).number(20, 7), |attribute, v| attribute.number(8, *v))
}

/// `NodeProto`.
pub fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, name| node.text(1, name));
    node.text(2, output).text(3, &format!("/{kind}")).text(4, kind).all(5, attributes)
}

/// `TensorProto` of f32.
pub fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Message {
    let tensor = shape.iter().fold(Message::default(), |tensor, side| tensor.number(1, *side as u64)).number(2, 1);
    tensor.text(8, name).bytes(9, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// `ValueInfoProto` of an element type; a side of 0 is left open.
pub fn end(name: &str, kind: u64, shape: &[usize]) -> Message {
    let side = |side: &usize| match side {
        0 => Message::default().text(2, "n"),
        side => Message::default().number(1, *side as u64),
    };
    let shape = Message::default().all(1, &shape.iter().map(side).collect::<Vec<_>>());
    let kind = Message::default().number(1, kind).bytes(2, &shape.0);
    Message::default().text(1, name).bytes(2, &Message::default().bytes(1, &kind.0).0)
}

/// A graph under construction.
#[derive(Clone, Default)]
pub struct Graph {
    pub nodes: Vec<Message>,
    pub stored: Vec<Message>,
    pub inputs: Vec<Message>,
    pub outputs: Vec<Message>,
}

impl Graph {
    /// `GraphProto`.
    pub fn graph(&self) -> Message {
        let graph = Message::default().all(1, &self.nodes).text(2, "g").all(5, &self.stored);
        graph.all(11, &self.inputs).all(12, &self.outputs)
    }

    /// The file: `ModelProto`.
    pub fn file(&self) -> Vec<u8> {
        let opset = Message::default().text(1, "").number(2, 17);
        Message::default().number(1, 8).text(2, "test").bytes(7, &self.graph().0).bytes(8, &opset.0).0
    }
}

/// Two convolutions with rectifiers: 3 x 3 with stride 2, then 3 x 3; the mean over positions.
pub struct Small {
    pub channels: usize,
    pub features: usize,
    weights: [Vec<f32>; 2],
    biases: [Vec<f32>; 2],
}

/// Channels between the convolutions.
const MIDDLE: usize = 5;

impl Small {
    pub fn new(channels: usize, features: usize) -> Small {
        let mut rng = HostRng::new(11, Stream::CHECK, 7, 0);
        let mut draw = |n: usize, scale: f64| -> Vec<f32> { (0..n).map(|_| (scale * rng.normal()) as f32).collect() };
        let weights = [draw(MIDDLE * channels * 9, 0.3), draw(features * MIDDLE * 9, 0.2)];
        Small { channels, features, weights, biases: [draw(MIDDLE, 0.1), draw(features, 0.1)] }
    }

    /// The network as a graph with the input `images` and the output `features`; a side of 0 is left open.
    pub fn graph(&self, side: usize) -> Graph {
        let (c, d) = (self.channels, self.features);
        let square =
            |stride: u64| [ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4]), ints("strides", &[stride; 2])];
        Graph {
            nodes: vec![
                node("Conv", &["images", "w0", "b0"], "a", &square(2)),
                node("Relu", &["a"], "b", &[]),
                node("Conv", &["b", "w1", "b1"], "c", &square(1)),
                node("Relu", &["c"], "map", &[]),
                node("GlobalAveragePool", &["map"], "mean", &[]),
                node("Flatten", &["mean"], "features", &[]),
            ],
            stored: vec![
                tensor("w0", &[MIDDLE, c, 3, 3], &self.weights[0]),
                tensor("b0", &[MIDDLE], &self.biases[0]),
                tensor("w1", &[d, MIDDLE, 3, 3], &self.weights[1]),
                tensor("b1", &[d], &self.biases[1]),
            ],
            inputs: vec![end("images", 1, &[0, c, side, side])],
            outputs: vec![end("features", 1, &[0, d])],
        }
    }

    /// The same features in f64, of one input `[channels][side][side]`.
    pub fn reference(&self, input: &[f64], side: usize) -> Vec<f64> {
        let (middle, half) = layer(input, [self.channels, MIDDLE, side, 2], &self.weights[0], &self.biases[0]);
        let (map, half) = layer(&middle, [MIDDLE, self.features, half, 1], &self.weights[1], &self.biases[1]);
        map.chunks(half * half).map(|plane| plane.iter().sum::<f64>() / (half * half) as f64).collect()
    }
}

/// A 3 x 3 convolution with a rim of zeros, and its rectifier; the outputs with their side.
fn layer(x: &[f64], [from, to, side, stride]: [usize; 4], weights: &[f32], biases: &[f32]) -> (Vec<f64>, usize) {
    let out = (side - 1) / stride + 1;
    let at = |c: usize, y: usize, x0: usize| match (1..=side).contains(&y) && (1..=side).contains(&x0) {
        true => x[(c * side + y - 1) * side + x0 - 1],
        false => 0.0,
    };
    let mut values = Vec::new();
    for k in 0..to {
        for (y, x) in (0..out).flat_map(|y| (0..out).map(move |x| (y, x))) {
            let mut sum = f64::from(biases[k]);
            for (c, tap) in (0..from).flat_map(|c| (0..9).map(move |tap| (c, tap))) {
                sum += f64::from(weights[(k * from + c) * 9 + tap]) * at(c, y * stride + tap / 3, x * stride + tap % 3);
            }
            values.push(sum.max(0.0));
        }
    }
    (values, out)
}
