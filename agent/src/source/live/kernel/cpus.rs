//! How far the numbers of processors go.

use std::fs;
use std::io;

/// Those that can ever be there, such as `0-3` or `0,4-7`.
const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// One more than the highest number of a processor: `nr_cpu_ids` of the kernel. There may be fewer
/// processors, as numbers can be left out.
///
/// # Errors
///
/// The kernel does not say.
pub fn number_limit() -> io::Result<u32> {
    let text = fs::read_to_string(POSSIBLE)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("{POSSIBLE} has {text:?}")))
}

fn parse(possible: &str) -> Option<u32> {
    possible.trim_end().rsplit([',', '-']).next()?.parse::<u32>().ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_the_highest() {
        for (text, limit) in [("0\n", 1), ("0-127\n", 128), ("0,2-3,64\n", 65)] {
            assert_eq!(parse(text), Some(limit), "{text:?}");
        }
        for wrong in ["", "\n", "0-", "all", "4294967295"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert!(number_limit().expect("there is a sysfs") > 0);
    }
}
