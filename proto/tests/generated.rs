//! The generated code is what the `.proto` files generate.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Set it to write the generated code, instead of comparing it.
const UPDATE: &str = "UPSPAN_PROTO_UPDATE";

const FILES: [&str; 2] = ["upspan/recording/v1/recording.proto", "upspan/v1/observer.proto"];

/// What gRPC reflection shows of the API.
const DESCRIPTOR: &str = "upspan.v1.binpb";

fn in_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a directory holds, by the names of its files.
fn read(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(directory).unwrap().map(|file| {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        (name, std::fs::read(file.path()).unwrap())
    });
    files.collect()
}

fn generate(directory: &Path) {
    let files = protox::compile(FILES, [in_crate("proto")]).unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(directory)
        .compile_fds(files)
        .unwrap();
    let api = protox::Compiler::new([in_crate("proto")])
        .unwrap()
        .include_imports(true)
        .open_file(FILES[1])
        .unwrap()
        .encode_file_descriptor_set();
    std::fs::write(directory.join(DESCRIPTOR), api).unwrap();
}

#[test]
fn the_generated_code_is_up_to_date() {
    let checked_in = in_crate("src/generated");
    if std::env::var_os(UPDATE).is_some() {
        return generate(&checked_in);
    }
    let fresh = tempfile::tempdir().unwrap();
    generate(fresh.path());
    assert!(
        read(fresh.path()) == read(&checked_in),
        "src/generated is not what proto/ generates: run `{UPDATE}=1 cargo test -p upspan-proto`, \
         and commit what it writes"
    );
}
