//! y = sum x^2 over each image.

use crate::exec::cpu::{Args, Twin};
use crate::kernels::nn::image_square_sum::{ImageSquareSum, ImageSquareSumParams};
use rayon::prelude::*;

/// f32 additions before the sum continues in f64.
const PART: usize = 64;

impl Twin for ImageSquareSum {
    fn run(p: &ImageSquareSumParams, args: &Args) {
        let (x, len) = (args.f(0), p.len as usize);
        for (client, y) in args.rows_mut(1, p.clients, p.y_stride, p.n).into_iter().enumerate() {
            let images = x[client * p.x_stride as usize..].par_chunks(len);
            y.par_iter_mut().zip(images).for_each(|(y, x)| {
                let parts = x.chunks(PART).map(|part| f64::from(part.iter().map(|x| x * x).sum::<f32>()));
                *y = parts.sum::<f64>() as f32;
            });
        }
    }
}
