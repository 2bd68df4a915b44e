//! The stub server: `cargo run --bin {{name}}-server [ADDRESS]`. It plays until Ctrl-C.

use std::error::Error;

use loadkit::transport::Listener;
use {{ident}}::stub;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:{{port}}".to_owned());
    let listener = Listener::bind_tcp(address.parse()?).await?;
    println!("the stub server listens on {}", listener.local_addr()?);
    Ok(stub::serve(listener).await?)
}
