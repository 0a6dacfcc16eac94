//! Inputs that `fedgan validate` must accept or reject.

mod draft;
mod golden;
mod malformed;
mod odd;
mod verb;
