mod door;
mod fake;
mod gateway;
#[cfg(feature = "web")]
mod glance;
#[cfg(feature = "web")]
mod pages;
#[cfg(feature = "web")]
mod plans;
mod real;
mod router;
#[cfg(feature = "web")]
mod weight;
