//! The load client: `{{name}} run plan.toml`, `{{name}} --help`.

loadkit::main!({{ident}}::{{scenario}});
