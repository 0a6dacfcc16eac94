//! The layers of Lite0: convolutions with TensorFlow's SAME padding, bias, and an optional ReLU6.

use super::super::product::{Right, product};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors};

/// One image's activations, `[channels][side][side]`.
#[derive(Debug)]
pub(super) struct Planes {
    pub values: Vec<f32>,
    pub channels: usize,
    pub side: usize,
}

/// A file of half-precision tensors.
pub(super) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        SafeTensors::deserialize(bytes).map(Weights).map_err(|e| Error::input(format!("not a safetensors file: {e}")))
    }

    /// The values of `name`, whose shape must be `shape`.
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.0.tensor(name).map_err(|e| Error::input(format!("tensor {name}: {e}")))?;
        if tensor.dtype() != Dtype::F16 || tensor.shape() != shape {
            let (found, dtype) = (tensor.shape(), tensor.dtype());
            return Err(Error::input(format!("tensor {name}: {dtype:?} {found:?}, expected F16 {shape:?}")));
        }
        let words = tensor.data().as_chunks::<2>().0;
        Ok(words.iter().map(|w| half::f16::from_le_bytes(*w).to_f32()).collect())
    }

    /// Weight and bias of a convolution.
    fn convolution(&self, name: &str, shape: [usize; 4]) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((self.values(&format!("{name}.weight"), &shape)?, self.values(&format!("{name}.bias"), &shape[..1])?))
    }
}

fn relu6(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = v.clamp(0.0, 6.0));
}

/// Output side and the padding before the first pixel: SAME gives ceil(side / stride); an odd padding pixel goes to the
/// end.
fn same(side: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let out = side.div_ceil(stride);
    (out, ((out - 1) * stride + kernel).saturating_sub(side) / 2)
}

/// Outputs whose input for tap `k` is inside 0..side, and the first of these inputs.
fn span(side: usize, out: usize, stride: usize, pad: usize, k: usize) -> (std::ops::Range<usize>, usize) {
    let first = pad.saturating_sub(k).div_ceil(stride);
    let end = if side + pad > k { (side + pad - k).div_ceil(stride).min(out) } else { 0 };
    (first..end.max(first), first * stride + k - pad.min(first * stride + k))
}

/// A 1 x 1 convolution.
#[derive(Debug)]
pub(super) struct Pointwise {
    weight: Vec<f32>,
    bias: Vec<f32>,
    shape: [usize; 2],
    relu: bool,
}

impl Pointwise {
    /// `shape`: output and input channels.
    pub(super) fn new(weights: &Weights, name: &str, shape: [usize; 2], relu: bool) -> Result<Self> {
        let (weight, bias) = weights.convolution(name, [shape[0], shape[1], 1, 1])?;
        Ok(Pointwise { weight, bias, shape, relu })
    }

    pub(super) fn forward(&self, x: &Planes) -> Planes {
        let ([out, inputs], area) = (self.shape, x.side * x.side);
        let values = product([out, area, inputs], &self.weight, &x.values, Right::Plain);
        finish(values, &self.bias, out, x.side, self.relu)
    }
}

/// Adds the bias of each plane; clamps if `relu`.
fn finish(mut values: Vec<f32>, bias: &[f32], channels: usize, side: usize, relu: bool) -> Planes {
    for (plane, bias) in values.chunks_exact_mut(side * side).zip(bias) {
        plane.iter_mut().for_each(|v| *v += bias);
    }
    if relu {
        relu6(&mut values);
    }
    Planes { values, channels, side }
}

/// The 3 x 3 convolution with stride 2 on RGB: patches, then a matrix product.
#[derive(Debug)]
pub(super) struct Stem {
    weight: Vec<f32>,
    bias: Vec<f32>,
    channels: usize,
}

impl Stem {
    pub(super) fn new(weights: &Weights, name: &str, channels: usize) -> Result<Self> {
        let (weight, bias) = weights.convolution(name, [channels, 3, 3, 3])?;
        Ok(Stem { weight, bias, channels })
    }

