//! What fuzzers start from, and what they have found: each input is refused or taken, and none panics.

use std::{fs, panic::catch_unwind, path::Path};

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = folder.join("fuzz/corpus").join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let each = files.map(|file| {
        let path = file.unwrap().path();
        (path.display().to_string(), fs::read(&path).unwrap())
    });
    each.collect()
}

#[test]
fn no_input_of_the_corpus_panics() {
    let mut wrong = Vec::new();
    for (name, target) in hostile::TARGETS {
        let corpus = corpus(name);
        assert!(corpus.len() >= 4, "{name} has {} inputs to start from", corpus.len());
        for (file, data) in corpus {
            // Cut off, with a byte changed, and twice: what is near an input is as hostile.
            let mut near = vec![data.clone(), data[..data.len() / 2].to_vec(), data.repeat(2)];
            near.extend((0..data.len().min(24)).map(|at| {
                let mut changed = data.clone();
                changed[at * data.len() / 24.min(data.len())] ^= 0x81;
                changed
            }));
            for (at, data) in near.iter().enumerate() {
                if catch_unwind(|| target(data)).is_err() {
                    wrong.push(format!("{name}: {file}, {at}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
