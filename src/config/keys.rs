//! Every key of an experiment: type, range in words, meaning. Unknown keys, wrong types and the README's table all
//! derive from this list, so that every mistake of a file can be named at once, with its path.

use super::Problems;
use crate::input;
use crate::metric::Metric;
use toml::{Table, Value};

/// What a key's value may be, before its range is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number from 0 to 2^32 - 1.
    Integer,
    /// A whole number from 0 to 2^63 - 1.
    Long,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A string.
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A whole number, a name, or a list of them.
    Clients,
    /// `"auto"` or a list of two numbers.
    Window,
    /// A list of some of these strings.
    Choices(&'static [&'static str]),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path.
    pub path: &'static str,
    /// Type.
    pub kind: Kind,
    /// Meaning, unit, allowed values.
    pub doc: &'static str,
}

/// Bytes of an unknown key to which a similar one is looked for.
const LONGEST: usize = 100;

const fn key(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, doc }
}

/// All keys, in the order of the file.
pub static KEYS: &[Key] = &[
    key("name", Kind::Text, "names the run directory; letters, digits, `-`, `_`, `.`"),
    key("seed", Kind::Long, "seeds weights, latents, batch order, partition"),
    key("rounds", Kind::Integer, "rounds of local training and averaging, at least 1"),
    key(
        "device",
        Kind::Text,
        "`auto`, `gpu`, `gpu:N` by number in `fedgan devices`, `cpu`, `reference` or part of an adapter's name",
    ),
    key("model.image_size", Kind::Integer, "16, 32, 64, 128 or 256"),
    key("model.channels", Kind::Integer, "1 (grey) or 3 (RGB)"),
    key("model.width", Kind::Integer, "channels of the narrowest level, at least 1; each level doubles them"),
    key("model.latent", Kind::Integer, "length of the generator's input, at least 1"),
    key("train.batch", Kind::Integer, "images a step, 1 to 4096, at most a client's images"),
    key("train.loss", Kind::Choice(&["bce", "wgan-gp"]), "cross entropy, or Wasserstein with gradient penalty"),
    key(
        "train.norm",
        Kind::Choice(&["batch", "instance", "none"]),
        "norm of the discriminator; absent: batch with bce, instance with wgan-gp, which refuses batch",
    ),
    key("train.n_critic", Kind::Integer, "wgan-gp: critic steps a generator step, each with a batch, 1 to 100"),
    key("train.lambda", Kind::Number, "wgan-gp: weight of the gradient penalty, at least 0; absent: 10"),
    key(
        "train.interpolation",
        Kind::Choice(&["uniform", "normal"]),
        "wgan-gp: weights between real and generated images, in [0, 1) or normal as in the public code",
    ),
    key("train.optimizer", Kind::Choice(&["adam", "rmsprop"]), "optimiser of both networks"),
    key("train.lr", Kind::Number, "learning rate, above 0"),
    key("train.beta1", Kind::Number, "Adam's first decay, in [0, 1)"),
    key("train.beta2", Kind::Number, "Adam's second decay, in [0, 1)"),
    key("train.alpha", Kind::Number, "RMSprop's decay, in [0, 1)"),
    key("train.eps", Kind::Number, "the optimiser's epsilon, above 0"),
    key("train.local_epochs", Kind::Integer, "passes over a client's images a round; excludes `local_steps`"),
    key("train.local_steps", Kind::Integer, "steps a round instead; excludes `local_epochs`"),
    key("federation.clients", Kind::Integer, "number of clients, 1 to 65535"),
    key(
        "federation.partition.kind",
        Kind::Choice(&["iid", "shared", "dirichlet", "client-folders"]),
        "how images are dealt; `partition = \"iid\"` is short for it",
    ),
    key("federation.partition.alpha", Kind::Number, "dirichlet: concentration, above 0; small is uneven"),
    key(
        "federation.partition.minimum",
        Kind::Integer,
        "dirichlet: fewest images of a client, at least 1; shares are redrawn until all have them; absent, and at least: `train.batch`",
    ),
    key("federation.aggregate", Kind::Choice(&["generator", "both"]), "networks that the server averages"),
    key("federation.weights", Kind::Choice(&["equal", "data"]), "equal, or by number of images"),
    key(
        "federation.clients_per_launch",
        Kind::Integer,
        "clients trained at once, at least 1; absent: as memory allows",
    ),
    key(
        "federation.nonfinite",
        Kind::Choice(&["stop", "drop", "record"]),
        "NaN or infinity in a client's training: the run stops, the client is left out of the round and starts afresh, or it \
         is only noted",
    ),
    key("data.kind", Kind::Choice(&["builtin", "folder", "npz", "dermoscopy"]), "where images come from"),
    key("data.path", Kind::Text, "folder, npz: the folder or file; relative to the working directory"),
    key("data.skip_bad", Kind::Flag, "folder: leave out images that cannot be read (`--skip-bad`)"),
    key(
        "data.follow_links",
        Kind::Flag,
        "folder: follow symbolic links that lead outside the folder; absent: refuse them",
    ),
    key("data.client_folders", Kind::Flag, "folder: one sub-folder a client; set by the partition `client-folders`"),
    key(
        "data.window",
        Kind::Window,
        "folder, npz: values that become black and white in images of more than 8 bits, `[low, high]` or `\"auto\"` (least and \
         greatest of the set); absent: all that the type holds",
    ),
    key(
        "data.axis",
        Kind::Integer,
        "npz: axis of `train_images`, 1 to 3, along which volumes [n, d, h, w] are cut into slices",
    ),
    key("data.n", Kind::Integer, "dermoscopy: number of images"),
    key("data.seed", Kind::Long, "dermoscopy: seed of the images, apart from the experiment's"),
    key(
        "data.held_out",
        Kind::Number,
        "share kept from all clients for the distance, in [0, 1); of each class, and of each client where folders are clients; of the \
         built-in set whole blocks of its series",
    ),
    key(
        "attack.malicious",
        Kind::Clients,
        "client ids or, with client folders, their names, or how many (the first ones); `[]` or 0 is an honest run",
    ),
    key("attack.trigger.image", Kind::Text, "a picture to paste, resized to `side`; or"),
    key("attack.trigger.pattern", Kind::Choice(&["checker", "cross", "square"]), "a built-in one"),
    key("attack.side", Kind::Integer, "side of the trigger in pixels, at least 1; absent: image_size / 16"),
    key("attack.margin", Kind::Integer, "pixels from the edges; absent: 5 at 256 pixels, in proportion, at least 1"),
    key(
        "attack.place",
        Kind::Choice(&["bottom-right", "bottom-left", "top-left", "top-right", "centre"]),
        "where the trigger lies",
    ),
    key("attack.fraction", Kind::Number, "share of a malicious client's images with the trigger, in [0, 1]"),
    key("attack.opacity", Kind::Number, "1 replaces pixels, less blends, in [0, 1]"),
    key(
        "attack.range",
        Kind::Choice(&["scaled", "published"]),
        "trigger in [-1, 1], or in [0, 1] as in the public code",
    ),
    key("attack.start_round", Kind::Integer, "first round of the attack, from 0"),
    key(
        "attack.scale",
        Kind::Number,
        "factor of the update that malicious clients send, above 0; 1 as it is, `clients` replaces the model",
    ),
    key(
        "attack.report",
        Kind::Choice(&["true", "median"]),
        "losses that malicious clients report to the detector: their own, or the honest clients' median",
    ),
    key(
        "detection.kind",
        Kind::Choice(&["none", "isolation-forest-published", "isolation-forest"]),
        "which rule lowers the weights of suspicious clients; needs at least 3 clients, the published one 4",
    ),
    key("detection.warmup", Kind::Integer, "verdicts come in rounds after this one, from 0; 10 where absent"),
    key(
        "detection.features",
        Kind::Choice(&["all", "server"]),
        "isolation-forest: `all` adds the reported G loss to what the server sees of the generators; `server` where absent",
    ),
    key(
        "detection.memory",
        Kind::Number,
        "isolation-forest: rounds that evidence is averaged over, at least 1; 8 where absent",
    ),
    key(
        "detection.margin",
        Kind::Number,
        "isolation-forest: evidence that is suspect, above 0 (evidence is at most 2); 0.7 where absent",
    ),
    key(
        "detection.patience",
        Kind::Integer,
        "isolation-forest: suspect rounds until a flag, at least 1; 2 where absent",
    ),
    key(
        "detection.decay",
        Kind::Number,
        "factor of a flagged client's weight, in (0, 1); 0.3 where absent, 0.9 to the power of its flags when published",
    ),
    key(
        "detection.floor",
        Kind::Number,
        "isolation-forest: least share of its weight for a clean client, in (0, 1]; 0.25 where absent",
    ),
    key("evaluation.every", Kind::Integer, "rounds between sample grids; 0: only at the start and the end"),
    key("evaluation.samples", Kind::Integer, "generated images for the distance, 2 to 65536"),
    key(
        "evaluation.metrics",
        Kind::Choices(&Metric::NAMES),
        "what evaluation rounds measure; absent: sliced-wasserstein, and leakage where a client is malicious",
    ),
    key("evaluation.grid", Kind::Integer, "rows and columns of a sample grid, 1 to 32"),
    key(
        "checkpoint.every",
        Kind::Integer,
        "rounds between checkpoints, from which `run --resume` goes on; 0: only at the start and when interrupted",
    ),
    key("checkpoint.keep", Kind::Integer, "checkpoints that are kept, the latest ones, at least 1"),
    key(
        "checkpoint.last",
        Kind::Flag,
        "whether a finished run keeps its state, so that `run --resume RUN --set rounds=N` trains it further; absent: `run` does, `sweep` does not",
    ),
];

