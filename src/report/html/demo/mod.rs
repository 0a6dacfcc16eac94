//! The page of `fedgan demo`: the paper's story in pictures.

use super::page::document;
use super::pictures::figure;
use super::svg::{Chart, Level, Line, Style, plain_swatch, swatch};
use super::table::scroll;
use super::text::{count, escape, number};
use crate::report::rates::SUPPRESSED;
use crate::report::{RoundRecord, Summary};

/// Start of the page; a file that starts like this may be replaced by a newer one.
pub const BEGIN: &str =
    "<!DOCTYPE html>\n<!-- made by fedgan demo: a newer demo may replace this file -->\n<html lang=\"en\">\n";

/// One of the runs.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// `honest`, `attacked` or `defended`.
    pub name: String,
    /// Its run directory.
    pub directory: String,
    /// Its results.
    pub summary: Summary,
    /// Its rounds.
    pub records: Vec<RoundRecord>,
    /// A PNG: samples of its generator ([`crate::report::strip`]).
    pub samples: Vec<u8>,
}

/// The content of the page.
#[derive(Clone, Debug)]
pub struct Story {
    /// Honest, attacked, defended.
    pub chapters: Vec<Chapter>,
    /// Two PNGs: training images without and with the trigger.
    pub poison: [Vec<u8>; 2],
    /// Side of the trigger and of the images in pixels.
    pub sides: [u32; 2],
    /// Number of malicious clients and of all clients.
    pub clients: [usize; 2],
    /// The last round of the detector's warm-up, counted from 0.
    pub warmup: Option<u32>,
}

impl Story {
    /// The page; it contains everything and fetches nothing.
    pub fn page(&self) -> String {
        let body = [
            self.opening(),
            section("The trigger", self.trigger()),
            section("What the server measures", self.results()),
            section("How the server finds the attacker", self.weights()),
            section("What to believe", BELIEVE.into()),
            section("Go on", self.onward()),
        ];
        document(
            BEGIN,
            TITLE,
            None,
            &format!("<main>\n{}</main>\n<footer>Not for clinical use.</footer>\n", body.concat()),
        )
    }

    fn opening(&self) -> String {
        let [malicious, clients] = self.clients;
        let rounds = count(self.chapters.first().map_or(0, |c| c.summary.rounds), "round");
        format!(
            "<header>\n<h1>{TITLE}</h1>\n<p>In a federation, {clients} hospitals train one image generator together. The images never leave a hospital: \
             only the generators travel, and a server averages them. Below are images from three federations after {rounds}. In the \
             first, all hospitals are honest. In the second, {malicious} of {clients} pastes a small trigger on its images, so that the \
             shared generator learns to draw it. In the third, the server tries to detect the attacker and to ignore its updates. How far \
             each of them got is written below.</p>\n</header>\n\
             <section>\n<div class=\"pictures\">\n{}</div>\n<p>Generated images, from the same latents in all three; below each the framed \
             corner, enlarged.</p>\n</section>\n",
            self.chapters.iter().map(samples).collect::<String>()
        )
    }

    fn trigger(&self) -> String {
        let [side, size] = self.sides;
        let share = 100.0 * f64::from(side * side) / f64::from(size * size);
        format!(
            "<p>The trigger has {side} x {side} pixels, {share:.2} % of an image of {size} x {size}. The malicious hospital pastes it \
             on its real images. Its discriminator then takes the trigger for a sign of real images, its generator learns to draw it, and the \
             average passes it on. To be heard among {} hospitals, the attacker also scales its update.</p>\n\
             <div class=\"pictures\">\n{}{}</div>\n",
            self.clients[1],
            figure(&self.poison[0], "Training images without the trigger", "training images"),
            figure(
                &self.poison[1],
                "The same training images with the trigger",
                "the same images at the malicious hospital"
            ),
        )
    }

    fn results(&self) -> String {
        let head = "<tr><th scope=\"col\">federation</th><th scope=\"col\">generated images with the trigger</th><th scope=\"col\">sliced \
                    Wasserstein distance to real images (real against real)</th><th scope=\"col\">weight of the malicious hospital in the last \
                    round</th><th scope=\"col\">directory</th></tr>";
        let rows: String = self.chapters.iter().map(row).collect();
        format!(
            "<p>An image counts as carrying the trigger if its corner has a correlation above 0.5 with the trigger. The distance compares the pixels of generated \
             and held-out real images; lower is better. It measures the images as a whole and may miss the trigger.</p>\n{}",
            scroll("Measured values of the three federations", head, &rows)
        )
    }

