//! The flags of the receiver.

use std::path::PathBuf;

use clap::Args;

/// What the command line says of the receiver.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Application traces")]
pub struct ReceiveOptions {
    /// Where to take the spans of applications.
    #[arg(
        long,
        value_name = "ADDRESS",
        help = "Take the spans of applications by OTLP/gRPC there, forward them unchanged to the \
                endpoint, and link upcalls to them: 127.0.0.1:4317, [::1]:4317 or unix:PATH \
                [default: do not]"
    )]
    pub receive: Option<String>,

    /// Permissions of the unix socket, in octal [default: 600]
    #[arg(long, value_name = "MODE")]
    pub receive_socket_mode: Option<String>,

    /// Certificate to show to applications, with its chain (PEM): the receiver then wants TLS. It,
    /// its key, the CA and the token are read once, at the start
    #[arg(long, value_name = "FILE")]
    pub receive_certificate: Option<PathBuf>,

    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub receive_key: Option<PathBuf>,

    /// Take spans only from applications with a certificate of this CA (PEM)
    #[arg(long, value_name = "FILE")]
    pub receive_client_ca: Option<PathBuf>,

    /// Take spans only with the token in this file, of at least 16 characters: `authorization:
    /// Bearer TOKEN`
    #[arg(long, value_name = "FILE")]
    pub receive_token_file: Option<PathBuf>,

    /// Listen also where other hosts can connect without TLS, or without showing who they are
    #[arg(long)]
    pub receive_insecure: bool,

    /// Largest request to take, in bytes, uncompressed [default: 4194304]
    #[arg(long, value_name = "BYTES")]
    pub receive_max_bytes: Option<usize>,

    /// Most connections of applications at a time; others wait [default: 64]
    #[arg(long, value_name = "N")]
    pub receive_connections: Option<usize>,
}
