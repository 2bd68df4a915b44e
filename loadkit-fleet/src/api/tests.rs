mod door;
mod fake;
mod gateway;
#[cfg(feature = "web")]
mod glance;
#[cfg(feature = "web")]
mod pages;
mod real;
mod router;
#[cfg(feature = "web")]
mod weight;
