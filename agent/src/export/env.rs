//! The OTEL_* environment variables, as the specification reads them.

use std::time::Duration;

use super::error::{ConfigError, Invalid};

/// Looks up environment variables; injected, so that the configuration is a function of its input.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

/// A setting that is there, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    /// The variable or flag, for error messages.
    pub(crate) origin: String,
    pub(crate) value: T,
}

impl<T> Setting<T> {
    pub(crate) fn new(origin: impl Into<String>, value: T) -> Self {
        Self { origin: origin.into(), value }
    }

    /// Converts the value; a failure names the origin.
    pub(crate) fn parse<U>(
        self,
        parse: impl FnOnce(T) -> Result<U, Invalid>,
    ) -> Result<Setting<U>, ConfigError> {
        match parse(self.value) {
            Ok(value) => Ok(Setting { origin: self.origin, value }),
            Err(invalid) => Err(ConfigError::new(self.origin, invalid)),
        }
    }
}

impl Env<'_> {
    /// A variable. An empty value is the same as none
    /// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
    pub(crate) fn get(self, name: &str) -> Option<Setting<String>> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| Setting::new(name, value.to_owned()))
    }

    /// A variable of the OTLP exporter: the one for traces goes above the one for all signals.
    pub(crate) fn otlp(self, name: &str) -> Option<Setting<String>> {
        self.get(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }
}

/// True is "true" in any case; everything else is false, says the specification.
pub(crate) fn boolean(setting: &Setting<String>) -> bool {
    setting.value.eq_ignore_ascii_case("true")
}

/// A number of things.
pub(crate) fn number(text: String) -> Result<usize, Invalid> {
    text.parse().map_err(|_| Invalid::Number(text))
}

/// Whole milliseconds.
pub(crate) fn millis(text: String) -> Result<Duration, Invalid> {
    match text.parse() {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => Err(Invalid::Millis(text)),
    }
}
