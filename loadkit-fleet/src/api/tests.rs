mod fake;
mod gateway;
mod router;
