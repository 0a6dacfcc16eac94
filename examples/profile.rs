use fedgan::exec::*;
use fedgan::gpu::*;
use fedgan::model::*;
use std::collections::BTreeMap;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n = |i: usize| a[i].parse::<u32>().unwrap();
    let (size, ch, w, z, b, k) = (n(2), n(3), n(4), n(5), n(6), n(7));
    let mut opt = GpuOptions::default();
    if a.len() > 8 {
        opt.class = Some(fedgan::kernels::Class::Tiled);
    }
    let (mut e, _) = open(&a[1], opt).unwrap();
    let e = e.as_mut();
    let gan = Gan::new(Architecture { image_size: size, channels: ch, width: w, latent: z }, 0.5, 0.999, 1e-8).unwrap();
    let buf = gan.alloc(e, k, k, b, 8).unwrap();
    let real = e.alloc("r", (k * Activations::stride([size, size, ch], b)) as usize).unwrap();
    let zd = e.alloc("z", (k * Activations::stride([1, 1, z], b)) as usize).unwrap();
    let mut rng = fedgan::kernels::rng::HostRng::new(1, fedgan::kernels::rng::Stream::CHECK, 0, 0);
    for t in [buf.g.weights, buf.d.weights, real, zd] {
        let v: Vec<f32> = (0..t.words).map(|_| 0.05 * rng.normal() as f32).collect();
        write_f32(e, t, &v).unwrap();
    }
    let mut rec = Recording::new();
    gan.record_step(&mut rec, &buf, real, zd, zd).unwrap();
    gan.record_advance(&mut rec, &buf).unwrap();
    for _ in 0..3 {
        e.run(&rec, 1).unwrap();
    }
    e.finish().unwrap();
    let mut v = vec![];
    for _ in 0..7 {
        let t = Instant::now();
        e.run(&rec, 1).unwrap();
        e.finish().unwrap();
        v.push(t.elapsed().as_secs_f64());
    }
    v.sort_by(f64::total_cmp);
    println!(
        "step median {:.1} ms min {:.1}, {} launches, {:.2} GFLOP",
        v[3] * 1e3,
        v[0] * 1e3,
        rec.launches().len(),
        rec.cost().flops / 1e9
    );
    let mut by: BTreeMap<String, (f64, f64, u32)> = BTreeMap::new();
    let detail = std::env::var("DETAIL").is_ok();
    for l in rec.launches() {
        let mut r = Recording::new();
        r.launch_words(l.kernel, l.params.clone(), &l.args, l.label.clone()).unwrap();
        e.run(&r, 1).unwrap();
        e.finish().unwrap();
        let mut v = vec![];
        for _ in 0..5 {
            let t = Instant::now();
            e.run(&r, 1).unwrap();
            e.finish().unwrap();
            v.push(t.elapsed().as_secs_f64());
        }
        v.sort_by(f64::total_cmp);
        let key = if detail { format!("{} | {}", l.kernel.name(), l.label) } else { l.kernel.name().into() };
        let s = by.entry(key).or_default();
        s.0 += v[2];
        s.1 += l.kernel.cost(&l.params).flops;
        s.2 += 1;
    }
    let mut all: Vec<_> = by.into_iter().collect();
    all.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    for (k, (t, f, n)) in all.iter().take(40) {
        println!("{:60} {:3} x {:8.2} ms {:7.1} GFLOP/s", k, n, t * 1e3, f / t / 1e9);
    }
}
