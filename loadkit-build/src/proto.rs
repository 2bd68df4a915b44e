//! The compiler, as a `build.rs` calls it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::describe::Description;
use crate::error::Error;
use crate::schema::Schema;
use crate::{fingerprint, generate};

/// `loadkit/options.proto`, for compilers of other languages.
pub const OPTIONS_PROTO: &str = include_str!("../proto/loadkit/options.proto");
/// `loadkit/generics.proto`, for compilers of other languages.
pub const GENERICS_PROTO: &str = include_str!("../proto/loadkit/generics.proto");

const SHIPPED: [(&str, &str); 2] =
    [("loadkit/options.proto", OPTIONS_PROTO), ("loadkit/generics.proto", GENERICS_PROTO)];

/// Compiles a game's schema: `Proto::new().include("proto").compile(&["arena.proto"])`.
#[derive(Clone, Debug)]
pub struct Proto {
    includes: Vec<PathBuf>,
    runtime: String,
    out_dir: Option<PathBuf>,
    descriptors: Option<PathBuf>,
}

impl Default for Proto {
    fn default() -> Proto {
        Proto::new()
    }
}

impl Proto {
    /// Generates code that finds its runtime in `::loadkit::transport`, into `OUT_DIR`.
    pub fn new() -> Proto {
        Proto { includes: Vec::new(), runtime: "::loadkit::transport".to_owned(), out_dir: None, descriptors: None }
    }

    /// Looks for files in this folder, too.
    pub fn include(mut self, folder: impl Into<PathBuf>) -> Proto {
        self.includes.push(folder.into());
        self
    }

    /// Where the generated code finds what is `::loadkit::transport` by default: a path without it at the end, for
    /// crates that have `loadkit-transport` and not `loadkit`.
    pub fn runtime(mut self, path: impl Into<String>) -> Proto {
        self.runtime = path.into();
        self
    }

    /// Writes into this folder instead of `OUT_DIR`.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Proto {
        self.out_dir = Some(folder.into());
        self
    }

    /// Writes the schema, imports included, as a `google.protobuf.FileDescriptorSet` to a file of this name, beside the
    /// generated code. From it other languages read the same messages without a compiler.
    pub fn descriptor_set(mut self, name: impl Into<PathBuf>) -> Proto {
        self.descriptors = Some(name.into());
        self
    }

    /// Generates the code. `files` are relative to one of the folders.
    ///
    /// # Errors
    /// All faults of the schema that can be told at once, each with the file and the line.
    pub fn compile<P: AsRef<Path>>(&self, files: &[P]) -> Result<(), Error> {
        for folder in &self.includes {
            println!("cargo::rerun-if-changed={}", folder.display());
        }
        let out_dir = self.out_dir.clone().or_else(|| env::var_os("OUT_DIR").map(PathBuf::from));
        let out_dir = out_dir.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "there is no OUT_DIR: this runs in a build.rs, or with `out_dir`")
        })?;
        let Opened { mut compiler, pool, root } = self.open(files)?;
        let schema = Schema::read(&pool)?;
        for (name, code) in generate::generate(&schema, &pool, root.as_deref(), &self.runtime)? {
            write_if_changed(&out_dir.join(name), code.as_bytes())?;
        }
        println!("cargo::rustc-env=LOADKIT_PROTOCOL={}", fingerprint::of(&pool));
        if let Some(name) = &self.descriptors {
            compiler.include_source_info(false);
            write_if_changed(&out_dir.join(name), &compiler.encode_file_descriptor_set())?;
        }
        Ok(())
    }

    /// What the schema has. It writes nothing.
    ///
    /// # Errors
    /// As [`Proto::compile`].
    pub fn describe<P: AsRef<Path>>(&self, files: &[P]) -> Result<Description, Error> {
        let Opened { pool, root, .. } = self.open(files)?;
        Ok(Description::of(&Schema::read(&pool)?, &pool, root.as_deref()))
    }

    /// The schema's fingerprint, 16 hexadecimal digits: the same for schemas that say the same on the wire, wherever their
    /// files are and whatever else stands in them. A crate whose `build.rs` calls [`Proto::compile`] has it as
    /// `env!("LOADKIT_PROTOCOL")`: its server can tell it at log-in, and the bot hand it to loadkit's `Cx::protocols`, so
    /// that the report says when the two differ.
    ///
    /// # Errors
    /// As [`Proto::compile`].
    pub fn fingerprint<P: AsRef<Path>>(&self, files: &[P]) -> Result<String, Error> {
        self.open(files).map(|opened| fingerprint::of(&opened.pool))
    }

    fn open<P: AsRef<Path>>(&self, files: &[P]) -> Result<Opened, Error> {
        let mut compiler = Compiler::with_file_resolver(self.resolver());
        compiler.include_imports(true).include_source_info(true);
        for (name, _) in SHIPPED {
            compiler.open_file(name)?;
        }
        compiler.open_files(files)?;
        let root = files.first().map(|file| file.as_ref().to_string_lossy().replace('\\', "/"));
        // Options of one's own survive in the encoded form only.
        let encoded = compiler.encode_file_descriptor_set();
        let pool = DescriptorPool::decode(encoded.as_slice()).map_err(|error| Error::Generated(error.to_string()))?;
        Ok(Opened { compiler, pool, root })
    }

    fn resolver(&self) -> ChainFileResolver {
        let mut resolver = ChainFileResolver::new();
        for folder in &self.includes {
            resolver.add(IncludeFileResolver::new(folder.clone()));
        }
        resolver.add(GoogleFileResolver::new());
        resolver.add(Shipped);
        resolver
    }
}

/// A schema, read.
struct Opened {
    compiler: Compiler,
    pool: DescriptorPool,
    /// The first file.
    root: Option<String>,
}

/// The files that come with this crate. A game's own of the same name goes first.
struct Shipped;

impl FileResolver for Shipped {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let (name, source) = shipped.ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, source)
    }
}

/// What is not touched is not compiled again.
fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    fs::write(path, bytes)
}
