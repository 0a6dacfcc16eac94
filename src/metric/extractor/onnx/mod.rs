//! A feature network in an ONNX file, run by the library `rten` on the host in f32: one image at a time, so that batches
//! change no bit.

mod scan;

use super::{ExtractorOptions, Layout, Order};
use crate::data::guarded;
use crate::input::shorten;
use crate::metric::images::ImageSet;
use crate::metric::resize::Filter;
use crate::{Error, Result};
use rten::{Model, ModelOptions, NodeId, RunOptions, Value};
use scan::{End, scan};
use std::path::{Path, PathBuf};

/// Most pixels per side of an input.
const MOST_PIXELS: u64 = 1024;
/// Most features per image.
const MOST_FEATURES: usize = 1 << 16;
/// Stack of the thread that loads a file: the library follows chains of operators on it.
const STACK: usize = 256 << 20;
/// Weights of red, green and blue in grey.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// The network.
pub(super) struct Onnx {
    path: PathBuf,
    model: Model,
    ends: [NodeId; 2],
    input: String,
    pub output: String,
    layout: Layout,
    order: Order,
    filter: Filter,
    channels: usize,
    pub side: usize,
    pub features: usize,
    /// Factor and summand from 0 to 1 to the input of each channel.
    scale: Vec<[f32; 2]>,
}

impl std::fmt::Debug for Onnx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onnx").field("path", &self.path).field("features", &self.features).finish_non_exhaustive()
    }
}

/// The input's order and sizes, as the file and the options state them.
struct Shape {
    layout: Layout,
    channels: usize,
    side: usize,
}

impl Onnx {
    /// The network in `bytes`, tried with a grey image.
    pub fn open(bytes: Vec<u8>, options: &ExtractorOptions) -> Result<Onnx> {
        let path = &options.path;
        let fail = |what: String| Error::file(path, what);
        let ends = scan(&bytes).map_err(fail)?;
        let input = the_input(&ends.inputs).map_err(fail)?;
        let output = the_output(&ends.outputs, options)?;
        let shape = shape(input, options)?;
        let scale = scale(options, shape.channels)?;
        let (inner, outer) = (input.name.clone(), output.name.clone());
        let network = apart(move || {
            let model = ModelOptions::with_all_ops().load(bytes).map_err(|e| e.to_string())?;
            let node = |name: &str| model.find_node(name).ok_or(format!("tensor {name:?}: is not in the graph"));
            let ends = [node(&inner)?, node(&outer)?];
            let mut network = Onnx {
                path: path.clone(),
                model,
                ends,
                input: inner,
                output: outer,
                layout: shape.layout,
                order: options.order,
                filter: options.filter,
                channels: shape.channels,
                side: shape.side,
                features: 0,
                scale,
            };
            network.features = network.run(&network.input(&[0.0], 1, 1))?.len();
            Ok(network)
        });
        let network = network.map_err(fail)?;
        match network.features {
            1..=MOST_FEATURES => Ok(network),
            n => Err(fail(format!("output {:?}: {n} features, must be 1 to {MOST_FEATURES}", network.output))),
        }
    }

    /// Features of a set, `[n][features]`.
    pub fn of(&self, set: &ImageSet) -> Result<Vec<f64>> {
        let mut features = Vec::with_capacity(set.len() * self.features);
        for i in 0..set.len() {
            let input = self.input(set.image(i), set.size, set.channels);
            let row = quiet(|| self.run(&input)).map_err(|what| Error::file(&self.path, what))?;
            if row.len() != self.features {
                let (output, n, least) = (&self.output, row.len(), self.features);
                return Err(Error::file(
                    &self.path,
                    format!("output {output:?}: {n} features of an image, {least} of others"),
                ));
            }
            features.extend(row.into_iter().map(f64::from));
        }
        Ok(features)
    }

