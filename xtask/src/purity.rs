//! `loadkit-core` knows no sockets and no cloud: proved from `cargo tree`, with every feature of the core on. And a bot crate
//! knows no cloud unless it asks for one.

use crate::process;

/// Crates that open sockets, or that speak TLS, HTTP or to a cloud. A name that ends in `*` is a prefix.
const DENIED: &[&str] = &[
    // Sockets and system calls.
    "async-io async-net async-std hickory-* interprocess io-uring mio nix polling rustix smol socket2 tokio-uring",
    // TLS.
    "aws-lc-* boring* native-tls openssl* ring rustls* s2n-* schannel tokio-native-tls tokio-rustls",
    // HTTP, WebSocket, QUIC.
    "actix-* axum* curl* h2 h3 http http-body* httparse hyper* isahc quinn* reqwest tokio-tungstenite tonic*",
    "tower-http tungstenite ureq warp",
    // The cloud.
    "aws-* azure_* google-cloud-* lambda_http lambda_runtime* rusoto_*",
    // Our own crates, which stand above the core.
    "cargo-loadkit loadkit loadkit-*",
];

/// Features that bring a socket into a crate that the core may otherwise use.
const DENIED_FEATURES: &[(&str, &str)] = &[("tokio", "net"), ("tokio", "process")];

pub(crate) fn run() -> Result<(), String> {
    let args = ["tree", "--package", "loadkit-core", "--all-features", "--edges", "normal,features"];
    let tree = process::output(process::cargo(&args).args(["--prefix", "depth", "--format", "{p}"]))?;
    let faults = faults(&tree);
    if faults.is_empty() {
        println!("loadkit-core is pure: none of its {} crates knows a socket or a cloud", crates(&tree));
        return Ok(());
    }
    Err(format!(
        "loadkit-core must know no socket, TLS, HTTP or AWS crate; give it a trait that an outer crate implements:\n{}",
        faults.iter().map(|way| format!("    {way}")).collect::<Vec<_>>().join("\n"),
    ))
}

/// Crates of a cloud, and of ours those that speak to one.
const CLOUD: &[&str] = &["aws-*", "loadkit-aws", "loadkit-http", "loadkit-runner-*", "loadkit-worker", "loadkit-fleet"];

/// A bot crate that runs on local threads only compiles nothing of a cloud: proved by the arena, as it is by default.
pub(crate) fn local() -> Result<(), String> {
    let args = ["tree", "--package", "arena", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let tree = process::output(&mut process::cargo(&args))?;
    let found = of_a_cloud(&tree)?;
    if found.is_empty() {
        println!("arena is local: none of its crates knows a cloud");
        return Ok(());
    }
    Err(format!("a bot crate with local threads only must compile no crate of a cloud, and has {}", found.join(", ")))
}

/// The crates of a cloud in what `cargo tree --prefix none` prints for the arena.
fn of_a_cloud(tree: &str) -> Result<Vec<&str>, String> {
    if !tree.starts_with("arena v") {
        return Err("the text is not a dependency tree of arena: has `cargo tree` changed its format?".into());
    }
    let is_cloud = |name: &str| {
        CLOUD.iter().any(|denied| match denied.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *denied,
        })
    };
    let mut found: Vec<&str> = tree.lines().map(name).filter(|name| is_cloud(name)).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The way from the core to each crate or feature that it must not have, as `a > b > c`.
///
/// `tree` is what `cargo tree --prefix depth` prints: each line is the depth and then, without a space, a package
/// (`tokio v1.54.0`) or a feature of one (`tokio feature "net"`). A tree that is not of the core is a fault too, so
/// that a change of the format cannot pass for purity.
fn faults(tree: &str) -> Vec<String> {
    let mut way: Vec<&str> = Vec::new();
    let mut known = Vec::new();
    let mut faults = Vec::new();
    for (depth, node) in nodes(tree) {
        way.truncate(depth);
        way.push(node);
        // Once is enough for a crate; what it brings along goes when it goes.
        let Some(reason) = denied(node).filter(|reason| depth > 0 && !known.contains(reason)) else {
            continue;
        };
        if !way[..way.len() - 1].iter().skip(1).any(|above| denied(above).is_some()) {
            known.push(reason);
            let steps: Vec<&str> = way.iter().map(|node| node.split(" v").next().unwrap_or(node)).collect();
            faults.push(steps.join(" > "));
        }
    }
    if way.first().is_none_or(|first| name(first) != "loadkit-core") {
        faults.push("the text is not a dependency tree of loadkit-core: has `cargo tree` changed its format?".into());
    }
    faults
}

fn nodes(tree: &str) -> impl Iterator<Item = (usize, &str)> {
    tree.lines().filter_map(|line| {
        let node = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let depth = line[..line.len() - node.len()].parse().ok()?;
        Some((depth, node.trim_end_matches(" (*)")))
    })
}

/// The crate for which the node must not be there, or the feature.
fn denied(node: &str) -> Option<&str> {
    let name = name(node);
    let by_name = DENIED.iter().flat_map(|names| names.split(' ')).any(|denied| match denied.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix) && name != "loadkit-core",
        None => name == denied,
    });
    let by_feature = DENIED_FEATURES.iter().any(|(owner, feature)| node == format!("{owner} feature \"{feature}\""));
    if by_name { Some(name) } else { by_feature.then_some(node) }
}

