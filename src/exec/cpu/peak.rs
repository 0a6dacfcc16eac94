//! The host's peak rate of multiply-adds: matrix products that stay in cache.

use super::gemm::{Block, Mat, gemm};

/// Side of the products: three operands of 256 KiB.
const SIDE: usize = 256;

/// Runs `times` matrix products on every thread of the current pool at the same time, through the GEMM of the
/// convolutions. Returns the number of threads and the total number of floating-point operations.
pub fn products(times: u32) -> (usize, f64) {
    let sums = rayon::broadcast(|_| {
        let (a, b) = (vec![0.5f32; SIDE * SIDE], vec![0.25f32; SIDE * SIDE]);
        let mut out = vec![0.0f32; SIDE * SIDE];
        for _ in 0..times {
            gemm([SIDE; 3], &mut Block::new(&mut out, SIDE), false, Mat::rows(&a, SIDE), Mat::rows(&b, SIDE));
        }
        std::hint::black_box(out[SIDE])
    });
    (sums.len(), sums.len() as f64 * f64::from(times) * 2.0 * (SIDE as f64).powi(3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_thread_of_the_pool_works() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| super::products(2)), (3, 3.0 * 2.0 * 2.0 * 256.0 * 256.0 * 256.0));
    }
}