    /// The network's input of an image `[size][size][channels]` in [-1, 1].
    fn input(&self, image: &[f32], size: usize, channels: usize) -> Vec<f32> {
        let pixels = self.filter.resized(image, [size, channels, self.side]);
        let value = |i: usize, c: usize| {
            let colour = if self.order == Order::Bgr { self.channels - 1 - c } else { c };
            let pixel = &pixels[i * channels..(i + 1) * channels];
            let unit = match (channels, self.channels) {
                (1, _) => pixel[0],
                (_, 1) => pixel.iter().zip(LUMA).map(|(v, w)| v * w).sum(),
                _ => pixel[colour],
            };
            let [factor, summand] = self.scale[c];
            factor * unit + summand
        };
        let (area, all) = (self.side * self.side, self.channels);
        match self.layout {
            Layout::Nchw => (0..all).flat_map(|c| (0..area).map(move |i| (i, c))).map(|(i, c)| value(i, c)).collect(),
            Layout::Nhwc => (0..area).flat_map(|i| (0..all).map(move |c| (i, c))).map(|(i, c)| value(i, c)).collect(),
        }
    }

    /// The features of one input; those of a map are averaged over its positions.
    fn run(&self, input: &[f32]) -> Result<Vec<f32>, String> {
        let (c, side) = (self.channels, self.side);
        let shape = match self.layout {
            Layout::Nchw => [1, c, side, side],
            Layout::Nhwc => [1, side, side, c],
        };
        let value = Value::from_shape(&shape[..], input.to_vec()).map_err(|e| e.to_string())?;
        let [from, to] = self.ends;
        let answer = self.model.run(vec![(from, value.into())], &[to], Some(RunOptions::default()));
        let answer = answer.map_err(|e| {
            let what = shorten(&e.to_string(), 300);
            format!("cannot be computed with input {:?} {shape:?}: {what}", self.input)
        })?;
        let value = answer.into_iter().next().ok_or("no output")?;
        let (shape, values) = floats(value).map_err(|what| format!("output {:?}: {what}", self.output))?;
        let refused = || {
            let allowed = "[1, features], or a map of features, which is averaged over its positions";
            Err(format!("output {:?}: has the shape {shape:?} for one image; must be {allowed}", self.output))
        };
        let mean = |sum: f64, n: usize| (sum / n as f64) as f32;
        match (&shape[..], self.layout) {
            ([1, _], _) => Ok(values),
            ([1, c, h, w], Layout::Nchw) if c * h * w > 0 => {
                let planes = values.chunks_exact(h * w);
                Ok(planes.map(|plane| mean(plane.iter().map(|v| f64::from(*v)).sum(), h * w)).collect())
            }
            ([1, h, w, c], Layout::Nhwc) if c * h * w > 0 => {
                let sum = |k: usize| values.iter().skip(k).step_by(*c).map(|v| f64::from(*v)).sum();
                Ok((0..*c).map(|k| mean(sum(k), h * w)).collect())
            }
            _ => refused(),
        }
    }
}

/// Shape and values of an output.
fn floats(value: Value) -> Result<(Vec<usize>, Vec<f32>), String> {
    let Value::FloatTensor(tensor) = value else {
        return Err(format!("elements of type {}; must be float32", value.dtype()));
    };
    use rten_tensor::{AsView as _, Layout as _};
    Ok((tensor.shape().to_vec(), tensor.to_vec()))
}

/// `f` on a thread with a large stack; a panic is an error.
fn apart<T: Send>(f: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || quiet(f));
        let thread = thread.map_err(|e| format!("no thread to read it: {e}"))?;
        thread.join().unwrap_or_else(|_| Err("the thread that read it ended".into()))
    })
}

/// `f`, with a panic inside the library as an error.
fn quiet<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    guarded(f).unwrap_or_else(|| Err("damaged, or with values that the library `rten` does not foresee".into()))
}

/// The only input.
fn the_input(inputs: &[End]) -> Result<&End, String> {
    let names: Vec<String> = inputs.iter().map(|end| format!("{:?}", shorten(&end.name, 100))).collect();
    let [input] = inputs else {
        let list = if names.is_empty() { String::new() } else { format!(" ({})", shorten(&names.join(", "), 500)) };
        return Err(format!("{} inputs{list}; must be one, the images", inputs.len()));
    };
    match input.is_float() {
        true => Ok(input),
        false => Err(format!("input {}: elements of type {}; must be float32", names[0], input.kind())),
    }
}

