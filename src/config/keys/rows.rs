//! The rows, in the order of an experiment file. A tag precedes the keys of its table.

use crate::data::MOST_DRAWN;
use crate::fed::{aggregate, attack};
use crate::key::Bound::{Closed, Free, Open};
use crate::key::DefaultValue::{Computed, Empty, Int as Whole, Off, Real as Num, RealWith, Required, Text as Word};
use crate::key::ValueKind::{Channels, Choice, Choices, Clients, Flag, Int, OneOf, Range, Real, Text, Window};
use crate::key::{Key, U32};
use crate::metric::{BUILTIN, Filter, Layout, Metric, Order};

/// Default weight of the gradient penalty (Gulrajani et al. 2017).
pub const LAMBDA: f64 = 10.0;
/// Default passes over a client's images, if neither passes nor steps are given.
pub const LOCAL_EPOCHS: u32 = 1;

/// The keys of each section; rules of aggregation and attacks bring the rows of their options.
pub static SECTIONS: &[&[&[Key]]] = &[
    &[EXPERIMENT, MODEL, TRAIN, FEDERATION],
    aggregate::Rule::OPTIONS,
    &[PRE_AGGREGATION],
    aggregate::pre::Pre::OPTIONS,
    &[FEDERATION_REST],
    &[DATA, ATTACK],
    attack::OnImages::OPTIONS,
    attack::OnUpdate::OPTIONS,
    &[DETECTION, EVALUATION, CHECKPOINT],
];

const NAME: &str = "letters, digits, `-`, `_` or `.`, not starting with `.`";

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && !text.starts_with('.') && text.chars().all(plain)
}

const DEVICE: &str = "auto, gpu, gpu:N, cpu, reference or part of an adapter's name";

fn is_word(text: &str) -> bool {
    !text.trim().is_empty()
}

fn is_any(_: &str) -> bool {
    true
}

static EXPERIMENT: &[Key] = &[
    Key::new("name", Text(NAME, is_name), Word("default"), "name of the run directory"),
    Key::new("seed", Int(0, i64::MAX), Whole(1), "seed of weights, latent vectors, batch order and partition"),
    Key::new("rounds", Int(1, U32), Whole(60), "rounds of local training and aggregation"),
    Key::new("device", Text(DEVICE, is_word), Word("auto"), "device; `gpu:N` is a number of `fedgan devices`"),
];

static MODEL: &[Key] = &[
    Key::new("model.image_size", OneOf(&[16, 32, 64, 128, 256]), Whole(32), "height and width of the images")
        .unit("pixels"),
    Key::new("model.channels", OneOf(&[1, 3]), Whole(1), "colour channels: 1 is grey, 3 is RGB"),
    Key::new(
        "model.width",
        Int(1, 1024),
        Whole(16),
        "channels of the narrowest level; each further level doubles them",
    ),
    Key::new("model.latent", Int(1, 4096), Whole(64), "length of the latent vector, the generator's input"),
];

static TRAIN: &[Key] = &[
    Key::new("train.batch", Int(1, 4096), Whole(32), "images in a batch; a client needs at least as many")
        .unit("images"),
    Key::new(
        "train.loss",
        Choice(&["bce", "wgan-gp"]),
        Word("bce"),
        "binary cross entropy, or the Wasserstein loss with gradient penalty",
    ),
    Key::new(
        "train.norm",
        Choice(&["batch", "instance", "none"]),
        Computed("`batch` with the loss `bce`, `instance` with `wgan-gp`"),
        "normalisation of the discriminator; `wgan-gp` does not allow `batch`",
    ),
    Key::new(
        "train.n_critic",
        Int(1, 100),
        Whole(1),
        "critic steps for each generator step, each with its own batch; above 1 with `wgan-gp` only",
    ),
    Key::new(
        "train.lambda",
        Real(Closed(0.0), Free),
        RealWith(LAMBDA, "train.loss", "wgan-gp"),
        "weight of the gradient penalty; above 0 with `wgan-gp` only",
    ),
    Key::new(
        "train.interpolation",
        Choice(&["uniform", "normal"]),
        Word("uniform"),
        "`wgan-gp`: distribution of the weights between real and generated images, uniform in [0, 1) or standard normal as in \
         the attack's public code",
    ),
    Key::new("train.optimizer", Choice(&["adam", "rmsprop"]), Word("adam"), "optimizer of both networks"),
    Key::new("train.lr", Real(Open(0.0), Free), Num(2e-4), "learning rate"),
    Key::new("train.beta1", Real(Closed(0.0), Open(1.0)), Num(0.5), "Adam: decay of the first moment"),
    Key::new("train.beta2", Real(Closed(0.0), Open(1.0)), Num(0.999), "Adam: decay of the second moment"),
    Key::new("train.alpha", Real(Closed(0.0), Open(1.0)), Num(0.99), "RMSprop: decay of the mean square"),
    Key::new("train.eps", Real(Open(0.0), Free), Num(1e-8), "epsilon of the optimizer"),
    Key::new(
        "train.convolution",
        Choice(&["auto", "direct"]),
        Word("auto"),
        "form of the convolutions: Winograd's where the engine is faster with it, or the direct one everywhere",
    ),
    Key::new(
        "train.local_epochs",
        Int(1, U32),
        Whole(LOCAL_EPOCHS as i64),
        "passes over a client's images in each round; excludes `train.local_steps`",
    )
    .excludes("train.local_steps"),
    Key::new(
        "train.local_steps",
        Int(1, U32),
        Computed("`train.local_epochs` applies"),
        "steps of every client in each round; excludes `train.local_epochs`",
    )
    .excludes("train.local_epochs"),
];

