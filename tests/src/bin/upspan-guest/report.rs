//! What was checked, a line each, as it is known.

use std::fmt::{Debug, Display, Write as _};
use std::fs;
use std::path::PathBuf;

/// Prints checks and counts them.
#[derive(Debug)]
pub(crate) struct Report {
    out: PathBuf,
    scenario: &'static str,
    passed: usize,
    failed: usize,
}

impl Report {
    /// Nothing was checked yet. What is too long to be printed goes into files in `out`.
    pub(crate) const fn new(out: PathBuf) -> Self {
        Self { out, scenario: "", passed: 0, failed: 0 }
    }

    /// The checks to come are of this scenario.
    pub(crate) fn begin(&mut self, scenario: &'static str) {
        self.scenario = scenario;
    }

    /// Something that must hold.
    pub(crate) fn check(&mut self, name: &str, holds: bool, detail: impl Display) {
        let scenario = self.scenario;
        if holds {
            self.passed += 1;
            println!("ok {scenario}/{name}: {detail}");
        } else {
            self.failed += 1;
            println!("FAILED {scenario}/{name}: {detail}");
        }
    }

    /// Something that must be this.
    pub(crate) fn equal<T: PartialEq + Debug>(&mut self, name: &str, found: T, expected: T) {
        if found == expected {
            self.check(name, true, format_args!("{found:?}"));
        } else {
            self.check(name, false, format_args!("{found:?} instead of {expected:?}"));
        }
    }

    /// There must be none; otherwise the first ones are shown, and all of them written to a file.
    pub(crate) fn none<T: Display>(&mut self, name: &str, of: usize, faults: &[T]) {
        const SHOWN: usize = 4;
        self.check(name, faults.is_empty(), format_args!("{} of {of}", of - faults.len().min(of)));
        for fault in faults.iter().take(SHOWN) {
            self.say(fault);
        }
        if faults.len() > SHOWN {
            let file = format!("{}-{}.txt", self.scenario, name.replace(' ', "-"));
            let text = faults.iter().fold(String::new(), |mut text, fault| {
                let _ = writeln!(text, "{fault}");
                text
            });
            if let Err(error) = fs::write(self.out.join(&file), text) {
                self.say(format_args!("cannot write {file}: {error}"));
            }
        }
    }

    /// Something worth knowing.
    pub(crate) fn say(&self, what: impl Display) {
        println!("   {}: {what}", self.scenario);
    }

    /// Prints the end. Whether everything has passed.
    pub(crate) fn finish(self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}
