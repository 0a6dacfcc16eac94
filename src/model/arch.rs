//! The DCGAN generator and discriminator as lists of layers, and the layout of their parameters.

use crate::exec::align;
use crate::kernels::nn::activation::kind;
use crate::{Error, Result};

/// Slope of the discriminator's LeakyReLU.
pub const LEAKY_SLOPE: f32 = 0.2;
/// Epsilon of every batch norm.
pub const BN_EPS: f32 = 1e-5;
/// Momentum of the running statistics.
pub const BN_MOMENTUM: f32 = 0.1;

/// The shape of a GAN: image side S (a power of two, 16 to 256), 1 to 64 channels (image files have 1 or 3), width W,
/// latent size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Architecture {
    /// Image side in pixels.
    pub image_size: u32,
    /// Image channels.
    pub channels: u32,
    /// Channels of the discriminator's first level; each further level has twice as many.
    pub width: u32,
    /// Latent size.
    pub latent: u32,
}

/// The normalisation in the discriminator (the critic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Batch norm on all levels except the first.
    #[default]
    Batch,
    /// Instance norm (affine) on every level, including the first.
    Instance,
    /// No normalisation.
    None,
}

impl Norm {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Norm::Batch => "batch",
            Norm::Instance => "instance",
            Norm::None => "none",
        }
    }
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerKind {
    /// Convolution: the input is the large side.
    Conv {
        /// Kernel side.
        k: u32,
        /// Stride.
        stride: u32,
        /// Padding.
        pad: u32,
    },
    /// Transposed convolution: the input is the small side.
    ConvTranspose {
        /// Kernel side.
        k: u32,
        /// Stride.
        stride: u32,
        /// Padding.
        pad: u32,
    },
    /// Batch norm over N, H, W.
    BatchNorm,
    /// Instance norm over H, W of each image and channel; no running statistics.
    InstanceNorm,
    /// Elementwise activation of the kind in [`kind`], with a slope for LeakyReLU.
    Activation(u32, f32),
}

/// A layer: the sides `[h, w, c]` of input and output of one image, and its parameters.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What it computes.
    pub kind: LayerKind,
    /// Input height, width, channels.
    pub input: [u32; 3],
    /// Output height, width, channels.
    pub output: [u32; 3],
    /// Position in PyTorch's `Sequential` called `main`.
    pub index: usize,
    /// Indices into [`Network::params`]: weight (and bias for a norm).
    pub params: Vec<usize>,
    /// Index of the running mean in [`Network::running`]; the variance follows it.
    pub running: Option<usize>,
}

/// A trainable tensor: PyTorch name and shape, and its range in a client's row.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// E.g. `main.3.weight`.
    pub name: String,
    /// PyTorch shape: `[O, I, k, k]`, `[I, O, k, k]` or `[c]`.
    pub shape: Vec<usize>,
    /// First word in a client's row, a multiple of 64.
    pub offset: usize,
}

impl ParamSpec {
    /// Number of elements.
    pub fn words(&self) -> usize {
        self.shape.iter().product()
    }

    /// The index in PyTorch's layout of element `at`, counted from this tensor's offset in a client's row:
    /// `[a][k][k][b]` here, `[a][b][k][k]` in PyTorch.
    pub fn pytorch_index(&self, at: usize) -> usize {
        let [_, b, h, w] = self.shape[..] else { return at };
        let (i, k, j) = (at / (h * w * b), at / b % (h * w), at % b);
        (i * b + j) * h * w + k
    }
}

/// A running statistic: as [`ParamSpec`], in the row of running statistics.
pub type RunningSpec = ParamSpec;

/// A network: layers in order and the layout of its rows.
#[derive(Clone, Debug)]
pub struct Network {
    /// `generator` or `discriminator`.
    pub name: &'static str,
    /// Layers, input to output.
    pub layers: Vec<Layer>,
    /// Trainable tensors.
    pub params: Vec<ParamSpec>,
    /// Running statistics: mean and variance of each batch norm.
    pub running: Vec<RunningSpec>,
    /// Client stride of weights, gradients and moments.
    pub stride: usize,
    /// Client stride of the running statistics (at least 64 words, so that every network has a row).
    pub running_stride: usize,
}

