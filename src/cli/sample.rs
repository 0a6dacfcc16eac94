//! `fedgan sample`: images from an exported generator.

use crate::error::count;
use crate::exec::Purpose;
use crate::gpu::GpuOptions;
use crate::kernels::rng::Stream;
use crate::model::{Architecture, NamedTensors, nhwc_to_nchw};
use crate::report::outputs::{self, OutputKind, output};
use crate::report::{picture, safetensors};
use crate::session::Generator;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const OUT: &str = "fedgan sample --out";
const IMAGES: &str = "fedgan sample --images";
const SAVE_IMAGES: &str = "fedgan sample --save-images";
const SAVE_LATENTS: &str = "fedgan sample --save-latents";

/// Arguments of `fedgan sample`.
#[derive(Debug, clap::Args)]
pub struct SampleArgs {
    /// Generator file with PyTorch's layout and names, as written by `fedgan run`.
    pub generator: PathBuf,
    /// Number of images.
    #[arg(short, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub n: u32,
    /// Seed of the latents; a run's own seed reproduces the images of its grids.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Read the latents from this file: an F32 tensor `latents`, `[n, latent]` or `[n, latent, 1, 1]`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["n", "seed"])]
    pub latents: Option<PathBuf>,
    /// Write a grid of the images as PNG; it may replace an earlier grid of this option, but no other file.
    #[arg(long, value_name = "PNG", required_unless_present = "images")]
    pub out: Option<PathBuf>,
    /// Also write each image to its own PNG file, numbered from 0, in this directory, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Also write the images as a safetensors file: `images`, `[n, channels, size, size]` in [-1, 1].
    #[arg(long, value_name = "FILE")]
    pub save_images: Option<PathBuf>,
    /// Also write the latents as a safetensors file: `latents`, `[n, latent, 1, 1]`.
    #[arg(long, value_name = "FILE")]
    pub save_latents: Option<PathBuf>,
    /// auto, gpu, gpu:N, cpu, reference, or part of an adapter's name [default: FEDGAN_DEVICE, or auto].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// Generates the images and writes the grid.
///
/// # Errors
/// A file without a generator of this project, latents of the wrong size, an unknown device, a failed write.
pub fn run(args: SampleArgs) -> Result<()> {
    let files = [
        output("--out", args.out.as_deref(), OutputKind::Png(OUT)),
        output("--save-images", args.save_images.as_deref(), OutputKind::Tensors(SAVE_IMAGES)),
        output("--save-latents", args.save_latents.as_deref(), OutputKind::Tensors(SAVE_LATENTS)),
    ];
    outputs::check(
        &files,
        &[Some(args.generator.as_path()), args.latents.as_deref()].into_iter().flatten().collect::<Vec<_>>(),
    )?;
    if let Some(out) = args.out.as_deref() {
        is_png(out)?;
    }
    if let Some(dir) = args.images.as_deref() {
        is_empty(dir)?;
    }
    let generator = Generator::load(&args.generator)?;
    let architecture = generator.architecture;
    let given = args.latents.as_deref().map(|path| read_latents(path, architecture.latent as usize)).transpose()?;
    let (mut engine, reason) = crate::gpu::open(args.device.as_deref().unwrap_or("auto"), GpuOptions::default())?;
    let engine = engine.as_mut();
    let sampler = generator.sampler(engine, (args.seed, Stream::SAMPLE))?;
    let n = args.n as usize;
    let latents = match given {
        Some(latents) => latents,
        None => sampler.latents(engine, n, Purpose::Evaluation)?,
    };
    let (size, channels) = (architecture.image_size as usize, architecture.channels as usize);
    let together = args.out.is_some() || args.save_images.is_some();
    let (mut images, mut done) = (Vec::new(), 0);
    sampler.given_batches(engine, &latents, Purpose::Evaluation, |batch| {
        if let Some(dir) = &args.images {
            done = write_each(dir, &batch, done, size, channels)?;
        }
        if together {
            images.extend(batch);
        }
        Ok(())
    })?;
    let n = latents.len() / architecture.latent as usize;
    write(&args, architecture, n, &latents, &images)?;
    let shown = args.out.as_deref().or(args.images.as_deref()).unwrap_or(Path::new("-"));
    let (shown, images) = (shown.display(), count(n, "image"));
    super::print(format!("{shown}: {images} of {size}x{size}x{channels} on {reason}\n"))
}

/// Rejects a file name with an extension other than `.png`.
fn is_png(path: &Path) -> Result<()> {
    match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        true => Ok(()),
        false => Err(Error::input(format!(
            "--out {}: the output is a PNG picture; the name must end in .png",
            path.display()
        ))),
    }
}

