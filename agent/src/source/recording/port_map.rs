//! The lines of a recording that are not events: `dp_port_map = {...}` and `event_miss = {...}`.

use crate::event::EventKind;
use crate::ports::{PortNo, Ports};

use super::LineFault;
use super::counts::LossCounts;
use super::literal::Cursor;

/// Ports of a datapath.
type NamedPorts = Vec<(Vec<u8>, PortNo)>;

/// Adds the ports of `{'datapath': {'port': number, ...}, ...}`; none of them, if one is at fault.
pub(super) fn read_port_map(mut cursor: Cursor<'_>, ports: &mut Ports) -> Result<(), LineFault> {
    let mut found: Vec<(Vec<u8>, NamedPorts)> = Vec::new();
    cursor.dict(
        |cursor| Ok(cursor.string(&mut Vec::new())?.to_vec()),
        |cursor, datapath| {
            let mut ports = NamedPorts::new();
            cursor.dict(
                |cursor| Ok(cursor.string(&mut Vec::new())?.to_vec()),
                |cursor, name| {
                    let number = u32::try_from(cursor.integer()?)
                        .map_err(|_| LineFault::OutOfRange("port number"))?;
                    ports.push((name, PortNo(number)));
                    Ok::<_, LineFault>(())
                },
            )?;
            found.push((datapath, ports));
            Ok::<_, LineFault>(())
        },
    )?;
    cursor.end()?;
    for (datapath, names) in found {
        let id = ports.datapath(&datapath).ok_or(LineFault::TooManyDatapaths)?;
        for (name, number) in names {
            ports.add_port(id, number, &name);
        }
    }
    Ok(())
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
