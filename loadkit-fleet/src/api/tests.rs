mod door;
mod fake;
mod gateway;
mod real;
mod router;
