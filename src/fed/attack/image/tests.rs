use super::*;
use crate::exec::{CpuEngine, Purpose, align, read_f32, write_f32};
use crate::fed::local::POISONED;
use crate::kernels::rng::{HostRng, Stream};
use std::f64::consts::TAU;

const SIZE: u32 = 16;

/// One attack of each kind, with options that differ from the defaults where those change little.
fn attacks() -> Vec<OnImages> {
    let read = |text: &str| toml::from_str::<OnImages>(text).unwrap();
    let mut all = vec![
        read("kind = 'patch'\npattern = 'cross'\nplace = 'top-left'\nopacity = 0.75\nrange = 'scaled'\nside = 5"),
        read("kind = 'blend'\npattern = 'checker'\nalpha = 0.2"),
        read("kind = 'sig'\namplitude = 0.3\nfrequency = 6.0"),
        read("kind = 'warp'\nstrength = 3.0\ngrid = 4"),
        read("kind = 'fiba'\npattern = 'cross'\nalpha = 0.4\nbeta = 0.2"),
        read("kind = 'dba'\npattern = 'square'\nparts = 4\nplace = 'bottom-right'\nopacity = 1.0"),
    ];
    all.iter_mut().for_each(|attack| attack.resolve(SIZE));
    assert_eq!(all.iter().map(OnImages::name).collect::<Vec<_>>(), OnImages::NAMES, "an attack is missing here");
    all
}

fn noise(n: usize, stream: u32) -> Vec<f32> {
    let mut rng = HostRng::new(11, Stream::CHECK, stream, 0);
    (0..n).map(|_| rng.range(-1.0, 1.0) as f32).collect()
}

/// Three clients with four images each, of which clients 0 and 2 poison some; all in one launch, or each in its own.
struct Batch {
    channels: u32,
    pixels: Vec<f32>,
    order: Vec<u32>,
}

const CLIENTS: u32 = 3;
const BATCH: u32 = 4;
const MALICIOUS: [u32; 2] = [0, 2];

impl Batch {
    fn new(channels: u32) -> Batch {
        let image = (SIZE * SIZE * channels) as usize;
        let pixels = noise(CLIENTS as usize * BATCH as usize * image, channels);
        // Step 1 of the round: the first batch of each row is not read.
        let order = (0..CLIENTS).flat_map(|client| (0..2 * BATCH).map(move |i| marked(client, i))).collect();
        Batch { channels, pixels, order }
    }

    fn image(&self) -> usize {
        (SIZE * SIZE * self.channels) as usize
    }

    /// The batches after the attack, with `together` clients per launch.
    fn attacked(&self, attack: &OnImages, together: u32) -> Vec<f32> {
        let trigger = attack.trigger(SIZE, self.channels, 0).unwrap();
        let mut engine = CpuEngine::new();
        let tables = trigger.upload(&mut engine).unwrap();
        let (words, stride, order_stride) = (BATCH as usize * self.image(), align(BATCH as usize * self.image()), 64);
        let mut pool = Pool::default();
        let mut out = Vec::new();
        for first in (0..CLIENTS).step_by(together as usize) {
            let clients = together.min(CLIENTS - first);
            let images = engine.alloc("images", clients as usize * stride).unwrap();
            let order = engine.alloc("order", clients as usize * order_stride).unwrap();
            let state = engine.alloc("state", 64).unwrap().slice(0, 4);
            engine.write(state, &[1, 0, 0, 0]).unwrap();
            for local in 0..clients as usize {
                let client = first as usize + local;
                write_f32(&mut engine, images.slice(local * stride, words), &self.pixels[client * words..][..words])
                    .unwrap();
                let row = &self.order[client * 2 * BATCH as usize..][..2 * BATCH as usize];
                engine.write(order.slice(local * order_stride, row.len()), row).unwrap();
            }
            let batch = RealBatch {
                images,
                order,
                state,
                first,
                clients,
                batch: BATCH,
                size: SIZE,
                channels: self.channels,
                order_stride: order_stride as u32,
                stride: stride as u32,
                malicious: &MALICIOUS,
            };
            let mut rec = Recording::new();
            let y = trigger.record(&tables, &batch, &mut engine, &mut pool, &mut rec).unwrap();
            pool.next_user().unwrap();
            engine.run(&rec, 1).unwrap();
            for local in 0..clients as usize {
                out.extend(read_f32(&mut engine, y.slice(local * stride, words), Purpose::Check).unwrap());
            }
        }
        out
    }
}

/// Entry `i` of a client's order table.
fn marked(client: u32, i: u32) -> u32 {
    i | if MALICIOUS.contains(&client) && (client + i) % 3 != 1 { POISONED } else { 0 }
}

