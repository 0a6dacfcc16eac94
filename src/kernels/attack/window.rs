//! The window of a trigger in images, shared by the kernels that paste one.

use crate::kernels::{Eval, flushed, gamma};

/// A trigger of `th` x `tw` pixels with its first pixel at row `top`, column `left` of images `[h][w][c]`.
pub(super) struct Window {
    pub h: u32,
    pub w: u32,
    pub c: u32,
    pub th: u32,
    pub tw: u32,
    pub top: u32,
    pub left: u32,
}

/// The window of a row's parameters.
macro_rules! window {
    ($p:expr) => {
        $crate::kernels::attack::window::Window {
            h: $p.h,
            w: $p.w,
            c: $p.c,
            th: $p.th,
            tw: $p.tw,
            top: $p.top,
            left: $p.left,
        }
    };
}
pub(super) use window;

impl Window {
    /// Rejects windows that are empty or not inside the images, and opacities outside 0..=1.
    ///
    /// # Errors
    /// Names the window and the image, or the opacity.
    pub fn check(&self, opacity: f32) -> Result<(), String> {
        let inside = |at: u32, side: u32, of: u32| side > 0 && at as u64 + side as u64 <= of as u64;
        if !inside(self.top, self.th, self.h) || !inside(self.left, self.tw, self.w) {
            return Err(format!(
                "trigger of {}x{} at row {}, column {}: must be inside the image of {}x{}",
                self.th, self.tw, self.top, self.left, self.h, self.w
            ));
        }
        match (0.0..=1.0).contains(&opacity) {
            true => Ok(()),
            false => Err(format!("opacity {opacity}: must be within 0..=1")),
        }
    }

    /// The image of element `i` of a client's batch, and its pixel of the trigger; `None` outside the window.
    pub fn find(&self, i: usize) -> Option<(usize, usize)> {
        let pixel = i / self.c as usize;
        let (column, row) = (pixel % self.w as usize, pixel / self.w as usize % self.h as usize);
        let (row, column) = (row.checked_sub(self.top as usize)?, column.checked_sub(self.left as usize)?);
        let inside = row < self.th as usize && column < self.tw as usize;
        inside.then(|| (pixel / self.w as usize / self.h as usize, row * self.tw as usize + column))
    }
}

/// (1 - a) x + a t with its bound; the trigger bit for bit for a = 1.
pub(super) fn pasted(x: f64, t: f64, opacity: f32) -> Eval {
    let a = f64::from(opacity);
    if a == 1.0 {
        return Eval::exact(t);
    }
    // 1 - a, a product and the sum are rounded.
    let (kept, pasted) = ((1.0 - a) * x, a * t);
    Eval::within(kept + pasted, gamma(3) * (kept.abs() + pasted.abs()) + flushed(&[a, t]) + flushed(&[1.0 - a, x]))
}
