//! `cargo xtask fuzz`: libFuzzer on stable Rust, one process a target.
//!
//! The coverage instrumentation is LLVM's own pass, which rustc passes through; a nightly compiler is not needed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::process;

/// LLVM's SanitizerCoverage as libFuzzer wants it: edges, with counters, and what is compared with what.
/// (<https://clang.llvm.org/docs/SanitizerCoverage.html>)
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// What an input may cost. Its heap is bounded by the binary itself.
const LIMITS: &[&str] = &["-rss_limit_mb=2048", "-timeout=10", "-max_len=4096", "-print_final_stats=1"];

/// What a target may keep in `fuzz/corpus`: files, and bytes in all.
const KEPT: (usize, u64) = (200, 100 * 1024);

const BUILT: &str = "target/fuzz";
const SCRATCH: &str = "target/fuzz/corpus";
const CORPUS: &str = "fuzz/corpus";
const FINDINGS: &str = "fuzz/findings";

/// What the command line says.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    seconds: u32,
    jobs: usize,
    keep: bool,
    names: Vec<String>,
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Result<Options, String> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut options = Options { seconds: 60, jobs: cores, keep: false, names: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--seconds" => options.seconds = number(word, words.next())?,
                "--jobs" => options.jobs = number(word, words.next())? as usize,
                "--keep" => options.keep = true,
                flag if flag.starts_with('-') => return Err(format!("`fuzz` has no option `{flag}`")),
                name => options.names.push(name.to_string()),
            }
        }
        Ok(options)
    }
}

fn number(option: &str, value: Option<&&str>) -> Result<u32, String> {
    let value = value.ok_or_else(|| format!("`{option}` wants a number"))?;
    let parsed = value.parse().ok().filter(|n| *n > 0);
    parsed.ok_or_else(|| format!("`{option}` wants a number from 1 on, and got `{value}`"))
}

/// Whether nothing was found.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let binary = build()?;
    let names = choose(&binary, &options.names)?;
    let queue = Mutex::new(names.iter());
    let clean = AtomicBool::new(true);
    // A panic elsewhere is no reason to stop here.
    let next = || queue.lock().unwrap_or_else(|poison| poison.into_inner()).next();
    thread::scope(|scope| {
        for _ in 0..options.jobs.min(names.len()) {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let line = fuzz(&binary, name, options).unwrap_or_else(|why| Line { text: why, clean: false });
                    clean.fetch_and(line.clean, Ordering::Relaxed);
                    println!("{name:<24} {}", line.text);
                }
            });
        }
    });
    Ok(clean.into_inner())
}

