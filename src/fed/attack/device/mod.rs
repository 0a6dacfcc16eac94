//! What attacks compute on the device. Rows stay there; the host reads a few scalars per client. The order of every sum depends on
//! the numbers of clients and coordinates only.

mod along;
mod craft;
mod factors;
mod last;
mod moments;
mod noise;
mod top;

pub(super) use along::Along;
pub(super) use craft::{Copies, Craft};
pub(super) use factors::Factors;
pub(super) use last::Last;
pub(super) use moments::{Moments, record_sign};
pub(super) use noise::{Noise, Terms};
pub(super) use top::Top;