#[test]
fn the_device_and_the_host_put_in_the_same_trigger_and_chunks_change_no_bit() {
    for attack in attacks() {
        for channels in [1, 3] {
            let batch = Batch::new(channels);
            let trigger = attack.trigger(SIZE, channels, 0).unwrap();
            let whole = batch.attacked(&attack, CLIENTS);
            assert_eq!(batch.attacked(&attack, 2), whole, "{}", attack.name());
            let (mut poisoned, mut moved) = (0, 0.0f32);
            for (i, (after, before)) in whole.chunks(batch.image()).zip(batch.pixels.chunks(batch.image())).enumerate()
            {
                let (client, place) = (i as u32 / BATCH, i as u32 % BATCH);
                if marked(client, BATCH + place) & POISONED == 0 {
                    assert_eq!(after, before, "{}: image {i} is not poisoned", attack.name());
                    continue;
                }
                let mut expected = before.to_vec();
                trigger.paste(&mut expected);
                poisoned += 1;
                for (at, after) in after.iter().enumerate() {
                    let own = attack.name() == "dba" && *after == before[at];
                    assert!(own || (after - expected[at]).abs() < 2e-6, "{}: {after} {}", attack.name(), expected[at]);
                    moved = moved.max((after - before[at]).abs());
                }
            }
            assert!(poisoned == 5 && moved > 0.05, "{}: {poisoned} images, moved by {moved}", attack.name());
        }
    }
}

#[test]
fn the_parts_of_a_distributed_trigger_make_up_the_whole() {
    let attack = attacks().pop().unwrap();
    let batch = Batch::new(1);
    let (after, image) = (batch.attacked(&attack, CLIENTS), batch.image());
    let changed = |i: usize| -> Vec<usize> {
        let at = |at: &usize| after[i * image + at] != batch.pixels[i * image + at];
        (0..image).filter(at).collect()
    };
    // Images 1 and 8 are poisoned, of the malicious clients number 0 and 1: bars 0 and 1 of 3 pixels, side by side.
    let (first, second) = (changed(1), changed(8));
    assert_eq!((first.len(), second.len()), (3, 3), "{first:?} {second:?}");
    assert_eq!(second, first.iter().map(|at| at + 4).collect::<Vec<_>>());
    let mut blank = vec![0.0; image];
    attack.trigger(SIZE, 1, 0).unwrap().paste(&mut blank);
    let pasted: Vec<usize> = (0..image).filter(|at| blank[*at] != 0.0).collect();
    assert_eq!(pasted.len(), 12);
    assert!(first.iter().chain(&second).all(|at| pasted.contains(at)));
    assert_eq!(attack.notes(SIZE, &[0, 5, 6, 7])[0], "the trigger has 4 parts of 3 pixels, 12 of 256");
    assert!(attack.notes(SIZE, &[]).is_empty());
}

#[test]
fn triggers_lie_where_they_are_told() {
    let corner = |place, margin, sides| {
        let Window { top, left, .. } = Window::placed(place, margin, 32, sides);
        (top, left)
    };
    assert_eq!(corner(Place::BottomRight, 3, [4, 4]), (25, 25));
    assert_eq!(corner(Place::BottomLeft, 3, [4, 6]), (25, 3));
    assert_eq!(corner(Place::TopLeft, 3, [4, 4]), (3, 3));
    assert_eq!(corner(Place::TopRight, 3, [4, 6]), (3, 23));
    assert_eq!(corner(Place::Centre, 3, [4, 6]), (14, 13));
    let fits = |place, size, side| place::fits(place, 3, size, [side, 1]);
    assert!(!fits(Place::TopLeft, 6, 4) && fits(Place::TopLeft, 7, 4));
    assert!(fits(Place::Centre, 4, 4) && !fits(Place::Centre, 3, 4));
    assert!(!fits(Place::TopLeft, 32, u32::MAX));
    let window = Window { top: 1, left: 2, height: 2, width: 3 };
    let inside: Vec<Option<usize>> = (0..4 * 4).map(|pixel| window.place_of(3 * pixel + 1, 4, 3)).collect();
    let expected = [None, None, None, None, None, None, Some(1), Some(4), None, None, Some(10), Some(13)];
    assert_eq!(inside[..12], expected);
    assert_eq!(window.line(1, 8, 3), (2 * 8 + 2) * 3);
}

/// The definition: every coefficient of the window by a full sum, the inverse by a full sum.
fn mixed(x: &[f64], t: &[f64], [h, w]: [usize; 2], b: isize, alpha: f64) -> Vec<f64> {
    let coefficient = |x: &[f64], k: isize, l: isize| {
        let mut sum = (0.0, 0.0);
        for (at, x) in x.iter().enumerate() {
            let angle = -TAU * (k as f64 * (at / w) as f64 / h as f64 + l as f64 * (at % w) as f64 / w as f64);
            sum = (sum.0 + x * angle.cos(), sum.1 + x * angle.sin());
        }
        sum
    };
    let mut y = x.to_vec();
    // Frequencies -b..=b, each once.
    let span = |side: usize| -b..=(if 2 * b as usize == side { b - 1 } else { b });
    for (k, l) in span(h).flat_map(|k| span(w).map(move |l| (k, l))) {
        let (f, goal) = (coefficient(x, k, l), coefficient(t, k, l));
        let (size, phase) = (f.0.hypot(f.1), f.1.atan2(f.0));
        let by = alpha * (goal.0.hypot(goal.1) - size) / (h * w) as f64;
        for (at, y) in y.iter_mut().enumerate() {
            let angle = TAU * (k as f64 * (at / w) as f64 / h as f64 + l as f64 * (at % w) as f64 / w as f64);
            *y += by * (phase + angle).cos();
        }
    }
    y
}

