//! Builds the BPF programs (the crate `upspan-ebpf`) for the feature `live`.
//!
//! Their target has no prebuilt `core`, so that they need a compiler with the standard library's
//! sources beside it, and a linker for BPF. Neither needs to be the toolchain of everything else.

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const MISSING_COMPILER: &str = "no Rust compiler with the standard library's sources was found for \
     the BPF programs: run scripts/setup-live, or `rustup component add rust-src`, or on Debian \
     `apt-get install rustc-web rust-web-src`; or build with --no-default-features, without live \
     capture";
const MISSING_LINKER: &str = "bpf-linker was not found: run scripts/setup-live, or `cargo install \
     bpf-linker --version 0.10.4 --locked`; or build with --no-default-features, without live \
     capture";

fn main() -> ExitCode {
    for file in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed=../ebpf/{file}");
    }
    for variable in ["UPSPAN_BPF_RUSTC", "PATH", "CARGO_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let is_wanted = env::var_os("CARGO_FEATURE_LIVE").is_some()
        && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if !is_wanted {
        return ExitCode::SUCCESS;
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let compiler = Compiler::find().ok_or(MISSING_COMPILER)?;
    let linker = find_linker().ok_or(MISSING_LINKER)?;
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{arch}\""),
        // Atomic operations that return a value; kernels know them since 5.12.
        "-Ctarget-cpu=v3",
        &format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf",
    ];
    let target_dir = out.join("bpf");
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo
        .args(["build", "--quiet", "--locked", "--release", "-Zbuild-std=core"])
        .args(["--manifest-path", "../ebpf/Cargo.toml"])
        .args(["--bin", "upspan-ebpf", "--features", "bpf", "--target", target])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTC", &compiler.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        // For the BTF that the verifier's messages quote.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2");
    // Those of the build around, as of clippy, do not know this compiler.
    for variable in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET"]
    {
        cargo.env_remove(variable);
    }
    if let Some(folder) = compiler.llvm_for_linker(&out)? {
        let rest = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let folders = [folder].into_iter().chain(env::split_paths(&rest));
        cargo.env("LD_LIBRARY_PATH", env::join_paths(folders)?);
    }
    let built = cargo.output()?;
    if !built.status.success() {
        let text = String::from_utf8_lossy(&built.stderr);
        for line in text.lines() {
            println!("cargo::warning={line}");
        }
        return Err(format!(
            "the BPF programs could not be built with {} and {}; see the lines above",
            compiler.rustc.display(),
            linker.display()
        )
        .into());
    }
    fs::copy(target_dir.join(target).join("release/upspan-ebpf"), out.join("upspan-ebpf"))?;
    Ok(())
}

/// A Rust compiler that has the sources of `core`.
struct Compiler {
    rustc: PathBuf,
    sysroot: PathBuf,
}

impl Compiler {
    /// The one that is asked for, else the one of this build, rustup's nightly, or the system's.
    fn find() -> Option<Self> {
        if let Some(rustc) = env::var_os("UPSPAN_BPF_RUSTC") {
            return Self::with_sources(rustc.into());
        }
        let nightly =
            output(Command::new("rustup").args(["which", "rustc", "--toolchain", "nightly"]));
        let candidates = [env::var("RUSTC").ok(), nightly, Some("/usr/bin/rustc".to_owned())];
        candidates.into_iter().flatten().find_map(|rustc| Self::with_sources(rustc.into()))
    }

    fn with_sources(rustc: PathBuf) -> Option<Self> {
        let sysroot = PathBuf::from(output(Command::new(&rustc).args(["--print", "sysroot"]))?);
        let sources = sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml");
        sources.exists().then_some(Self { rustc, sysroot })
    }

    /// A folder with the compiler's LLVM by the name that bpf-linker looks for: both must be of one
    /// version. `None` if there is none apart from the compiler.
    fn llvm_for_linker(&self, out: &Path) -> Result<Option<PathBuf>, Box<dyn Error>> {
        let version = output(Command::new(&self.rustc).arg("-vV")).unwrap_or_default();
        let major = version
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next())
            .ok_or("rustc -vV does not name its LLVM")?;
        let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
        let folders =
            [self.sysroot.join("lib"), self.sysroot.join(format!("lib/{arch}-linux-gnu"))];
        let library =
            folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().find_map(
                |entry| {
                    let path = entry.ok()?.path();
                    let name = path.file_name()?.to_str()?;
                    let is_it = name.starts_with(&format!("libLLVM.so.{major}."))
                        || name.starts_with(&format!("libLLVM-{major}"))
                        || name.starts_with(&format!("libLLVM.{major}"));
                    is_it.then(|| path.clone())
                },
            );
        let Some(library) = library else { return Ok(None) };
        let folder = out.join("llvm");
        fs::create_dir_all(&folder)?;
        let link = folder.join("libLLVM.so");
        if fs::read_link(&link).ok().as_ref() != Some(&library) {
            let _absent = fs::remove_file(&link);
            symlink(&library, &link)?;
        }
        Ok(Some(folder))
    }
}

/// bpf-linker, on the path or where cargo installs to.
fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    env::split_paths(&path)
        .chain(home.map(|home| home.join("bin")))
        .map(|folder| folder.join("bpf-linker"))
        .find(|linker| linker.is_file())
}

/// What a command prints; `None` if it fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
