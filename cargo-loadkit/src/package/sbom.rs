//! What the binary is made of, as a software bill of materials: CycloneDX 1.5 in JSON, of what cargo links into it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use serde_json::{Value, json};

use super::image::moment;
use super::project::Project;
use crate::exit::Failure;

/// The bill.
#[derive(Debug)]
pub(super) struct Sbom {
    pub(super) json: Value,
    /// Crates that are linked in, the client's own aside.
    pub(super) crates: usize,
}

impl Sbom {
    /// Of the client as it is built with these features for this target.
    pub(super) fn of(
        project: &Project,
        features: &[&str],
        triple: &str,
        time: u64,
        sha256: &str,
    ) -> Result<Sbom, Failure> {
        let mut command = MetadataCommand::new();
        command.manifest_path(&project.package.manifest_path);
        command.other_options(["--filter-platform".to_owned(), triple.to_owned()]);
        command.features(cargo_metadata::CargoOpt::SomeFeatures(
            features.iter().map(|feature| (*feature).to_owned()).collect(),
        ));
        let metadata =
            command.exec().map_err(|error| Failure::missing(format!("cargo tells no dependencies: {error}")))?;
        let built = built(project, features, triple)?;
        let linked = linked(&metadata, &project.package.id, &built);
        let root = &project.package;
        let packages: BTreeMap<&PackageId, &Package> = metadata
            .packages
            .iter()
            .filter(|package| linked.contains_key(&package.id))
            .map(|package| (&package.id, package))
            .collect();
        let reference = |id: &PackageId| packages.get(id).map(|package| purl(package)).unwrap_or_default();
        let mut components: Vec<Value> = packages
            .values()
            .filter(|package| package.id != root.id)
            .map(|package| component(package, "library"))
            .collect();
        components.sort_by_key(|component| component["bom-ref"].to_string());
        let mut dependencies: Vec<Value> = linked
            .iter()
            .map(|(id, on)| {
                let on: BTreeSet<String> = on.iter().map(&reference).collect();
                json!({ "ref": reference(id), "dependsOn": on })
            })
            .collect();
        dependencies.sort_by_key(|one| one["ref"].to_string());
        let mut own = component(root, "application");
        own["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
        let crates = components.len();
        let json = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": moment(time),
                "tools": { "components": [{ "type": "application", "name": "cargo-loadkit", "version": env!("CARGO_PKG_VERSION") }] },
                "component": own,
            },
            "components": components,
            "dependencies": dependencies,
        });
        Ok(Sbom { json, crates })
    }
}

/// What is built for the client alone, as `name vVERSION`. cargo's metadata are of the whole workspace, whose other members may
/// ask for more features of the same crates.
fn built(project: &Project, features: &[&str], triple: &str) -> Result<BTreeSet<String>, Failure> {
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "--package", &project.package.id.repr, "--features", &features.join(","), "--target", triple])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"])
        .current_dir(&project.metadata.workspace_root);
    let untold = |why: &dyn std::fmt::Display| Failure::missing(format!("cargo tells no dependencies: {why}"));
    let output = tree.output().map_err(|error| untold(&error))?;
    if !output.status.success() {
        return Err(untold(&String::from_utf8_lossy(&output.stderr)));
    }
    let two = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(two).collect())
}

/// What is linked in, and on what each crate depends for it: dependencies of build scripts and tests are not in the binary,
/// and procedural macros neither.
fn linked(metadata: &Metadata, root: &PackageId, built: &BTreeSet<String>) -> BTreeMap<PackageId, Vec<PackageId>> {
    let nodes: BTreeMap<&PackageId, _> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| (&node.id, node)).collect();
    let is_built = |package: &&Package| built.contains(&format!("{} v{}", package.name, package.version));
    let built: BTreeSet<&PackageId> = metadata.packages.iter().filter(is_built).map(|package| &package.id).collect();
    let mut linked = BTreeMap::new();
    let mut next = vec![root.clone()];
    while let Some(id) = next.pop() {
        let Some(node) = nodes.get(&id).filter(|_| !linked.contains_key(&id)) else { continue };
        let on = node.deps.iter().filter(|dep| {
            built.contains(&dep.pkg) && dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        });
        let on: Vec<PackageId> = on.map(|dep| dep.pkg.clone()).collect();
        next.extend(on.iter().cloned());
        linked.insert(id, on);
    }
    linked
}

/// A package's URL, as other tools know crates.
fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn component(package: &Package, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": package.name,
        "version": package.version.to_string(),
        "purl": purl(package),
    });
    if let Some(licence) = &package.license {
        // An expression must be SPDX; old crates write a slash for `OR`.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ").replace("  ", " ") }]);
    }
    component
}