#[test]
fn amplitudes_of_the_window_move_towards_the_trigger() {
    for (sides, beta, b) in
        [([8, 8], 0.25, 2), ([7, 9], 0.15, 1), ([10, 6], 0.1, 0), ([6, 6], 0.5, 3), ([8, 6], 0.5, 3)]
    {
        let [h, w] = sides;
        let wide = |stream| -> Vec<f64> { noise(h * w, stream).into_iter().map(f64::from).collect() };
        let (x, t) = (wide(1), wide(2));
        let spectrum = Spectrum::new(h, w, beta);
        let goal = spectrum.amplitudes(&spectrum.products(&t, 1), 1);
        let (got, expected) = (spectrum.mix(&x, &goal, 0.3, 1), mixed(&x, &t, sides, b, 0.3));
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-12, "{sides:?} {beta}: {got} {expected}");
        }
        assert!(got.iter().zip(&x).any(|(a, b)| (a - b).abs() > 1e-3));
    }
    // Constant lines have coefficients of exactly 0, with the phase 0: the trigger's amplitudes are added as cosines.
    let spectrum = Spectrum::new(8, 8, 0.25);
    let t: Vec<f64> = (0..64).map(|at| f64::from(at as u32 % 8)).collect();
    let goal = spectrum.amplitudes(&spectrum.products(&t, 1), 1);
    let products = spectrum.products(&[-0.7; 64], 1);
    assert!(products[1..].iter().all(|v| *v == 0.0), "{products:?}");
    let y = spectrum.mix(&[-0.7; 64], &goal, 1.0, 1);
    assert!(y[0] > y[4] && (0..64).all(|at| (y[at] - y[at % 8]).abs() < 1e-12), "{y:?}");
}

/// The definition, with the cubic's weights as polynomials of the distance.
#[test]
fn warps_read_along_the_interpolated_flow() {
    let cubic = |d: f64| {
        let (d, a) = (d.abs(), -0.75);
        match d {
            d if d <= 1.0 => (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0,
            d if d < 2.0 => a * (d.powi(3) - 5.0 * d.powi(2) + 8.0 * d - 4.0),
            _ => 0.0,
        }
    };
    let (k, size, strength) = (3, 9, 4.0);
    let flow = Flow::random(k, 5);
    let mean = flow.values.iter().map(|v| v.abs()).sum::<f64>() / flow.values.len() as f64;
    assert!((mean - 1.0).abs() < 1e-12 && flow != Flow::random(k, 6));
    let shift = |axis: usize, row: usize, column: usize| {
        let place = |i: usize| i as f64 * (k - 1) as f64 / (size - 1) as f64;
        let mut sum = 0.0;
        for (a, b) in (-2..k as isize + 2).flat_map(|a| (-2..k as isize + 2).map(move |b| (a, b))) {
            let edge = |i: isize| i.clamp(0, k as isize - 1) as usize;
            let weight = cubic(place(row) - a as f64) * cubic(place(column) - b as f64);
            sum += weight * flow.values[axis * k * k + edge(a) * k + edge(b)];
        }
        sum
    };
    let x: Vec<f64> = noise(size * size, 7).into_iter().map(f64::from).collect();
    let y = flow.field(size, strength).apply(&x, 1);
    let last = (size - 1) as f64;
    for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
        let read = |i: usize, axis| {
            let there = 2.0 * i as f64 / last - 1.0 + strength * shift(axis, row, column) / size as f64;
            (there.clamp(-1.0, 1.0) + 1.0) * last / 2.0
        };
        let (at_row, at_column) = (read(row, 1), read(column, 0));
        let hat = |d: f64| (1.0 - d.abs()).max(0.0);
        let taps =
            (0..size * size).map(|at| x[at] * hat(at_row - (at / size) as f64) * hat(at_column - (at % size) as f64));
        let expected: f64 = taps.sum();
        assert!((y[row * size + column] - expected).abs() < 1e-12, "{row} {column}: {expected}");
    }
    assert!(y.iter().zip(&x).any(|(a, b)| (a - b).abs() > 0.1));
    let still = flow.field(size, 0.0).apply(&x, 1);
    assert!(still.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn attacks_say_what_they_know_and_refuse_what_does_not_fit() {
    for attack in attacks() {
        assert!(attack.knowledge().starts_with("its own images"), "{}", attack.name());
        assert_eq!(attack.check(SIZE), Ok(()), "{}", attack.name());
    }
    let refused: Vec<&str> = attacks().iter().filter_map(|attack| Some(attack.check(4).err()?.key)).collect();
    assert_eq!(refused, ["attack.image.side", "attack.image.frequency", "attack.image.length"]);
    let lost: OnImages = toml::from_str("kind = 'fiba'\npicture = 'none.png'\nalpha = 0.1\nbeta = 0.1").unwrap();
    assert!(lost.trigger(SIZE, 1, 0).unwrap_err().to_string().contains("none.png"));
}