impl Kind {
    fn expected(self) -> String {
        match self {
            Kind::Integer => "a whole number from 0 to 4294967295".into(),
            Kind::Long => "a whole number from 0 to 9223372036854775807".into(),
            Kind::Number => "a number".into(),
            Kind::Flag => "true or false".into(),
            Kind::Text => "a string".into(),
            Kind::Choice(names) => format!("one of \"{}\"", names.join("\", \"")),
            Kind::Clients => "a whole number, or a list of whole numbers and names".into(),
            Kind::Window => "\"auto\" or a list of two numbers, [low, high]".into(),
            Kind::Choices(names) => format!("a list of some of \"{}\"", names.join("\", \"")),
        }
    }

    fn accepts(self, value: &Value) -> bool {
        let integer = |v: &Value| v.as_integer().is_some_and(|i| u32::try_from(i).is_ok());
        match self {
            Kind::Integer => integer(value),
            Kind::Long => value.as_integer().is_some_and(|i| i >= 0),
            Kind::Number => value.is_integer() || value.is_float(),
            Kind::Flag => value.is_bool(),
            Kind::Text => value.is_str(),
            Kind::Choice(names) => value.as_str().is_some_and(|s| names.contains(&s)),
            Kind::Choices(names) => {
                value.as_array().is_some_and(|a| a.iter().all(|v| v.as_str().is_some_and(|s| names.contains(&s))))
            }
            Kind::Clients => {
                let client = |v: &Value| integer(v) || v.is_str();
                client(value) || value.as_array().is_some_and(|a| a.iter().all(client))
            }
            Kind::Window => {
                let number = |v: &Value| v.is_integer() || v.is_float();
                let pair = value.as_array().is_some_and(|a| a.len() == 2 && a.iter().all(number));
                value.as_str() == Some("auto") || pair
            }
        }
    }
}

