//! The only typeface of the pictures, compiled in: a picture must not depend on the fonts of the machine.

use plotters::style::{FontFamily, FontStyle, register_font};
use std::sync::OnceLock;

use crate::{Error, Result};

/// The name the typeface is registered under.
const NAME: &str = "fedgan-sans";

/// Registers the typeface (once per process) and returns its family.
pub(super) fn family() -> Result<FontFamily<'static>> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered =
        *REGISTERED.get_or_init(|| register_font(NAME, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok());
    if registered { Ok(FontFamily::Name(NAME)) } else { Err(Error::internal("the built-in font could not be read")) }
}
