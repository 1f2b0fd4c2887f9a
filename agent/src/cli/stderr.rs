//! Messages for people, on standard error.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Prints a message and a line's end. Where nobody reads standard error, there is nobody to tell.
pub(super) fn say(message: Arguments<'_>) {
    let _nobody = writeln!(io::stderr().lock(), "{message}");
}