impl Architecture {
    /// Checks the sizes.
    ///
    /// # Errors
    /// Names the value found and the values allowed.
    pub fn check(&self) -> Result<()> {
        if !self.image_size.is_power_of_two() || !(16..=256).contains(&self.image_size) {
            let found = self.image_size;
            return Err(Error::input(format!("image_size {found}: must be a power of two from 16 to 256")));
        }
        if self.channels == 0 || self.channels > 64 {
            return Err(Error::input(format!("channels {}: must be 1 to 64", self.channels)));
        }
        if self.width == 0 || self.width > 1024 || self.latent == 0 || self.latent > 4096 {
            let found = (self.width, self.latent);
            return Err(Error::input(format!(
                "width {}, latent {}: must be 1 to 1024 and 1 to 4096",
                found.0, found.1
            )));
        }
        Ok(())
    }

    /// Elements of one image.
    pub fn image(&self) -> u32 {
        self.image_size * self.image_size * self.channels
    }

    fn levels(&self) -> u32 {
        (self.image_size / 4).ilog2()
    }

    /// The discriminator with batch norm: see [`Architecture::critic`].
    pub fn discriminator(&self) -> Network {
        self.critic(Norm::Batch)
    }

    /// The discriminator: log2(S/4) stride-2 4x4 convolutions W, 2W, 4W, ..., a norm (batch norm on all but the first,
    /// instance norm on all), LeakyReLU 0.2, then a 4x4 convolution to one logit.
    pub fn critic(&self, norm: Norm) -> Network {
        let mut net = Builder::new("discriminator", [self.image_size, self.image_size, self.channels]);
        for level in 0..self.levels() {
            net.conv(self.width << level, 4, 2, 1);
            match norm {
                Norm::Batch if level > 0 => net.batch_norm(),
                Norm::Instance => net.instance_norm(),
                Norm::Batch | Norm::None => {}
            }
            net.activation(kind::LEAKY_RELU, LEAKY_SLOPE);
        }
        net.conv(1, 4, 1, 0);
        net.finish()
    }

    /// The generator: a 4x4 stride-1 transposed convolution from the latent to the widest level, batch norm, ReLU, then
    /// stride-2 4x4 transposed convolutions halving the channels, batch norm and ReLU between, tanh at the end.
    pub fn generator(&self) -> Network {
        let mut net = Builder::new("generator", [1, 1, self.latent]);
        let mut channels = self.width << (self.levels() - 1);
        net.conv_transpose(channels, 4, 1, 0);
        net.batch_norm();
        net.activation(kind::RELU, 0.0);
        for _ in 1..self.levels() {
            channels /= 2;
            net.conv_transpose(channels, 4, 2, 1);
            net.batch_norm();
            net.activation(kind::RELU, 0.0);
        }
        net.conv_transpose(self.channels, 4, 2, 1);
        net.activation(kind::TANH, 0.0);
        net.finish()
    }
}

impl Network {
    /// The slope of the rectifier that layer `i`, a batch norm, applies on behalf of the layer behind it; `None` for
    /// other layers. Both layers' outputs are then one buffer with the rectified values.
    pub fn rectified(&self, i: usize) -> Option<f32> {
        match (self.layers.get(i)?.kind, self.layers.get(i + 1)?.kind) {
            (LayerKind::BatchNorm, LayerKind::Activation(kind::RELU, _)) => Some(0.0),
            (LayerKind::BatchNorm, LayerKind::Activation(kind::LEAKY_RELU, slope)) => Some(slope),
            _ => None,
        }
    }

    /// Trainable parameters of one client.
    pub fn parameter_count(&self) -> usize {
        self.params.iter().map(ParamSpec::words).sum()
    }

    /// The largest channel count of a batch norm.
    pub fn max_norm_channels(&self) -> u32 {
        let norms = self.layers.iter().filter(|l| l.kind == LayerKind::BatchNorm);
        norms.map(|l| l.output[2]).max().unwrap_or(1)
    }
}

struct Builder {
    net: Network,
    at: [u32; 3],
}