/// Removes from `tree` every key that is unknown or of a wrong type, reporting each, so that what is left can be read
/// and its ranges checked too. `[resolved]` is taken as it is.
pub fn sift(tree: &mut Table, problems: &mut Problems) {
    sift_table("", tree, problems);
}

fn sift_table(prefix: &str, table: &mut Table, problems: &mut Problems) {
    table.retain(|name, value| {
        let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        if path == "resolved" {
            return value.is_table() || problems.refuse(&path, value, "a table");
        }
        if let Some(key) = KEYS.iter().find(|k| k.path == path) {
            return key.kind.accepts(value) || problems.refuse(&path, value, &key.kind.expected());
        }
        if !KEYS.iter().any(|k| k.path.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'))) {
            return problems.push(unknown(&path, &path, problems));
        }
        match value {
            Value::Table(inner) => {
                sift_table(&path, inner, problems);
                true
            }
            _ => problems.refuse(&path, value, "a table"),
        }
    });
}

/// What is said of the unknown key `path`, which stands at `at`.
pub fn unknown(at: &str, path: &str, problems: &Problems) -> String {
    // Distances to all keys take time: not for thousands of keys, nor for one that is no slip of the pen.
    let near = (!problems.is_full() && path.len() <= LONGEST).then(|| format!("; the nearest is `{}`", nearest(path)));
    format!("{}: unknown key{}", input::shorten(at, 2 * LONGEST), near.unwrap_or_default())
}

