mod door;
mod fake;
mod gateway;
#[cfg(feature = "web")]
mod pages;
#[cfg(feature = "web")]
mod plans;
mod real;
mod router;