    pub(super) fn forward(&self, x: &Planes) -> Planes {
        let (out, pad) = same(x.side, 3, 2);
        let mut patches = vec![0.0; 27 * out * out];
        for (tap, row) in patches.chunks_exact_mut(out * out).enumerate() {
            let (c, ky, kx) = (tap / 9, tap / 3 % 3, tap % 3);
            let plane = &x.values[c * x.side * x.side..];
            let ((ys, top), (xs, left)) = (span(x.side, out, 2, pad, ky), span(x.side, out, 2, pad, kx));
            for (i, y) in ys.enumerate() {
                let line = &plane[(top + 2 * i) * x.side..];
                for (j, v) in xs.clone().enumerate() {
                    row[y * out + v] = line[left + 2 * j];
                }
            }
        }
        let values = product([self.channels, out * out, 27], &self.weight, &patches, Right::Plain);
        finish(values, &self.bias, self.channels, out, true)
    }
}

/// A depthwise convolution with ReLU6, computed directly: one tap and one row at a time.
#[derive(Debug)]
pub(super) struct Depthwise {
    weight: Vec<f32>,
    bias: Vec<f32>,
    kernel: usize,
    stride: usize,
}

impl Depthwise {
    pub(super) fn new(weights: &Weights, name: &str, channels: usize, kernel: usize, stride: usize) -> Result<Self> {
        let (weight, bias) = weights.convolution(name, [channels, 1, kernel, kernel])?;
        Ok(Depthwise { weight, bias, kernel, stride })
    }

    pub(super) fn forward(&self, x: &Planes) -> Planes {
        let (side, stride, taps) = (x.side, self.stride, self.kernel * self.kernel);
        let (out, pad) = same(side, self.kernel, stride);
        let mut values = vec![0.0; x.channels * out * out];
        for (c, plane) in values.chunks_exact_mut(out * out).enumerate() {
            let input = &x.values[c * side * side..(c + 1) * side * side];
            for (tap, &w) in self.weight[c * taps..(c + 1) * taps].iter().enumerate() {
                let (ys, top) = span(side, out, stride, pad, tap / self.kernel);
                let (xs, left) = span(side, out, stride, pad, tap % self.kernel);
                for (i, y) in ys.enumerate() {
                    let line = &input[(top + stride * i) * side + left..(top + stride * i + 1) * side];
                    let sums = plane[y * out + xs.start..y * out + xs.end].iter_mut();
                    if stride == 1 {
                        sums.zip(line).for_each(|(s, v)| *s += w * v);
                    } else {
                        sums.zip(line.iter().step_by(stride)).for_each(|(s, v)| *s += w * v);
                    }
                }
            }
        }
        finish(values, &self.bias, x.channels, out, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_that_of_tensorflow() {
        assert_eq!(same(224, 3, 2), (112, 0));
        assert_eq!(same(7, 5, 1), (7, 2));
        assert_eq!(same(56, 5, 2), (28, 1));
        // Outputs of an odd side under each tap of a 5-wide kernel, by definition.
        for (side, stride) in [(7, 1), (14, 2), (9, 2), (2, 1)] {
            let (out, pad) = same(side, 5, stride);
            for k in 0..5 {
                let inside = |o: &usize| (pad..side + pad).contains(&(o * stride + k));
                let expected: Vec<usize> = (0..out).filter(inside).collect();
                let (range, first) = span(side, out, stride, pad, k);
                assert_eq!(range.clone().collect::<Vec<_>>(), expected, "side {side} tap {k}");
                if let Some(o) = expected.first() {
                    assert_eq!(first, o * stride + k - pad);
                }
            }
        }
    }

    #[test]
    fn a_depthwise_convolution_by_hand() {
        // A 2 x 2 plane under a 3 x 3 kernel: sums over the part that the padded kernel covers.
        let layer =
            Depthwise { weight: (1..10).map(|v| v as f32 / 100.0).collect(), bias: vec![0.5], kernel: 3, stride: 1 };
        let y = layer.forward(&Planes { values: vec![1.0, 2.0, 3.0, 4.0], channels: 1, side: 2 });
        let expected = [0.5 + 0.05 + 0.12 + 0.24 + 0.36, 0.5 + 0.04 + 0.10 + 0.21 + 0.32];
        assert!((y.values[0] - expected[0]).abs() < 1e-6 && (y.values[1] - expected[1]).abs() < 1e-6, "{:?}", y.values);
    }
}
