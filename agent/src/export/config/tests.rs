use std::collections::HashMap;
use std::io::Write;

use super::*;

fn resolve(
    options: &ExportOptions,
    env: &[(&str, &str)],
) -> Result<Option<ExportConfig>, ConfigError> {
    let env: HashMap<_, _> = env.iter().copied().collect();
    ExportConfig::resolve(options, &|name| env.get(name).map(|value| (*value).to_owned()))
}

fn config(env: &[(&str, &str)]) -> ExportConfig {
    resolve(&ExportOptions::default(), env).unwrap().unwrap()
}

fn error(env: &[(&str, &str)]) -> String {
    resolve(&ExportOptions::default(), env).unwrap_err().to_string()
}

#[test]
fn nothing_set_is_the_specifications_default() {
    let config = config(&[]);
    assert_eq!(config.endpoint().to_string(), "http://localhost:4317/");
    assert_eq!(config.compression(), Compression::None);
    assert_eq!(config.timeout(), Duration::from_secs(10));
    assert_eq!(config.batch(), BatchLimits::default());
    assert!(config.headers().is_empty() && config.tls().is_none());
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let config = config(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", " "),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", ""),
    ]);
    assert_eq!(config.endpoint().host(), Some("general"));
    assert_eq!(config.timeout(), ExportConfig::DEFAULT_TIMEOUT);
}

#[test]
fn every_variable_is_read() {
    let config = config(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "h:1"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "5000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "500"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30000"),
    ]);
    assert_eq!(config.endpoint().to_string(), "http://h:1/");
    assert_eq!(config.headers().get("a").unwrap(), "1");
    assert_eq!(config.timeout(), Duration::from_millis(250));
    assert_eq!(config.compression(), Compression::Zstd);
    assert_eq!(config.max_queue_spans(), 5000);
    assert_eq!(config.batch().max_spans(), 500);
    assert_eq!(config.batch().max_delay(), Duration::from_millis(100));
    assert_eq!(config.retry().max_elapsed(), Duration::from_secs(30));
}

#[test]
fn traces_go_above_all_signals_and_flags_above_both() {
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=env,b=env"),
    ];
    let traces = config(&env);
    assert_eq!(traces.endpoint().host(), Some("traces"));
    assert_eq!(traces.compression(), Compression::Gzip);

    let options = ExportOptions {
        endpoint: Some("http://flag:1".to_owned()),
        compression: Some(Compression::None),
        headers: vec!["b=flag".to_owned()],
        ..ExportOptions::default()
    };
    let flags = resolve(&options, &env).unwrap().unwrap();
    assert_eq!(flags.endpoint().host(), Some("flag"));
    assert_eq!(flags.compression(), Compression::None);
    assert_eq!(flags.headers().get("a").unwrap(), "env");
    assert_eq!(flags.headers().get("b").unwrap(), "flag");
}

#[test]
fn errors_name_the_setting_and_say_what_to_do() {
    let cases = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "set it to grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h:4318/v1/traces", "have no path"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "no whole number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "more than zero"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "snappy", "use none, gzip or zstd"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "entry 1 is not of the form key=value"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "no whole number"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "more than zero"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "more than zero"),
    ];
    for (name, value, expected) in cases {
        let error = error(&[(name, value)]);
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_batch_is_never_larger_than_the_queue() {
    let config = config(&[("OTEL_BSP_MAX_QUEUE_SIZE", "100")]);
    assert_eq!(config.batch().max_spans(), 100);
}

#[test]
fn disabled_is_disabled_unless_a_flag_insists() {
    let env = [("OTEL_SDK_DISABLED", "True")];
    assert!(resolve(&ExportOptions::default(), &env).unwrap().is_none());
    let endpoint = Some("http://h:1".to_owned());
    let options = ExportOptions { endpoint, ..ExportOptions::default() };
    assert!(resolve(&options, &env).unwrap().is_some());
    assert!(resolve(&options, &[("OTEL_SDK_DISABLED", "1")]).unwrap().is_some());
}

fn pem(text: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn certificates_are_read_and_looked_into() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (_cert_file, cert) = pem(&pair.cert.pem());
    let (_key_file, key) = pem(&pair.signing_key.serialize_pem());
    let (_empty_file, empty) = pem("no certificate");
    let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:1");
    fn set<'a>(name: &'a str) -> impl Fn(&'a str) -> (&'a str, &'a str) {
        move |path| (name, path)
    }
    let ca = set("OTEL_EXPORTER_OTLP_CERTIFICATE");
    let client_cert = set("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
    let client_key = set("OTEL_EXPORTER_OTLP_CLIENT_KEY");

    let ok = config(&[https, ca(&cert), client_cert(&cert), client_key(&key)]);
    assert!(ok.tls().is_some());
    assert!(!format!("{ok:?}").contains("PRIVATE"));

    let missing = error(&[https, ca("/nonexistent.pem")]);
    assert!(missing.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE: cannot read /nonexistent.pem"));
    assert!(error(&[https, ca(&empty)]).contains("holds no certificate"));
    assert!(error(&[https, client_cert(&cert)]).contains("the key is missing"));
    assert!(error(&[https, client_key(&key)]).contains("the certificate is missing"));
    assert!(
        error(&[https, client_cert(&cert), client_key(&cert)]).contains("holds no private key")
    );
}

#[test]
fn certificates_do_not_matter_without_tls() {
    let env = [("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent.pem")];
    assert!(config(&env).tls().is_none());
}

#[test]
fn the_flags_are_consistent() {
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        export: ExportOptions,
    }
    Cli::command().debug_assert();
    let cli = Cli::parse_from(["upspan", "--export-timeout", "2s", "--header", "a=b,c=d"]);
    assert_eq!(cli.export.export_timeout, Some(Duration::from_secs(2)));
    assert_eq!(cli.export.headers, ["a=b,c=d"]);
}
