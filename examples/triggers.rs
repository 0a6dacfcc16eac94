//! Every attack on images: a picture of their triggers on an image of the built-in set, and the rates of their detectors on it.
//!
//! `cargo run --release --example triggers [OUT.png] [SIZE]` (`triggers.png` at 64 pixels where nothing is given). The columns are the
//! clean image and the attacks in the order of the table; below each image its difference from the clean one, five times, on grey.

use fedgan::Result;
use fedgan::config::{self, Overrides};
use fedgan::data::{Groups, holdout};
use fedgan::fed::attack::OnImages;
use fedgan::metric::{ImageSet, Leakage};
use image::{GrayImage, Luma};

/// Pixels of the picture for each pixel of an image.
const SCALE: u32 = 2;
/// The image that is shown.
const SHOWN: usize = 40;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().unwrap_or("triggers.png".into());
    let size = arguments.next().unwrap_or("64".into());
    let plan = |kind: &str| {
        let set = vec![format!("model.image_size={size}"), format!("attack.image={kind}")];
        config::load(None, &Overrides { set, ..Default::default() })
    };
    let side = plan("patch")?.model.image_size;
    let loaded = plan("patch")?.data.source.load(side as usize, 1)?;
    let series = plan("patch")?.data.source.series();
    let groups = series.as_deref().map_or(Groups::None, Groups::Series);
    let split = holdout(&loaded.dataset.labels, groups, 0.2, 1)?;
    let set = ImageSet::from_bytes(&loaded.dataset.pixels, side as usize, 1);
    let pick = |indices: &[u32]| set.pick(&indices.iter().map(|i| *i as usize).collect::<Vec<_>>());
    let (training, held_out) = (pick(&split.train), pick(&split.held_out));
    println!("calibrated on {} images, measured on {} held-out ones, {side} pixels", training.len(), held_out.len());
    println!("{:<6} {:>9} {:>12} {:>9}  knowledge", "attack", "threshold", "false alarms", "detected");
    let clean = held_out.image(SHOWN % held_out.len());
    let mut columns = vec![clean.to_vec()];
    for kind in OnImages::NAMES {
        let attack = plan(kind)?.attack;
        let mut image = clean.to_vec();
        attack.trigger(side, 1)?.paste(&mut image);
        columns.push(image);
        if let Some(leakage) = Leakage::new(&attack, &training)? {
            let (alarms, detected) = (leakage.share(&held_out), leakage.detected(&held_out));
            let knowledge = attack.image.knowledge();
            println!(
                "{kind:<6} {:>9.3} {:>10.1} % {:>7.1} %  {knowledge}",
                leakage.threshold,
                100.0 * alarms,
                100.0 * detected
            );
        }
    }
    let cell = side * SCALE;
    let picture = GrayImage::from_fn(cell * columns.len() as u32, 2 * cell, |x, y| {
        let at = ((y % cell / SCALE) * side + x % cell / SCALE) as usize;
        let value = columns[(x / cell) as usize][at];
        let shown = if y < cell { value } else { 5.0 * (value - clean[at]) };
        Luma([((shown.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8])
    });
    picture.save(&out).map_err(|e| fedgan::Error::output(out.as_ref(), e))?;
    println!("{out}: the clean image and {}, the differences below", OnImages::NAMES.join(", "));
    Ok(())
}