/// The output of the features.
fn the_output<'a>(outputs: &'a [End], options: &ExtractorOptions) -> Result<&'a End> {
    let names: Vec<String> = outputs.iter().map(|end| format!("{:?}", shorten(&end.name, 100))).collect();
    let (path, names) = (options.path.display(), shorten(&names.join(", "), 1000));
    match (&options.output, outputs) {
        (Some(name), _) => outputs.iter().find(|end| end.name == *name).ok_or_else(|| {
            Error::input(format!("evaluation.extractor_output = {name:?}: must be an output of {path}: {names}"))
        }),
        (None, [one]) => Ok(one),
        (None, []) => Err(Error::file(&options.path, "no output")),
        (None, _) => Err(Error::input(format!(
            "evaluation.extractor_output: is missing; {path} has {} outputs: {names}",
            outputs.len()
        ))),
    }
}

/// The input's order, channels and side: those of the file where it states them, otherwise the options'.
fn shape(input: &End, options: &ExtractorOptions) -> Result<Shape> {
    let path: &Path = &options.path;
    let name = format!("input {:?} {}", shorten(&input.name, 100), input.sides());
    let fail = |what: &str| Err(Error::file(path, format!("{name}: {what}")));
    let [n, a, b, c] = match input.shape.as_deref() {
        None => [None; 4],
        Some([n, a, b, c]) => [*n, *a, *b, *c],
        Some(_) => return fail("must have 4 dimensions: images, channels, height, width, or channels last"),
    };
    if n.is_some_and(|n| n != 1) {
        return fail("takes several images at once; export it with a first dimension of 1, or one that is left open");
    }
    let is_channels = |side: Option<u64>| matches!(side, Some(1 | 3));
    let layout = match options.layout {
        Some(layout) => layout,
        None if is_channels(c) && !is_channels(a) => Layout::Nhwc,
        None => Layout::Nchw,
    };
    let (channels, sides) = match layout {
        Layout::Nchw => (a, [b, c]),
        Layout::Nhwc => (c, [a, b]),
    };
    if channels.is_some() && !is_channels(channels) {
        let word = Layout::NAMES[layout as usize];
        return fail(&format!("{} channels in the order {word:?}; must be 1 or 3", channels.unwrap_or(0)));
    }
    let fixed = sides[0].or(sides[1]);
    if sides.iter().flatten().any(|side| Some(*side) != fixed) {
        return fail("height and width must be equal");
    }
    let side = match (fixed, options.side.map(u64::from)) {
        (Some(fixed), Some(asked)) if fixed != asked => {
            let what = format!(
                "evaluation.extractor_side = {asked}: must be {fixed}, the side of {}'s {name}",
                path.display()
            );
            return Err(Error::input(what));
        }
        (Some(side), _) | (None, Some(side)) => side,
        (None, None) => {
            let what = format!("evaluation.extractor_side: is missing, and {}'s {name} leaves it open", path.display());
            return Err(Error::input(what));
        }
    };
    match side {
        1..=MOST_PIXELS => Ok(Shape { layout, channels: channels.unwrap_or(3) as usize, side: side as usize }),
        _ => fail(&format!("at most {MOST_PIXELS} pixels per side are computed")),
    }
}

/// Factor and summand of each channel.
fn scale(options: &ExtractorOptions, channels: usize) -> Result<Vec<[f32; 2]>> {
    let each = |key: &str, values: &Option<Vec<f64>>, absent: f64| match values.as_deref() {
        None => Ok(vec![absent; channels]),
        Some([one]) => Ok(vec![*one; channels]),
        Some(values) if values.len() == channels => Ok(values.to_vec()),
        Some(values) => Err(Error::input(format!(
            "evaluation.extractor_{key} = {values:?}: must be one number, as {} takes {channels} channel",
            options.path.display()
        ))),
    };
    let (mean, std) = (each("mean", &options.mean, 0.0)?, each("std", &options.std, 1.0)?);
    let [low, high] = options.range;
    let line = |(mean, std): (f64, f64)| [((high - low) / std) as f32, ((low - mean) / std) as f32];
    Ok(mean.into_iter().zip(std).map(line).collect())
}