/// Rejects anything but a new or empty directory.
fn is_empty(dir: &Path) -> Result<()> {
    let found = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::input(format!("--images {}: {e}", dir.display()))),
        Ok(mut entries) => entries.next(),
    };
    match found {
        None => Ok(()),
        Some(_) => Err(Error::input(format!(
            "--images {}: contains other files; choose a new or empty directory",
            dir.display()
        ))),
    }
}

/// Writes a batch of images, numbered from `first`; returns the number of the next image.
fn write_each(dir: &Path, batch: &[f32], first: usize, size: usize, channels: usize) -> Result<usize> {
    std::fs::create_dir_all(dir).map_err(|e| Error::output(dir, e))?;
    let images = batch.chunks_exact(size * size * channels);
    let next = first + images.len();
    for (image, number) in images.zip(first..) {
        let picture = picture::single(image, size, channels)?;
        let bytes = picture::encode_png_by(&picture, IMAGES)?;
        outputs::write(&dir.join(format!("{number:05}.png")), OutputKind::Png(IMAGES), &bytes)?;
    }
    Ok(next)
}

/// Latents `[n][latent]` from the tensor `latents`.
fn read_latents(path: &Path, latent: usize) -> Result<Vec<f32>> {
    let (shape, values) = safetensors::load(path)?.f32_any("latents")?;
    let fits = match shape.as_slice() {
        [n, l] | [n, l, 1, 1] => *l == latent && (1..=65536).contains(n),
        _ => false,
    };
    if !fits {
        let allowed = format!("[n, {latent}] or [n, {latent}, 1, 1] with n from 1 to 65536");
        return Err(Error::file(path, format!("tensor 'latents' has shape {shape:?}; expected {allowed}")));
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(Error::file(path, format!("tensor 'latents': element {at} is {}", values[at]))),
        None => Ok(values),
    }
}

fn write(args: &SampleArgs, architecture: Architecture, n: usize, latents: &[f32], images: &[f32]) -> Result<()> {
    let (size, channels) = (architecture.image_size as usize, architecture.channels as usize);
    if let Some(out) = &args.out {
        let columns = (n as f64).sqrt().ceil() as usize;
        let grid = picture::grid(images, n, size, channels, columns)?;
        outputs::write(out, OutputKind::Png(OUT), &picture::encode_png_by(&grid, OUT)?)?;
    }
    if let Some(path) = &args.save_images {
        let values = nhwc_to_nchw(images, n, channels, size * size);
        save(path, SAVE_IMAGES, "images", vec![n, channels, size, size], values)?;
    }
    if let Some(path) = &args.save_latents {
        save(path, SAVE_LATENTS, "latents", vec![n, architecture.latent as usize, 1, 1], latents.to_vec())?;
    }
    Ok(())
}