const PARTITION: &str = "federation.partition.kind";

static FEDERATION: &[Key] = &[
    // Clients are a dimension of the dispatch grid, which is limited to this.
    Key::new("federation.clients", Int(1, 65535), Whole(4), "number of clients"),
    Key::new(
        PARTITION,
        Choice(&["iid", "shared", "dirichlet", "sites"]),
        Word("shared"),
        "distribution of the images over the clients: equal random shares, all images to every client, shares of each class \
         drawn from a Dirichlet distribution, or as the data say, by one folder for each client or the manifest's column \
         `client`; `partition = \"iid\"` is short for it",
    )
    .tag(),
    Key::new(
        "federation.partition.alpha",
        Real(Open(0.0), Free),
        Required,
        "concentration of the Dirichlet distribution; small values give uneven shares",
    )
    .of(PARTITION, &["dirichlet"]),
    Key::new(
        "federation.partition.minimum",
        Int(1, U32),
        Computed("`train.batch`, which is also the lower limit"),
        "fewest images of a client; shares are redrawn until every client has them",
    )
    .unit("images")
    .of(PARTITION, &["dirichlet"]),
    Key::new(
        "federation.shared",
        Choice(&["generator", "both"]),
        Word("generator"),
        "networks that clients share through the server: the generators, or the discriminators as well",
    )
    .was("federation.aggregate"),
    Key::new(
        "federation.weights",
        Choice(&["equal", "data"]),
        Word("equal"),
        "weights of the clients in the mean: equal, or in proportion to their images",
    ),
    Key::new(
        aggregate::RULE,
        Choice(aggregate::Rule::NAMES),
        Word("mean"),
        "how the server aggregates the clients' networks; `aggregation = \"mean\"` is short for it",
    )
    .tag(),
];

static PRE_AGGREGATION: &[Key] = &[
    Key::new(
        aggregate::pre::PRE,
        Choice(aggregate::pre::Pre::NAMES),
        Word("none"),
        "what the server does with the clients' networks before the rule combines them; `pre_aggregation = \"none\"` is short for it",
    )
    .tag(),
];

static FEDERATION_REST: &[Key] = &[
    Key::new(
        "federation.statistics",
        Choice(&["average", "pooled", "recompute"]),
        Word("average"),
        "running statistics of the aggregated batch norms: the clients' as the rule combines them, with variances of their pooled data, \
         or those of the generator measured by the server",
    ),
    Key::new(
        "federation.client_momentum",
        Real(Closed(0.0), Open(1.0)),
        Num(0.0),
        "decay b of the momentum m = b m + (1 - b) update that clients send in place of their updates, as `centred-clipping` assumes; 0: \
         they send the updates",
    ),
    Key::new(
        "federation.server_images",
        Int(0, U32),
        Whole(0),
        "training images that no client gets and the server trains on itself; only `fltrust` uses them, and needs at least a batch",
    )
    .unit("images"),
    Key::new(
        "federation.clients_per_launch",
        Int(1, U32),
        Computed("as many as memory allows"),
        "clients that are trained in the same launches",
    ),
    Key::new(
        "federation.nonfinite",
        Choice(&["stop", "drop", "record"]),
        Word("stop"),
        "response to non-finite values of a client: stop the run, leave the client out of the round and reset it, or only \
         record them",
    ),
];

const DATA_KIND: &str = "data.kind";

