//! The API of the commands that have upcalls.

use tracing::{info, warn};
use upspan::api::{Access, Server, ServerError};
use upspan::replay::Witness;

/// Starts the API, if there is to be one. Where nobody has asked for it, it is left out if it
/// cannot be started: traces are worth more. Must be called on a tokio runtime.
pub(super) async fn start(
    access: Option<Access>,
    is_asked_for: bool,
) -> Result<Option<(Server, Box<dyn Witness>)>, ServerError> {
    let Some(access) = access else { return Ok(None) };
    match Server::start(access) {
        Ok((server, recorder)) => {
            info!(address = %server.address(), "the API listens");
            Ok(Some((server, Box::new(recorder))))
        }
        Err(error) if is_asked_for => Err(error),
        Err(error) => {
            warn!("no API: {error}; name another address with --api, or --api off");
            Ok(None)
        }
    }
}
