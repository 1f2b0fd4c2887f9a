//! The settings of `upspan run`, from its flags, environment variables and a file.
//!
//! All have the same names, those of the flags. What variables and the file say becomes arguments
//! of the command line, where that does not say it itself: so one parser reads all of them.

mod yaml;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use upspan::export::ConfigError;

use yaml::Entry;

/// Variable that names the file, unless `--config` does.
const CONFIG_VARIABLE: &str = "UPSPAN_CONFIG";

/// Flags that are no settings.
const NO_SETTINGS: [&str; 3] = ["config", "check", "help"];

/// Longest file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Settings for which OpenTelemetry defines variables; others have `UPSPAN_…`.
const OF_OPENTELEMETRY: [(&str, &[&str]); 13] = [
    ("endpoint", &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    ("header", &["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]),
    ("compression", &["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]),
    ("export-timeout", &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    (
        "ca-certificate",
        &["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
    ),
    (
        "client-certificate",
        &["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
    ),
    ("client-key", &["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"]),
    ("insecure", &["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"]),
    ("batch-spans", &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]),
    ("batch-delay", &["OTEL_BSP_SCHEDULE_DELAY"]),
    ("queue-spans", &["OTEL_BSP_MAX_QUEUE_SIZE"]),
    ("retry-max-elapsed", &["OTEL_BSP_EXPORT_TIMEOUT"]),
    ("sample", &["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"]),
];

/// Where a setting comes from, if not from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Variable(String),
    Line { file: PathBuf, line: usize },
}

/// A setting, as messages name it.
struct Named<'a>(&'a Origin, &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Origin::Variable(name) => f.write_str(name),
            Origin::Line { file, line } => write!(f, "{}:{line}: {}", file.display(), self.1),
        }
    }
}

/// What variables and the file add to the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    arguments: Vec<OsString>,
    origins: Vec<(String, Origin)>,
}

impl Settings {
    /// Reads variables and the file, for what `given` leaves open of the flags of `command`.
    ///
    /// # Errors
    ///
    /// The file cannot be read; or something in it, or a variable, cannot be used. The text names
    /// it, and says what can.
    pub(super) fn gather(
        command: &Command,
        given: &ArgMatches,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let named = given.get_one::<PathBuf>("config").cloned();
        let path = named.or_else(|| variable(CONFIG_VARIABLE).map(PathBuf::from));
        let entries = path.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let path = path.unwrap_or_default();
        if let Some(unknown) = entries.iter().find(|entry| find(command, &entry.key).is_none()) {
            return Err(unknown_key(command, &path, unknown));
        }
        let mut settings = Self::default();
        for arg in command.get_arguments() {
            let Some(key) = key_of(arg) else { continue };
            let is_given =
                given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
            if is_given || of_opentelemetry(key).iter().any(|name| variable(name).is_some()) {
                continue;
            }
            let own = own_variable(key);
            let from_variable = own.as_deref().and_then(&variable).filter(|value| !is_link(value));
            let (values, origin) = match (own, from_variable) {
                (Some(name), Some(value)) => (split(arg, &value), Origin::Variable(name)),
                _ => match entries.iter().find(|entry| entry.key == key) {
                    Some(Entry { values, line, .. }) => {
                        (values.clone(), Origin::Line { file: path.clone(), line: *line })
                    }
                    None => continue,
                },
            };
            settings.add(arg, key, values, origin)?;
        }
        Ok(settings)
    }

    /// Checks and adds one setting.
    fn add(
        &mut self,
        arg: &Arg,
        key: &str,
        values: Vec<String>,
        origin: Origin,
    ) -> anyhow::Result<()> {
        let named = Named(&origin, key);
        if values.len() > 1 && !matches!(arg.get_action(), ArgAction::Append) {
            bail!("{named}: give one value, not a list");
        }
        for value in values {
            if let ArgAction::SetTrue = arg.get_action() {
                match &*value.to_ascii_lowercase() {
                    "true" => self.arguments.push(format!("--{key}").into()),
                    "false" => {}
                    _ => bail!("{named}: '{value}' is neither true nor false"),
                }
                continue;
            }
            let argument = OsString::from(format!("--{key}={value}"));
            let parser = Command::new("").no_binary_name(true).arg(arg.clone());
            if let Err(error) = parser.try_get_matches_from([&argument]) {
                bail!("{named}: {}", explain(&error, arg, &value));
            }
            self.arguments.push(argument);
        }
        self.origins.push((key.to_owned(), origin));
        Ok(())
    }

    /// What to append to the command line.
    pub(super) fn arguments(&self) -> impl Iterator<Item = OsString> + '_ {
        self.arguments.iter().cloned()
    }

    /// The error of a setting of the export, under the name that the setting came by.
    pub(super) fn name(&self, error: ConfigError) -> anyhow::Error {
        let flag = error.flag().unwrap_or_default();
        match self.origins.iter().find(|(key, _)| key == flag) {
            Some((key, origin)) => anyhow!("{}: {}", Named(origin, key), error.invalid()),
            None => error.into(),
        }
    }
}

/// The key of a flag that is a setting.
fn key_of(arg: &Arg) -> Option<&str> {
    arg.get_long().filter(|long| !NO_SETTINGS.contains(long))
}

fn find<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| key_of(arg) == Some(key))
}

