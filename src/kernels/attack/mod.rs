//! What a malicious client does on the device.
pub mod paste_trigger;
pub mod scale_update;
