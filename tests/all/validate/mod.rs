//! What `fedgan validate` must accept and must refuse.

mod draft;
mod golden;
mod malformed;
mod odd;
mod verb;