fn save(path: &Path, mark: &'static str, name: &str, shape: Vec<usize>, values: Vec<f32>) -> Result<()> {
    let tensors = NamedTensors::from([(name.to_string(), (shape, values))]);
    let metadata = BTreeMap::from([(outputs::KEY.to_string(), mark.to_string())]);
    outputs::write(path, OutputKind::Tensors(mark), &safetensors::encode(&tensors, &metadata)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Architecture = Architecture { image_size: 16, channels: 3, width: 4, latent: 5 };

    /// A generator whose weights are a fixed wave.
    fn generator(path: &Path) {
        let net = SMALL.generator();
        let row = |n: usize| (0..n).map(|i| 0.3 * ((i as f32) * 0.37).sin()).collect::<Vec<f32>>();
        let running = vec![1.0; net.running_stride];
        let tensors = crate::model::export(&net, &row(net.stride), &running);
        std::fs::write(path, safetensors::encode(&tensors, &BTreeMap::new()).unwrap()).unwrap();
    }

    fn args(dir: &Path, device: &str) -> SampleArgs {
        SampleArgs {
            generator: dir.join("g.safetensors"),
            n: 5,
            seed: 3,
            latents: None,
            out: Some(dir.join("grid.png")),
            images: None,
            save_images: Some(dir.join("images.safetensors")),
            save_latents: Some(dir.join("latents.safetensors")),
            device: Some(device.into()),
        }
    }

    fn images(dir: &Path) -> (Vec<usize>, Vec<f32>) {
        safetensors::load(&dir.join("images.safetensors")).unwrap().f32_any("images").unwrap()
    }

    #[test]
    fn latents_written_and_read_back_give_the_same_images() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        generator(&dir.join("g.safetensors"));
        run(args(dir, "cpu")).unwrap();
        let (shape, first) = images(dir);
        assert_eq!(shape, [5, 3, 16, 16]);
        assert!(first.iter().all(|v| v.abs() <= 1.0) && first.iter().any(|v| v.abs() > 0.05));
        std::fs::rename(dir.join("latents.safetensors"), dir.join("again.safetensors")).unwrap();
        run(SampleArgs { latents: Some(dir.join("again.safetensors")), ..args(dir, "cpu") }).unwrap();
        assert_eq!(images(dir).1, first);
        run(SampleArgs { seed: 4, ..args(dir, "cpu") }).unwrap();
        assert_ne!(images(dir).1, first);
    }

    #[test]
    fn single_images_are_those_of_the_file_and_other_directories_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        generator(&dir.join("g.safetensors"));
        let at = dir.join("new/images");
        run(SampleArgs { images: Some(at.clone()), n: 70, ..args(dir, "cpu") }).unwrap();
        let (_, values) = images(dir);
        for i in [0, 63, 64, 69] {
            let png = image::open(at.join(format!("{i:05}.png"))).unwrap().to_rgb8();
            assert_eq!(png.dimensions(), (16, 16));
            let expected = |c: usize| ((values[i * 768 + c * 256] + 1.0) * 127.5).round() as i32;
            let near = |c: usize| (i32::from(png.get_pixel(0, 0)[c]) - expected(c)).abs() <= 1;
            assert!((0..3).all(near), "{i}");
        }
        assert_eq!(std::fs::read_dir(&at).unwrap().count(), 70);
        // No longer empty; a file; a name without `.png`.
        let alone = |images: &Path| SampleArgs { out: None, images: Some(images.into()), ..args(dir, "cpu") };
        for bad in [alone(&at), alone(&dir.join("g.safetensors"))] {
            assert_eq!(run(bad).unwrap_err().exit_code(), 2);
        }
        for name in ["grid.jpg", "grid", "grid.png.tif"] {
            let refused = run(SampleArgs { out: Some(dir.join(name)), ..args(dir, "cpu") }).unwrap_err();
            assert!(refused.exit_code() == 2 && refused.to_string().contains(".png"), "{refused}");
            assert!(!dir.join(name).exists());
        }
        let empty = dir.join("empty");
        std::fs::create_dir(&empty).unwrap();
        run(alone(&empty)).unwrap();
        assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 5);
    }

    #[test]
    fn what_is_read_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let path = dir.join("g.safetensors");
        generator(&path);
        let before = std::fs::read(&path).unwrap();
        for args in [
            SampleArgs { out: Some(path.clone()), ..args(dir, "cpu") },
            SampleArgs { save_images: Some(path.clone()), ..args(dir, "cpu") },
            SampleArgs { save_latents: Some(dir.join("images.safetensors")), ..args(dir, "cpu") },
        ] {
            assert_eq!(run(args).unwrap_err().exit_code(), 2);
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1, "nothing was written");
    }

    #[test]
    fn what_is_no_generator_or_no_latent_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(run(args(dir, "cpu")).unwrap_err().to_string().contains("g.safetensors"));
        save(&dir.join("g.safetensors"), OUT, "other", vec![1], vec![0.0]).unwrap();
        assert_eq!(run(args(dir, "cpu")).unwrap_err().exit_code(), 2);
        let path = dir.join("z.safetensors");
        for (shape, expected) in [(vec![2, 4], "expected [n, 5]"), (vec![8], "expected [n, 5]")] {
            save(&path, SAVE_LATENTS, "latents", shape, vec![0.0; 8]).unwrap();
            assert!(read_latents(&path, 5).unwrap_err().to_string().contains(expected));
        }
        save(&path, SAVE_LATENTS, "latents", vec![1, 2], vec![0.0, f32::NAN]).unwrap();
        assert!(read_latents(&path, 2).unwrap_err().to_string().contains("element 1"));
    }
}
