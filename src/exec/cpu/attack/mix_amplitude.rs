//! The change of the low frequencies of poisoned images whose amplitudes move towards the trigger's.

use crate::exec::cpu::lib::poisoned::Marks;
use crate::exec::cpu::{Args, Twin};
use crate::kernels::attack::mix_amplitude::{MixAmplitude, MixAmplitudeParams};

impl Twin for MixAmplitude {
    fn run(p: &MixAmplitudeParams, args: &Args) {
        // Operands may be longer than their extents.
        let (amplitude, factors) = (args.f(1), &args.f(2)[..(p.rows * p.columns) as usize]);
        let marks = Marks::new(args.u(3), p.order_stride, args.u(4), p.batch);
        let (c, columns) = (p.c as usize, p.columns as usize);
        let (image, line) = (4 * p.rows * p.columns * p.c, 2 * columns * c);
        let rows = args.rows_mut(0, p.clients, p.x_stride, p.batch * image);
        marks.images(rows, image as usize, |_, _, x| {
            for (pair, factor) in factors.iter().enumerate() {
                for channel in 0..c {
                    let cc = 2 * (pair / columns * line + pair % columns * c) + channel;
                    let places = [cc, cc + c, cc + line, cc + line + c];
                    let [vcc, vcs, vsc, vss] = places.map(|at| x[at]);
                    let goal = 2 * pair * c + channel;
                    let [re, im] = change([vcc - vss, vsc + vcs], amplitude[goal]).map(|v| factor * v);
                    let [re_minus, im_minus] = change([vcc + vss, vcs - vsc], amplitude[goal + c]).map(|v| factor * v);
                    let changed = [re + re_minus, im + im_minus, im - im_minus, re_minus - re];
                    places.iter().zip(changed).for_each(|(at, v)| x[*at] = v);
                }
            }
        });
    }
}

/// (goal - |v|) v / |v|; the phase of 0 is 0.
fn change([re, im]: [f32; 2], goal: f32) -> [f32; 2] {
    let size = (re * re + im * im).sqrt();
    if size == 0.0 {
        return [goal, 0.0];
    }
    [re, im].map(|v| (goal - size) / size * v)
}
