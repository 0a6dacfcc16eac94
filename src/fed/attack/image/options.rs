//! Rows of options that several attacks have.

use super::IMAGE;
use crate::key::Bound::Closed;
use crate::key::DefaultValue::{Computed, Text as Word};
use crate::key::ValueKind::{Choice, Int, Real, Text};
use crate::key::{DefaultValue, Key, U32};

const PICTURE: &str = "attack.image.picture";
const PATTERN: &str = "attack.image.pattern";

fn is_any(_: &str) -> bool {
    true
}

pub(super) const fn picture(of: &'static [&'static str], doc: &'static str) -> Key {
    let default = Computed("`attack.image.pattern` applies");
    Key::new(PICTURE, Text("a path", is_any), default, doc).excludes(PATTERN).of(IMAGE, of)
}

pub(super) const fn pattern(of: &'static [&'static str], doc: &'static str) -> Key {
    Key::new(PATTERN, Choice(&["checker", "cross", "square"]), Word("checker"), doc).excludes(PICTURE).of(IMAGE, of)
}

pub(super) const fn margin(of: &'static [&'static str]) -> Key {
    Key::new(
        "attack.image.margin",
        Int(0, U32),
        Computed("5 at 256 pixels, in proportion at other sizes, at least 1"),
        "distance of the trigger from the edges of the image",
    )
    .unit("pixels")
    .of(IMAGE, of)
}

pub(super) const fn place(of: &'static [&'static str]) -> Key {
    Key::new(
        "attack.image.place",
        Choice(&["bottom-right", "bottom-left", "top-left", "top-right", "centre"]),
        Word("bottom-right"),
        "place of the trigger; `attack.image.margin` does not apply to `centre`",
    )
    .of(IMAGE, of)
}

pub(super) const fn opacity(of: &'static [&'static str]) -> Key {
    let doc = "opacity of the trigger: 1 replaces pixels, less blends";
    Key::new("attack.image.opacity", Real(Closed(0.0), Closed(1.0)), DefaultValue::Real(1.0), doc).of(IMAGE, of)
}

pub(super) const fn alpha(of: &'static [&'static str], default: f64, doc: &'static str) -> Key {
    Key::new("attack.image.alpha", Real(Closed(0.0), Closed(1.0)), DefaultValue::Real(default), doc).of(IMAGE, of)
}