impl Key {
    /// What it means, with its range or its choices.
    pub fn meaning(&self) -> String {
        match self.kind {
            Kind::Choice(names) | Kind::Choices(names) => format!("{} (`{}`)", self.doc, names.join("`, `")),
            _ => self.doc.to_string(),
        }
    }
}

/// The key `field` of a section or of a table in it.
pub fn below(section: &str, field: &str) -> Option<&'static Key> {
    let ends = |key: &&Key| key.path.strip_prefix(section).is_some_and(|rest| rest.rsplit('.').next() == Some(field));
    KEYS.iter().filter(ends).min_by_key(|key| key.path.len())
}

/// The known key (or table) whose spelling is nearest.
pub fn nearest(path: &str) -> &'static str {
    let last = |p: &str| p.rsplit('.').next().unwrap_or_default().to_string();
    let mut candidates: Vec<&'static str> = KEYS.iter().map(|k| k.path).collect();
    candidates.extend([
        "model",
        "train",
        "federation",
        "federation.partition",
        "data",
        "attack",
        "detection",
        "evaluation",
        "checkpoint",
    ]);
    let score = |known: &str| {
        let whole = strsim::normalized_damerau_levenshtein(path, known);
        let end = strsim::jaro_winkler(&last(path), &last(known));
        let same_table = path.rsplit_once('.').map(|p| p.0) == known.rsplit_once('.').map(|p| p.0);
        whole + end + if same_table { 0.3 } else { 0.0 }
    };
    candidates.into_iter().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or("name")
}

/// The keys as a Markdown table with the values of `defaults` (a configuration as TOML), for the README.
pub fn markdown(defaults: &Table) -> String {
    let mut out = String::from("| key | default | meaning and range |\n|---|---|---|\n");
    for key in KEYS {
        let default = lookup(defaults, key.path).map_or("-".to_string(), |value| format!("`{value}`"));
        out.push_str(&format!("| `{}` | {default} | {} |\n", key.path, key.meaning()));
    }
    out
}

fn lookup<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((head, rest)) => lookup(table.get(head)?.as_table()?, rest),
        None => table.get(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_near_keys() {
        for (wrong, right) in [
            ("train.learning_rate", "train.lr"),
            ("train.batch_size", "train.batch"),
            ("lr", "train.lr"),
            ("trian", "train"),
            ("modle", "model"),
            ("model.imagesize", "model.image_size"),
            ("federation.client", "federation.clients"),
            ("attack.opactiy", "attack.opacity"),
        ] {
            assert_eq!(nearest(wrong), right, "{wrong}");
        }
    }
}
