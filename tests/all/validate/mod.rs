//! Inputs that `fedgan validate` must accept or reject.

mod draft;
mod golden;
mod images;
mod malformed;
mod odd;
mod verb;
