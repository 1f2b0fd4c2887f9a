//! The recordings of a real Open vSwitch in `tests/fixtures`, and what is known of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

/// The recordings without losses.
pub const RECORDINGS: [&str; 5] = ["tiny-56", "small-335", "medium-10686", "mix-4319", "pvp-10k"];

/// Ordinals of an upcall's events, by their names.
pub type Set = BTreeMap<String, u64>;

/// The path of a file in `tests/fixtures`.
#[must_use]
pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file)
}

/// The decompressed bytes of one.
///
/// # Panics
/// If there is no such file.
#[must_use]
pub fn read(file: &str) -> Vec<u8> {
    let compressed = std::fs::read(path(&format!("{file}.zst"))).expect("the fixture exists");
    zstd::decode_all(&compressed[..]).expect("the fixture is whole")
}

/// One that is JSON: `NAME.truth` has what really happened, `NAME.golden` what the reference found.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn json(name: &str) -> Value {
    serde_json::from_slice(&read(&format!("{name}.json"))).expect("the fixture is JSON")
}

/// The upcalls in such a file, in the order of their `recv_upcall`s.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn sets(json: &Value) -> Vec<Set> {
    let set = |set: &Value| {
        let events = set.as_object().expect("a set is an object");
        let ordinal = |(kind, ordinal): (&String, &Value)| Some((kind.clone(), ordinal.as_u64()?));
        events.iter().filter_map(ordinal).collect()
    };
    let mut sets: Vec<Set> = json["sets"].as_array().expect("sets").iter().map(set).collect();
    sets.sort_by_key(|set| set["recv_upcall"]);
    sets
}
