//! Every input that a fuzzer found worth keeping, and some that chance makes, at every target.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its corpus has failed")]

use std::path::PathBuf;
use std::{fs, io};

use loadkit_fuzz::{TARGETS, Target, target};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[test]
fn the_corpus_passes() {
    for (name, target) in TARGETS {
        let files = match fs::read_dir(corpus().join(name)) {
            Ok(files) => files,
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            Err(why) => panic!("the corpus of {name}: {why}"),
        };
        for file in files {
            let path = file.unwrap().path();
            // Shown if the test fails: the last one is the one.
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
        }
    }
}

#[test]
fn chance_passes() {
    for (name, target) in TARGETS {
        println!("{name}");
        by_chance(*target);
    }
}

fn by_chance(target: Target) {
    // Half of it text, or parsers of text would see none.
    let bytes = prop_oneof![prop::collection::vec(any::<u8>(), 0..400), ".{0,60}".prop_map(String::into_bytes)];
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) });
    runner
        .run(&bytes, |bytes| {
            target(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_folder_of_the_corpus_has_its_target() {
    for folder in fs::read_dir(corpus()).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(target(&name).is_some(), "fuzz/corpus/{name} is nobody's corpus");
    }
}

#[test]
fn names_are_sorted_and_unique() {
    assert!(TARGETS.is_sorted_by(|a, b| a.0 < b.0));
}
