//! The dashboard in a real browser.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod doors;
mod evening;
mod gallery;
mod pages;
mod stage;
mod whole;