static DATA: &[Key] = &[
    Key::new(
        DATA_KIND,
        Choice(&["builtin", "folder", "manifest", "npz", "dermoscopy"]),
        Word("builtin"),
        "source of the images",
    )
    .tag(),
    Key::new(
        "data.path",
        Text("a path", is_any),
        Required,
        "the folder, the manifest or the `.npz` file; relative to the working directory",
    )
    .of(DATA_KIND, &["folder", "manifest", "npz"]),
    Key::new("data.skip_bad", Flag, Off, "leave out images that cannot be read (`--skip-bad`) instead of stopping")
        .of(DATA_KIND, &["folder", "manifest"]),
    Key::new("data.follow_links", Flag, Off, "follow symbolic links that lead outside the folder instead of stopping")
        .of(DATA_KIND, &["folder", "manifest"]),
    Key::new(
        "data.client_folders",
        Flag,
        Off,
        "one sub-folder for each client; the partition `sites` sets it",
    )
    .of(DATA_KIND, &["folder"]),
    Key::new(
        "data.window",
        Window,
        Computed("the whole range of the type"),
        "values that become black and white in images of more than 8 bits; `\"auto\"` takes the least and the greatest value \
         of the set",
    )
    .of(DATA_KIND, &["folder", "manifest", "npz"]),
    Key::new(
        "data.axis",
        Int(1, 3),
        Computed("`train_images` are images"),
        "axis of `train_images` along which volumes [n, d, h, w] are cut into slices",
    )
    .of(DATA_KIND, &["npz"]),
    Key::new("data.axis", Int(0, 2), Whole(2), "axis of NIfTI volumes along which they are cut into slices")
        .of(DATA_KIND, &["folder", "manifest"]),
    Key::new("data.n", Int(1, MOST_DRAWN as i64), Whole(1000), "number of images").of(DATA_KIND, &["dermoscopy"]),
    Key::new("data.seed", Int(0, i64::MAX), Whole(0), "seed of the images, independent of `seed`")
        .of(DATA_KIND, &["dermoscopy"]),
    Key::new(
        "data.held_out",
        Real(Closed(0.0), Open(1.0)),
        Num(0.1),
        "share of the images that no client trains on and metrics compare with: of each class, and of each client where \
         the data name them; whole patients where they are known; of the built-in set whole blocks of its series",
    ),
];

static ATTACK: &[Key] = &[
    Key::new(
        "attack.malicious",
        Clients,
        Empty,
        "the malicious clients: a number N is the first N, a list has ids from 0 or, with the partition `sites`, names; `[]` or 0 \
         is an honest run",
    ),
    Key::new(
        attack::image::IMAGE,
        Choice(attack::OnImages::NAMES),
        Word("patch"),
        "what malicious clients do to their real images; `image = \"sig\"` is short for it, and a table without it is of a patch",
    )
    .tag(),
    Key::new(
        "attack.fraction",
        Real(Closed(0.0), Closed(1.0)),
        Num(1.0),
        "share of a malicious client's images that carry the trigger",
    ),
    Key::new("attack.start_round", Int(0, U32), Whole(0), "first round of the attack, counted from 0; below `rounds`"),
    Key::new(
        "attack.report",
        Choice(&["true", "median"]),
        Word("true"),
        "losses that malicious clients report to the detector: their own, or the median of the honest clients' losses",
    ),
    Key::new(
        attack::UPDATE,
        Choice(attack::OnUpdate::NAMES),
        Word("none"),
        "what malicious clients do to the updates that they send; `update = \"none\"` is short for it",
    )
    .tag(),
];

const RULE: &str = "detection.kind";
const PUBLISHED: &str = "isolation-forest-published";
const CORRECTED: &str = "isolation-forest";

static DETECTION: &[Key] = &[
    Key::new(
        RULE,
        Choice(&["none", PUBLISHED, CORRECTED]),
        Word("none"),
        "rule that lowers the weights of suspicious clients; the published one needs at least 4 clients, the other one 3",
    )
    .tag(),
    Key::new(
        "detection.warmup",
        Int(0, U32),
        Whole(10),
        "last round without verdicts, counted from 0; below `rounds` - 1",
    )
    .of(RULE, &[PUBLISHED, CORRECTED]),
    Key::new(
        "detection.features",
        Choice(&["all", "server"]),
        Word("server"),
        "`server` uses what the server itself measures, `all` adds the reported generator loss",
    )
    .of(RULE, &[CORRECTED]),
    Key::new(
        "detection.memory",
        Real(Closed(1.0), Free),
        Num(8.0),
        "rounds over which evidence is averaged, with exponential weights",
    )
    .unit("rounds")
    .of(RULE, &[CORRECTED]),
    Key::new(
        "detection.margin",
        Real(Open(0.0), Free),
        Num(0.7),
        "evidence above which a client is suspicious; evidence is at most 2, with the feature `all` 2.3",
    )
    .of(RULE, &[CORRECTED]),
    Key::new("detection.patience", Int(1, U32), Whole(2), "suspicious rounds in a row until a client is flagged")
        .unit("rounds")
        .of(RULE, &[CORRECTED]),
    Key::new(
        "detection.decay",
        Real(Open(0.0), Open(1.0)),
        Num(0.9),
        "factor of a client's weight, to the power of its flags so far",
    )
    .of(RULE, &[PUBLISHED]),
    Key::new(
        "detection.decay",
        Real(Open(0.0), Open(1.0)),
        Num(0.3),
        "factor of a client's weight in each round in which it is flagged; its inverse in the others",
    )
    .of(RULE, &[CORRECTED]),
    Key::new(
        "detection.floor",
        Real(Open(0.0), Closed(1.0)),
        Num(0.25),
        "least weight of a client that is not flagged, as a share of its weight without detection",
    )
    .of(RULE, &[CORRECTED]),
];