/// Builds the binary and says where it is. Naming the target keeps the flags away from build scripts and macros.
fn build() -> Result<PathBuf, String> {
    let version = process::output(process::command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not name its host")?;
    let mut cargo = process::cargo(&["build", "--quiet", "--package", "loadkit-fuzz", "--features", "libfuzzer"]);
    cargo.args(["--bin", "fuzz", "--profile", "fuzz", "--target-dir", BUILT, "--target", host]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"));
    process::run(&mut cargo).map_err(|why| format!("the fuzz targets could not be built: {why}"))?;
    Ok(process::root().join(BUILT).join(host).join("fuzz/fuzz"))
}

fn choose(binary: &Path, wanted: &[String]) -> Result<Vec<String>, String> {
    let list = process::output(process::command(binary).env("LOADKIT_FUZZ_TARGET", "list"))?;
    let all: Vec<String> = list.lines().map(str::to_string).collect();
    match wanted.iter().find(|name| !all.contains(name)) {
        Some(name) => Err(format!("there is no target `{name}`; there are {}", all.join(", "))),
        None if wanted.is_empty() => Ok(all),
        None => Ok(wanted.to_vec()),
    }
}

struct Line {
    text: String,
    clean: bool,
}

/// Runs one target to the end of its time or to its first finding.
fn fuzz(binary: &Path, name: &str, options: &Options) -> Result<Line, String> {
    let root = process::root();
    let (scratch, corpus) = (root.join(SCRATCH).join(name), root.join(CORPUS).join(name));
    let findings = root.join(FINDINGS).join(name);
    for folder in [&scratch, &findings] {
        fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    }
    let log = root.join(BUILT).join(format!("{name}.log"));
    let before = files(&findings);
    let mut command = process::command(binary);
    command.env("LOADKIT_FUZZ_TARGET", name).args(LIMITS);
    command.arg(format!("-max_total_time={}", options.seconds));
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    command.arg(&scratch).args(corpus.is_dir().then_some(&corpus));
    let file = File::create(&log).map_err(|why| format!("{}: {why}", log.display()))?;
    let status = command.stdout(Stdio::null()).stderr(file).status().map_err(|why| format!("not started: {why}"))?;
    let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let executions = executions(&text).map_or("unknown".to_string(), thousands);

    let new: Vec<PathBuf> = files(&findings).into_iter().filter(|path| !before.contains(path)).collect();
    // libFuzzer gives a finding the same name again when it finds the same bytes.
    let count = new.len().max(usize::from(!status.success()));
    let mut line = format!("{executions} executions, {count} finding{}", if count == 1 { "" } else { "s" });
    if count > 0 {
        line += &format!("; what it said is in {}", shown(&log));
        for path in &new {
            line += &format!("\n    LOADKIT_FUZZ_TARGET={name} {} {}", shown(binary), shown(path));
        }
    } else if options.keep {
        line += &keep(binary, name, &scratch, &corpus)?;
    }
    // An empty folder says that there was something.
    let _ = fs::remove_dir(&findings);
    Ok(Line { text: line, clean: count == 0 })
}

/// Brings the smallest inputs that reach all that is reached into the corpus. Files that people named stay.
fn keep(binary: &Path, name: &str, scratch: &Path, corpus: &Path) -> Result<String, String> {
    let said = |path: &Path, why: std::io::Error| format!("{}: {why}", path.display());
    let merged = process::root().join(BUILT).join("merged").join(name);
    let _ = fs::remove_dir_all(&merged);
    for folder in [&merged, corpus] {
        fs::create_dir_all(folder).map_err(|why| said(folder, why))?;
    }
    let mut merge = process::command(binary);
    merge.env("LOADKIT_FUZZ_TARGET", name).args(LIMITS).arg("-set_cover_merge=1").arg(&merged).arg(corpus).arg(scratch);
    process::output(&mut merge).map_err(|why| format!("the corpus could not be minimised: {why}"))?;

    let mut kept: Vec<(u64, PathBuf)> =
        files(&merged).into_iter().map(|path| (fs::metadata(&path).map_or(0, |meta| meta.len()), path)).collect();
    kept.sort();
    let mut bytes = 0;
    kept.retain(|(len, _)| {
        bytes += len;
        bytes <= KEPT.1
    });
    kept.truncate(KEPT.0);
    for old in files(corpus).iter().filter(|path| is_hash(path)) {
        fs::remove_file(old).map_err(|why| said(old, why))?;
    }
    for (_, path) in &kept {
        let to = corpus.join(path.file_name().unwrap_or_default());
        fs::copy(path, &to).map_err(|why| said(&to, why))?;
    }
    Ok(format!(", {} inputs kept", kept.len()))
}

/// libFuzzer names inputs by their SHA-1.
fn is_hash(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// As one types it in the root of the repository.
fn shown(path: &Path) -> String {
    path.strip_prefix(process::root()).unwrap_or(path).display().to_string()
}

fn executions(log: &str) -> Option<u64> {
    let stat = log.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    stat.trim().parse().ok()
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_options() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let options = |seconds, jobs, keep, names: &[&str]| {
            Ok(Options { seconds, jobs, keep, names: names.iter().map(|name| name.to_string()).collect() })
        };
        assert_eq!(Options::parse(&[]), options(60, cores, false, &[]));
        assert_eq!(
            Options::parse(&["a", "--seconds", "5", "--keep", "--jobs", "3", "b"]),
            options(5, 3, true, &["a", "b"])
        );
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--jobs", "x"], &["--jobs", "-1"], &["--fast"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn executions_are_in_the_last_lines() {
        let log = "#2 INITED\nstat::number_of_executed_units: 1234567\nstat::peak_rss_mb:              62\n";
        assert_eq!(executions(log).map(thousands).as_deref(), Some("1,234,567"));
        assert_eq!(executions("ERROR"), None);
        assert_eq!([0, 999, 1_000, 12_345].map(thousands), ["0", "999", "1,000", "12,345"]);
    }

    #[test]
    fn named_inputs_stay_and_hashes_are_libfuzzers() {
        assert!(is_hash(Path::new("a/a28f1e275d5e01bfc943a19a27a5312f2451787a")));
        assert!(!is_hash(Path::new("a/a-stale-ack")));
    }
}