fn of_opentelemetry(key: &str) -> &'static [&'static str] {
    OF_OPENTELEMETRY.iter().find(|(known, _)| *known == key).map_or(&[], |(_, names)| names)
}

/// The variable of a setting for which OpenTelemetry defines none.
fn own_variable(key: &str) -> Option<String> {
    let name = || format!("UPSPAN_{}", key.to_ascii_uppercase().replace('-', "_"));
    of_opentelemetry(key).is_empty().then(name)
}

/// Whether Kubernetes has set this variable: `UPSPAN_PORT`, for example, in every container of a
/// namespace that has a service named upspan.
fn is_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// A variable's values: where a flag may be repeated, with commas between them.
fn split(arg: &Arg, value: &str) -> Vec<String> {
    match arg.get_action() {
        ArgAction::Append => value.split(',').map(|value| value.trim().to_owned()).collect(),
        _ => vec![value.trim().to_owned()],
    }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let cannot_read = || format!("cannot read the configuration {}", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(cannot_read)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).with_context(cannot_read)?;
    if text.len() as u64 > MAX_FILE {
        bail!("{} has more than {MAX_FILE} bytes: it is no configuration", path.display());
    }
    yaml::read(&text).map_err(|fault| anyhow!("{}:{fault}", path.display()))
}

fn unknown_key(command: &Command, path: &Path, entry: &Entry) -> anyhow::Error {
    let Entry { key, line, .. } = entry;
    let wanted = key.replace(['-', '_'], "").to_ascii_lowercase();
    let is_near = |known: &&str| {
        let known = known.replace('-', "");
        known == wanted || known.strip_suffix('s').unwrap_or(&known) == wanted.trim_end_matches('s')
    };
    let near = command.get_arguments().filter_map(key_of).find(is_near);
    let instead = match near {
        Some(known) => format!("write {known}"),
        None => {
            "upspan run --help lists the flags, whose long names without -- are the keys".into()
        }
    };
    anyhow!("{}:{line}: there is no setting {key}: {instead}", path.display())
}

/// What clap says of a value, without what it says of the flag.
fn explain(error: &clap::Error, arg: &Arg, value: &str) -> String {
    let allowed: Vec<PossibleValue> = arg.get_possible_values();
    match (error.kind(), error.source()) {
        (ErrorKind::InvalidValue, _) if !allowed.is_empty() => {
            let names: Vec<_> = allowed.iter().map(PossibleValue::get_name).collect();
            format!("'{value}' is not possible; give one of: {}", names.join(", "))
        }
        (ErrorKind::InvalidValue, _) => "it must not be empty".to_owned(),
        (_, Some(_)) if arg.get_value_names().is_some_and(|names| names == ["DURATION"]) => {
            format!("'{value}' is no duration; give a number with its unit, such as 500ms or 10s")
        }
        (_, Some(why)) => format!("'{value}' cannot be used: {why}"),
        (kind, None) => format!("'{value}' cannot be used: {kind}"),
    }
}

#[cfg(test)]
mod tests;
