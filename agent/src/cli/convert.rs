//! `upspan convert`: a recording in another format.

use std::path::PathBuf;

use anyhow::bail;
use upspan::source::input::Input;
use upspan::source::recording::{Header, Item};

use super::Outcome::{self, Done};
use super::output::{FormatArgs, Output};
use super::progress::Bar;
use super::recording::{ReadArgs, is_same_file};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recording in either format, also as .gz or .zst; - reads standard input
    #[arg(value_name = "IN")]
    input: Input,

    /// File to write, or to overwrite; - writes standard output
    #[arg(value_name = "OUT")]
    output: PathBuf,

    #[command(flatten)]
    format: FormatArgs,

    /// No progress bar
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    recording: ReadArgs,
}

/// How often progress is shown.
const ITEMS_PER_LOOK: u32 = 1024;

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Args { input, output, format, quiet, recording: read } = args;
    if is_same_file(input, output) {
        bail!("{input} is the recording itself: name another file to write");
    }
    let mut recording = read.open(input)?;
    // What is no recording, or cannot be read at all, overwrites nothing.
    let mut out = match recording.next_item()? {
        Some(Item::Header(header)) => Output::create(output, *format, header)?,
        Some(item) => {
            let mut out = Output::create(output, *format, &Header::default())?;
            out.write(|writer| writer.item(item))?;
            out
        }
        None => {
            read.review(&recording, input)?;
            return Output::create(output, *format, &Header::default())?.finish().map(|()| Done);
        }
    };
    let bar = Bar::new("converting", *quiet);
    for items in 0_u32.. {
        let Some(item) = recording.next_item()? else { break };
        out.write(|writer| writer.item(item))?;
        if items.is_multiple_of(ITEMS_PER_LOOK) {
            bar.show(recording.progress());
        }
    }
    drop(bar);
    out.finish()?;
    read.review(&recording, input)?;
    Ok(Done)
}