fn name(node: &str) -> &str {
    node.split_whitespace().next().unwrap_or_default()
}

fn crates(tree: &str) -> usize {
    let mut names: Vec<&str> = nodes(tree).map(|(_, node)| name(node)).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
0loadkit-core v0.1.0 (here/loadkit-core)
1rand feature \"std\"
2rand v0.10.0
1tokio feature \"rt\"
2tokio v1.54.0
3pin-project-lite v0.2.16
1tokio feature \"time\"
2tokio v1.54.0 (*)
";

    #[test]
    fn a_pure_tree_passes() {
        assert_eq!(faults(GOOD), Vec::<String>::new());
        assert_eq!(crates(GOOD), 4);
    }

    #[test]
    fn a_socket_deep_in_the_tree_is_found_with_the_way_to_it() {
        let tree = format!("{GOOD}1tokio feature \"sync\"\n2tokio v1.54.0\n3mio v1.0.4\n4libc v0.2.180\n");
        assert_eq!(faults(&tree), ["loadkit-core > tokio feature \"sync\" > tokio > mio"]);
    }

    #[test]
    fn the_net_feature_of_tokio_is_found() {
        let tree = format!("{GOOD}1tokio feature \"net\"\n2tokio v1.54.0 (*)\n");
        assert_eq!(faults(&tree), ["loadkit-core > tokio feature \"net\""]);
    }

    #[test]
    fn a_crate_is_named_once_and_what_it_brings_along_is_not() {
        let tree = format!("{GOOD}1hyper v1.0.0\n2h2 v0.4.0\n1hyper feature \"client\"\n2hyper v1.0.0 (*)\n");
        assert_eq!(faults(&tree), ["loadkit-core > hyper"]);
    }

    #[test]
    fn families_of_crates_are_found() {
        for name in ["aws-sdk-sqs", "aws-lc-rs", "hyper-util", "rustls-pki-types", "loadkit-transport", "quinn-udp"] {
            let tree = format!("{GOOD}1{name} v1.0.0\n");
            assert_eq!(faults(&tree), [format!("loadkit-core > {name}")], "{name}");
        }
    }

    #[test]
    fn names_that_only_resemble_are_not_found() {
        let tree = format!("{GOOD}1annotate-snippets v0.12.0\n1ringbuf v0.4.0\n1bytes v1.0.0\n");
        assert_eq!(faults(&tree), Vec::<String>::new());
    }

    #[test]
    fn a_cloud_in_the_arena_is_found() {
        let tree = "arena v0.1.0 (here)\nloadkit v0.1.0 (here)\ntokio v1.54.0\n";
        assert_eq!(of_a_cloud(tree), Ok(Vec::new()));
        let tree = format!("{tree}aws-sigv4 v1.0.0\nloadkit-runner-lambda v0.1.0\naws-sigv4 v1.0.0 (*)\n");
        assert_eq!(of_a_cloud(&tree), Ok(vec!["aws-sigv4", "loadkit-runner-lambda"]));
        assert!(of_a_cloud("").is_err());
    }

    #[test]
    fn a_text_that_is_no_tree_of_the_core_is_a_fault() {
        assert_eq!(faults("").len(), 1);
        assert_eq!(faults("0loadkit v0.1.0\n1loadkit-core v0.1.0\n").len(), 2 - 1);
    }
}
