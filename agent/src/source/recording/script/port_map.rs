//! The lines of a recording that are not events: `dp_port_map = {...}` and `event_miss = {...}`.

use crate::event::EventKind;
use crate::ports::PortNo;
use crate::source::recording::{DatapathPorts, LineFault, LossCounts, Port};

use super::literal::Cursor;

/// The ports of `{'datapath': {'port': number, ...}, ...}`.
pub(super) fn read_port_map(mut cursor: Cursor<'_>) -> Result<Vec<DatapathPorts>, LineFault> {
    let mut found = Vec::new();
    cursor.dict(
        |cursor| Ok(cursor.string(&mut Vec::new())?.to_vec()),
        |cursor, datapath| {
            let mut ports = Vec::new();
            cursor.dict(
                |cursor| Ok(cursor.string(&mut Vec::new())?.to_vec()),
                |cursor, name| {
                    let number = u32::try_from(cursor.integer()?)
                        .map_err(|_| LineFault::OutOfRange("port number"))?;
                    ports.push(Port { number: PortNo(number), name, ..Port::default() });
                    Ok::<_, LineFault>(())
                },
            )?;
            found.push(DatapathPorts { datapath, ports });
            Ok::<_, LineFault>(())
        },
    )?;
    cursor.end()?;
    Ok(found)
}

/// How many events of each kind were lost, from `{code: count, ...}`.
pub(super) fn read_losses(mut cursor: Cursor<'_>) -> Result<LossCounts, LineFault> {
    let mut losses = LossCounts::default();
    cursor.dict(
        |cursor| {
            let code = cursor.integer()?;
            u64::try_from(code)
                .ok()
                .and_then(EventKind::from_code)
                .ok_or(LineFault::UnknownKind(code))
        },
        |cursor, kind| {
            // Like the reference, take a count below zero for none.
            losses[kind] = u64::try_from(cursor.integer()?).unwrap_or(0);
            Ok::<_, LineFault>(())
        },
    )?;
    cursor.end()?;
    Ok(losses)
}