static EVALUATION: &[Key] = &[
    Key::new(
        "evaluation.every",
        Int(0, U32),
        Whole(10),
        "rounds between evaluations and sample grids; 0: only at the start and the end",
    )
    .unit("rounds"),
    Key::new("evaluation.samples", Int(2, 65536), Whole(256), "generated images that metrics use").unit("images"),
    Key::new(
        "evaluation.metrics",
        Choices(&Metric::NAMES),
        Computed("`sliced-wasserstein`, and `leakage` where a client is malicious"),
        "metrics of evaluation rounds",
    ),
    Key::new(
        "evaluation.extractor",
        Text("a path, or \"lite0\"", is_word),
        Word(BUILTIN),
        "network whose features `kid`, `fd` and `prdc` compare: `lite0` is built in; the path of an ONNX file, relative to the \
         working directory, needs a program with the feature `onnx` (`docs/metrics.md`)",
    ),
    Key::new(
        "evaluation.extractor_range",
        Range,
        Computed("required with an ONNX file"),
        "ONNX file: inputs for black and white, before `evaluation.extractor_mean`: `[0, 1]`, `[-1, 1]` or `[0, 255]`, as the \
         network was trained",
    ),
    Key::new(
        "evaluation.extractor_mean",
        Channels(Free),
        Computed("`[0.0]`"),
        "ONNX file: subtracted from the inputs, for all channels or for each",
    ),
    Key::new(
        "evaluation.extractor_std",
        Channels(Open(0.0)),
        Computed("`[1.0]`"),
        "ONNX file: divisor of the inputs after that, for all channels or for each",
    ),
    Key::new(
        "evaluation.extractor_side",
        Int(1, 1024),
        Computed("the file's"),
        "ONNX file: height and width of the input, where the file leaves them open",
    )
    .unit("pixels"),
    Key::new(
        "evaluation.extractor_filter",
        Choice(&Filter::NAMES),
        Computed("`catmull-rom`"),
        "ONNX file: how images are resized to the input; `catmull-rom` is Pillow's `BICUBIC`",
    ),
    Key::new(
        "evaluation.extractor_layout",
        Choice(&Layout::NAMES),
        Computed("the file's; `nchw` where it leaves the channels open"),
        "ONNX file: order of the input's dimensions",
    ),
    Key::new("evaluation.extractor_order", Choice(&Order::NAMES), Computed("`rgb`"), "ONNX file: order of the colours"),
    Key::new(
        "evaluation.extractor_output",
        Text("a name", is_word),
        Computed("the file's only output"),
        "ONNX file: output with the features; a map of features is averaged over its positions",
    ),
    Key::new(
        "evaluation.extractor_is_fid",
        Flag,
        Computed("`false`"),
        "ONNX file: it is the Inception network of the FID with its 2048 features, so that the distance is called `fid`",
    ),
    Key::new("evaluation.grid", Int(1, 32), Whole(8), "rows and columns of a sample grid").unit("images"),
];

static CHECKPOINT: &[Key] = &[
    Key::new(
        "checkpoint.every",
        Int(0, U32),
        Whole(10),
        "rounds between checkpoints, from which `run --resume` continues; 0: only at the start and on an interrupt",
    )
    .unit("rounds"),
    Key::new("checkpoint.keep", Int(1, U32), Whole(2), "number of checkpoints that are kept, the latest ones"),
    Key::new(
        "checkpoint.last",
        Flag,
        Computed("`true` in `run`, `false` in `sweep`"),
        "keep the state of a finished run, so that `run --resume RUN --set rounds=N` trains it further",
    ),
];