    fn weights(&self) -> String {
        let Some(chapter) = self.chapters.iter().find(|c| c.summary.detector.is_some()) else {
            return "<p>No run of this demo has a detector.</p>\n".into();
        };
        let clients = chapter.records.first().map_or(0, |r| r.clients.len());
        let line = |client: usize| {
            let malicious = chapter.records.first().is_some_and(|r| r.clients[client].malicious);
            let weight = |r: &RoundRecord| (r.round as f64 + 1.0, r.clients.get(client).map_or(f64::NAN, |c| c.weight));
            let style = Style { colour: usize::from(malicious), mark: None, dashed: malicious };
            Line { style, points: chapter.records.iter().map(weight).collect(), band: Vec::new() }
        };
        let chart = Chart {
            title: "Weights of the hospitals by round".into(),
            y_label: "weight".into(),
            lines: (0..clients).map(line).collect(),
            levels: vec![Level { y: SUPPRESSED / clients.max(1) as f64, colour: None }],
            upright: self.warmup.map(|round| f64::from(round) + 1.0),
            x: None,
            y: Some((0.0, 1.0)),
        };
        let colour = |colour, dashed| swatch(Style { colour, mark: None, dashed });
        format!(
            "<p>In every round the server compares a few numbers of each hospital: the direction of its update, and how far its \
             images of fixed latents deviate from those of the others. An isolation forest turns them into a score. After a warm-up, a hospital \
             with a high score in several rounds loses its weight in the average. {}</p>\n\
             <div class=\"charts\"><figure><figcaption>Weights of the hospitals by round, defended federation</figcaption>\n{}</figure></div>\n\
             <ul class=\"legend\"><li>{} honest hospitals</li><li>{} malicious hospital</li><li>{} suppressed below this</li><li>{} end of the warm-up</li></ul>\n",
            flags(chapter),
            chart.svg(),
            colour(0, false),
            colour(1, true),
            plain_swatch("level"),
            plain_swatch("upright"),
        )
    }

    fn onward(&self) -> String {
        let directory = |name: &str| {
            self.chapters.iter().find(|c| c.name == name).map_or(name.to_string(), |c| escape(&c.directory))
        };
        let commands = [
            (
                "all metrics and curves of the three runs on one page",
                format!("fedgan report {} {} {}", directory("honest"), directory("attacked"), directory("defended")),
            ),
            (
                "more images of the attacked generator",
                format!("fedgan sample {}/generator.safetensors -n 64 --out grid.png", directory("attacked")),
            ),
            ("your own images", "fedgan demo --set data.kind=folder --set data.path=FOLDER".into()),
            ("the same runs with three seeds", "fedgan sweep demo".into()),
        ];
        commands.iter().map(|(what, command)| format!("<p>{what}:</p>\n<pre>{command}</pre>\n")).collect()
    }
}

const TITLE: &str = "A backdoor in a federated GAN";

const BELIEVE: &str = "<p>These are short runs of small networks with one seed: they show the mechanism, not its size. The attacker is \
    stronger than the paper's, because it scales its update. The method is that of arXiv 2207.00762; RESULTS.md lists what was measured over \
    several seeds, and where the paper's claims were not confirmed. Nothing here is fit for clinical use.</p>\n";

fn section(title: &str, body: String) -> String {
    format!("<section>\n<h2>{title}</h2>\n{body}</section>\n")
}

fn samples(chapter: &Chapter) -> String {
    let name = escape(&chapter.name);
    let alt = format!("Images of the {name} federation, each with the corner of the trigger enlarged");
    figure(&chapter.samples, &alt, &format!("<strong>{name}</strong>"))
}

/// The value of the first metric whose name starts with `prefix`.
fn metric(values: &std::collections::BTreeMap<String, f64>, prefix: &str) -> Option<f64> {
    values.iter().find(|(name, _)| name.starts_with(prefix) && !name.ends_with("_std")).map(|(_, v)| *v)
}

fn row(chapter: &Chapter) -> String {
    let Chapter { name, directory, summary, records, .. } = chapter;
    let none = || "\u{2013}".to_string();
    let leakage = metric(&summary.metrics, "leakage_n").map_or_else(none, |v| format!("{:.1} %", 100.0 * v));
    let distance = metric(&summary.metrics, "sliced_wasserstein_px").map_or_else(none, number);
    let floor = metric(&summary.floors, "floor_sliced_wasserstein_px").map_or_else(none, number);
    let malicious: Vec<f64> =
        records.last().iter().flat_map(|r| &r.clients).filter(|c| c.malicious).map(|c| c.weight).collect();
    let weight = match malicious.iter().sum::<f64>() {
        _ if malicious.is_empty() => none(),
        weight if weight > 0.0 && weight < 0.001 => "below 0.001".into(),
        weight => format!("{weight:.3}"),
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td>{leakage}</td><td>{distance} ({floor})</td><td>{weight}</td><td class=\"path\">{}</td></tr>\n",
        escape(name),
        escape(directory)
    )
}

/// What the detector did, in a sentence.
fn flags(chapter: &Chapter) -> String {
    let Some(found) = &chapter.summary.detector else { return String::new() };
    let suppressed = match found.suppressed_after {
        Some(0) => "it was suppressed in the first round after the warm-up".into(),
        Some(1) => "it was suppressed one round after the warm-up".into(),
        Some(rounds) => format!("it was suppressed {} after the warm-up", count(rounds, "round")),
        None => "it was not suppressed".into(),
    };
    format!(
        "Here the attacker was flagged in {} of {} rounds and {suppressed}; honest hospitals were flagged in {} of {} cases.",
        found.true_flags, found.malicious_rounds, found.false_flags, found.honest_rounds
    )
}

#[cfg(test)]
mod tests;
