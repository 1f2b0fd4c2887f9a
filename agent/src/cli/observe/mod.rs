//! `upspan observe`: a client of an upspan that runs.

mod selection;
mod tui;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anyhow::{Context, bail};
use clap::ValueEnum;
use tokio::runtime::Runtime;
use tonic::Streaming;
use upspan::api::client::{Client, ClientError, ClientOptions};
use upspan::api::view::{self, Table};
use upspan_proto::v1;
use upspan_proto::v1::get_upcalls_response::Response;

use self::selection::SelectionArgs;
use super::Outcome;
use super::session;
use super::stderr::say;
use super::stdout::{self, CANNOT_WRITE};

/// Variable that names the server, unless `--server` does.
const SERVER_VARIABLE: &str = "UPSPAN_SERVER";

/// Columns of lines that go to a file or another program.
const WIDTH_OF_NO_TERMINAL: usize = 160;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// How to print upcalls
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Show rates, latencies, ports, threads and the slowest upcalls, all live, in the terminal
    #[arg(long, conflicts_with_all = ["format", "last", "since", "until", "follow", "fields"])]
    tui: bool,

    #[command(flatten)]
    selection: SelectionArgs,

    #[command(flatten)]
    server: ClientOptions,
}

/// How upcalls are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each.
    #[default]
    Table,
    /// Where the time of each went.
    Waterfall,
    /// A JSON object for each, on a line of its own.
    Json,
    /// Lines `key: value`, and an empty line behind each.
    Dict,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let request = args.selection.request()?;
    let mut server = args.server.clone();
    if server.server.is_none()
        && let Some(url) = session::variable(SERVER_VARIABLE).filter(|url| !url.trim().is_empty())
    {
        server.server = Some(url.trim().parse().context(SERVER_VARIABLE)?);
    }
    if args.tui && !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        bail!("--tui needs a terminal: for files and pipes, there is --format");
    }
    let runtime = Runtime::new()?;
    let client = runtime.block_on(server.connect())?;
    if args.tui {
        return tui::run(&runtime, client, request.filter.unwrap_or_default());
    }
    runtime.block_on(print(args.format, client, request))
}

/// Prints until the stream ends, or somebody has enough.
async fn print(
    format: Format,
    mut client: Client,
    request: v1::GetUpcallsRequest,
) -> anyhow::Result<Outcome> {
    let mut interrupts = session::Interrupts::listen()?;
    let mut upcalls = client.get_upcalls(request).await.map_err(ClientError::from)?.into_inner();
    let mut printer = Printer::new(format);
    printer.begin()?;
    let interrupted = loop {
        tokio::select! {
            response = next(&mut upcalls) => match response? {
                Some(response) => printer.print(&response)?,
                None => break false,
            },
            () = interrupts.next() => break true,
        }
    };
    printer.flush()?;
    Ok(if interrupted { Outcome::Interrupted } else { Outcome::Done })
}

async fn next(
    upcalls: &mut Streaming<v1::GetUpcallsResponse>,
) -> Result<Option<Response>, ClientError> {
    loop {
        match upcalls.message().await? {
            Some(v1::GetUpcallsResponse { response: Some(response) }) => return Ok(Some(response)),
            // Of a kind that this version does not know.
            Some(v1::GetUpcallsResponse { response: None }) => {}
            None => return Ok(None),
        }
    }
}

/// Prints what comes.
struct Printer {
    format: Format,
    width: usize,
    out: BufWriter<StdoutLock<'static>>,
}

impl Printer {
    fn new(format: Format) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let width = if is_terminal { stdout::width() } else { WIDTH_OF_NO_TERMINAL };
        // Whoever watches wants to see it at once: the buffer is for the pieces of one upcall.
        Self { format, width, out: BufWriter::new(io::stdout().lock()) }
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        if self.format == Format::Table {
            let heading = Table::new(self.width).heading();
            writeln!(self.out, "{heading}").context(CANNOT_WRITE)?;
        }
        self.flush()
    }

    fn print(&mut self, response: &Response) -> anyhow::Result<()> {
        match (self.format, response) {
            (Format::Json, _) => writeln!(self.out, "{}", view::json(response)?),
            (_, Response::Lost(lost)) => {
                self.flush()?;
                say(format_args!("upspan: {}", view::lost(lost)));
                Ok(())
            }
            (Format::Table, Response::Upcall(upcall)) => {
                writeln!(self.out, "{}", Table::new(self.width).line(upcall))
            }
            (Format::Waterfall, Response::Upcall(upcall)) => {
                writeln!(self.out, "{}\n", view::waterfall(upcall, self.width.min(120)))
            }
            (Format::Dict, Response::Upcall(upcall)) => {
                writeln!(self.out, "{}", view::dict(upcall))
            }
        }
        .context(CANNOT_WRITE)?;
        self.flush()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush().context(CANNOT_WRITE)
    }
}
