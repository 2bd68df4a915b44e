//! The load client's crate, as cargo knows it.

use std::path::PathBuf;

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::exit::Failure;

/// The load client's crate.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) metadata: Metadata,
    pub(crate) package: Package,
    /// The binary that is the client.
    pub(crate) bin: String,
}

impl Project {
    /// Finds the crate of this name; without a name the one that is here, or the only one that depends on loadkit.
    pub(crate) fn find(name: Option<&str>) -> Result<Project, Failure> {
        let metadata = MetadataCommand::new().exec().map_err(|error| {
            Failure::wrong_use(format!("cargo does not know the crate: {error}"))
                .mended_by("run it in the load client's folder; `cargo loadkit new NAME` makes one")
        })?;
        let package = find(&metadata, name)?.clone();
        let bins: Vec<&str> =
            package.targets.iter().filter(|target| target.is_bin()).map(|target| target.name.as_str()).collect();
        let own =
            package.default_run.as_deref().or_else(|| bins.iter().copied().find(|bin| *bin == package.name.as_str()));
        let bin = match (own, &bins[..]) {
            (Some(bin), _) => bin.to_owned(),
            (None, [bin]) => (*bin).to_owned(),
            (None, []) => {
                return Err(Failure::wrong_use(format!("{} has no binary: a load client is one", package.name)));
            }
            (None, several) => {
                let all = several.join(", ");
                return Err(Failure::wrong_use(format!("which binary of {} is the client: {all}?", package.name))
                    .mended_by("write default-run = \"NAME\" into its Cargo.toml"));
            }
        };
        Ok(Project { package, bin, metadata })
    }

    /// Which of these homes the crate has a feature for.
    pub(crate) fn features<'a>(&self, homes: impl IntoIterator<Item = &'a str>) -> Result<Vec<&'a str>, Failure> {
        let missing = |home: &str| {
            Failure::wrong_use(format!(
                "{} has no feature {home:?}, with which it would be built for that home",
                self.package.name
            ))
            .mended_by(format!("write into its Cargo.toml under [features]: {home} = [\"loadkit/{home}\"]"))
        };
        let homes = homes.into_iter().map(|home| match self.package.features.contains_key(home) {
            true => Ok(home),
            false => Err(missing(home)),
        });
        homes.collect()
    }

    /// Where packages go by default.
    pub(crate) fn out(&self) -> PathBuf {
        self.metadata.target_directory.as_std_path().join("loadkit")
    }
}

fn find<'a>(metadata: &'a Metadata, name: Option<&str>) -> Result<&'a Package, Failure> {
    let members = metadata.workspace_packages();
    if let Some(name) = name {
        let found = members.iter().find(|package| package.name.as_str() == name);
        return found.copied().ok_or_else(|| {
            let all: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
            Failure::wrong_use(format!("the workspace has no crate {name:?}; there are {}", all.join(", ")))
        });
    }
    if let Some(package) = metadata.root_package() {
        return Ok(package);
    }
    let is_client = |package: &&&Package| package.dependencies.iter().any(|dependency| dependency.name == "loadkit");
    let clients: Vec<&&Package> = members.iter().filter(is_client).collect();
    match clients[..] {
        [client] => Ok(client),
        _ => Err(Failure::wrong_use(format!(
            "which crate is the load client? {} of the workspace depend on loadkit",
            clients.len()
        ))
        .mended_by("name it: --set package=NAME, or in loadkit.toml")),
    }
}
