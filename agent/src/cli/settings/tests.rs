use clap::Args as _;

use super::*;
use crate::cli::run;

fn command() -> Command {
    run::Args::augment_args(Command::new("run"))
}

/// What is appended to this command line, with these variables and this file.
fn gathered(line: &[&str], variables: &[(&str, &str)], file: &str) -> anyhow::Result<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upspan.yaml");
    std::fs::write(&path, file).unwrap();
    let line = ["run", "--config", path.to_str().unwrap()].into_iter().chain(line.iter().copied());
    let given = command().try_get_matches_from(line).unwrap();
    let variable = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let strip = |error: anyhow::Error| {
        let dir = format!("{}/", dir.path().display());
        anyhow!("{}", format!("{error:#}").replace(&dir, ""))
    };
    let settings = Settings::gather(&command(), &given, variable).map_err(strip)?;
    Ok(settings.arguments().map(|argument| argument.into_string().unwrap()).collect())
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let file = "packet-size: 100\nport: [p1, p2]\nendpoint: http://file:1\ninsecure: true\n";
    let own = ("UPSPAN_PACKET_SIZE", "200");
    let otel = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://variable:1");
    for (line, variables, expected) in [
        (
            &[][..],
            &[][..],
            &[
                "--packet-size=100",
                "--port=p1",
                "--port=p2",
                "--endpoint=http://file:1",
                "--insecure",
            ][..],
        ),
        (&[], &[own, otel], &["--packet-size=200", "--port=p1", "--port=p2", "--insecure"]),
        (
            &["-P", "300", "--port", "p3", "--endpoint", "http://flag:1"],
            &[own, otel],
            &["--insecure"],
        ),
    ] {
        assert_eq!(gathered(line, variables, file).unwrap(), expected);
    }
}

#[test]
fn variables_have_several_values_with_commas_and_an_empty_one_is_unset() {
    let variables = [("UPSPAN_PORT", "p1, p2"), ("UPSPAN_THREAD", " "), ("UPSPAN_SEED", "7")];
    assert_eq!(
        gathered(&[], &variables, "thread: h1\n").unwrap(),
        ["--port=p1", "--port=p2", "--thread=h1", "--seed=7"]
    );
    let link = [("UPSPAN_PORT", "tcp://10.0.0.1:4317")];
    assert!(gathered(&[], &link, "").unwrap().is_empty(), "Kubernetes has set it");
}

#[test]
fn what_is_wrong_is_named_with_what_is_allowed() {
    let error = |variables: &[(&str, &str)], file| gathered(&[], variables, file).unwrap_err();
    let said: Vec<_> = [
        "packet-sizes: 1\n",
        "packet_size: 100\n",
        "\npacket-size: 10\n",
        "packet-size: [100, 200]\n",
        "compression: lzma\n",
        "insecure: yes\n",
        "batch-delay: soon\n",
        "capture-port: a-name-that-is-too-long\n",
        "log-level: ''\n",
        "check: true\n",
        "config: other.yaml\n",
        "port: {p1: 2}\n",
    ]
    .into_iter()
    .map(|file| error(&[], file).to_string())
    .chain([error(&[("UPSPAN_BUFFER_PAGE_COUNT", "1000")], "").to_string()])
    .collect();
    insta::assert_snapshot!(said.join("\n"), @"
    upspan.yaml:1: there is no setting packet-sizes: write packet-size
    upspan.yaml:1: there is no setting packet_size: write packet-size
    upspan.yaml:2: packet-size: '10' cannot be used: 10 is not in 64..=2048
    upspan.yaml:1: packet-size: give one value, not a list
    upspan.yaml:1: compression: 'lzma' is not possible; give one of: none, gzip, zstd
    upspan.yaml:1: insecure: 'yes' is neither true nor false
    upspan.yaml:1: batch-delay: 'soon' is no duration; give a number with its unit, such as 500ms or 10s
    upspan.yaml:1: capture-port: 'a-name-that-is-too-long' cannot be used: it has 23 bytes, but names of datapaths and ports have 15 at most
    upspan.yaml:1: log-level: '' is not possible; give one of: error, warn, info, debug, trace
    upspan.yaml:1: there is no setting check: upspan run --help lists the flags, whose long names without -- are the keys
    upspan.yaml:1: there is no setting config: upspan run --help lists the flags, whose long names without -- are the keys
    upspan.yaml:1: port: give a value, or a list of values
    UPSPAN_BUFFER_PAGE_COUNT: '1000' cannot be used: give a power of two from 16 to 262144
    ");
}

#[test]
fn every_setting_is_documented_under_its_names() {
    let text = include_str!("../../../../docs/configuration.md");
    let documented: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" "))
        .map(|row| row.replace('`', ""))
        .collect();
    let command = command();
    let expected: Vec<_> = command
        .get_arguments()
        .filter_map(key_of)
        .map(|key| match own_variable(key) {
            Some(own) => format!("{key} {own}"),
            None => {
                let names = of_opentelemetry(key);
                format!(
                    "{key} {}",
                    names[names.len() - 1].replace("_TRACES_SAMPLER_ARG", "_TRACES_SAMPLER")
                )
            }
        })
        .collect();
    assert_eq!(documented, expected);
}