impl Builder {
    fn new(name: &'static str, input: [u32; 3]) -> Self {
        let net = Network { name, layers: vec![], params: vec![], running: vec![], stride: 0, running_stride: 0 };
        Builder { net, at: input }
    }

    fn param(&mut self, name: &str, shape: Vec<usize>) -> usize {
        let name = format!("main.{}.{name}", self.net.layers.len());
        let spec = ParamSpec { name, shape, offset: self.net.stride };
        self.net.stride += align(spec.words());
        self.net.params.push(spec);
        self.net.params.len() - 1
    }

    fn push(&mut self, kind: LayerKind, output: [u32; 3], params: Vec<usize>, running: Option<usize>) {
        let index = self.net.layers.len();
        self.net.layers.push(Layer { kind, input: self.at, output, index, params, running });
        self.at = output;
    }

    fn conv(&mut self, co: u32, k: u32, stride: u32, pad: u32) {
        let [h, w, ci] = self.at;
        let side = |s: u32| (s + 2 * pad - k) / stride + 1;
        let weight = self.param("weight", vec![co as usize, ci as usize, k as usize, k as usize]);
        self.push(LayerKind::Conv { k, stride, pad }, [side(h), side(w), co], vec![weight], None);
    }

    fn conv_transpose(&mut self, co: u32, k: u32, stride: u32, pad: u32) {
        let [h, w, ci] = self.at;
        let side = |s: u32| (s - 1) * stride + k - 2 * pad;
        let weight = self.param("weight", vec![ci as usize, co as usize, k as usize, k as usize]);
        self.push(LayerKind::ConvTranspose { k, stride, pad }, [side(h), side(w), co], vec![weight], None);
    }

    fn batch_norm(&mut self) {
        let c = self.at[2] as usize;
        let params = vec![self.param("weight", vec![c]), self.param("bias", vec![c])];
        let running = self.net.running.len();
        for name in ["running_mean", "running_var"] {
            let name = format!("main.{}.{name}", self.net.layers.len());
            self.net.running.push(ParamSpec { name, shape: vec![c], offset: self.net.running_stride });
            self.net.running_stride += align(c);
        }
        self.push(LayerKind::BatchNorm, self.at, params, Some(running));
    }

    fn instance_norm(&mut self) {
        let c = self.at[2] as usize;
        let params = vec![self.param("weight", vec![c]), self.param("bias", vec![c])];
        self.push(LayerKind::InstanceNorm, self.at, params, None);
    }

    fn activation(&mut self, kind: u32, slope: f32) {
        self.push(LayerKind::Activation(kind, slope), self.at, vec![], None);
    }

    fn finish(mut self) -> Network {
        self.net.running_stride = self.net.running_stride.max(align(1));
        self.net
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_counts_are_those_of_the_pytorch_modules() {
        let arch = Architecture { image_size: 64, channels: 3, width: 64, latent: 100 };
        let (g, d) = (arch.generator(), arch.discriminator());
        let names: Vec<_> = d.params.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "main.0.weight",
                "main.2.weight",
                "main.3.weight",
                "main.3.bias",
                "main.5.weight",
                "main.6.weight",
                "main.6.bias",
                "main.8.weight",
                "main.9.weight",
                "main.9.bias",
                "main.11.weight"
            ]
        );
        assert_eq!(g.running.last().unwrap().name, "main.10.running_var");
        assert_eq!(g.layers.last().unwrap().output, [64, 64, 3]);
        // The DCGAN of the PyTorch tutorial has these counts.
        assert_eq!(g.parameter_count(), 3_576_704);
        assert_eq!(d.parameter_count(), 2_765_568);
    }

    /// The critics of the golden format. Activations count as layers, and the first level has instance norm, too.
    #[test]
    fn critics_count_their_layers() {
        let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
        let names = |norm| arch.critic(norm).params.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(Norm::None), ["main.0.weight", "main.2.weight", "main.4.weight"]);
        let want = ["0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias", "6.weight"];
        assert_eq!(names(Norm::Instance), want.map(|n| format!("main.{n}")));
        assert!(arch.critic(Norm::Instance).running.is_empty());
    }
}
