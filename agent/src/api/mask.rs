//! The fields of an upcall that a client wants.

use prost_types::FieldMask;
use upspan_proto::v1::{Completeness, MatchMethod, Packet, Upcall, UpcallType};

/// A field that can be asked for, and how to leave it out.
type Field = (&'static str, fn(&mut Upcall));

/// How to leave out a field of the packet.
fn of_packet(upcall: &mut Upcall, clear: fn(&mut Packet)) {
    if let Some(packet) = &mut upcall.packet {
        clear(packet);
    }
}

/// All fields, in the order of their numbers; those of the packet, which is the largest part,
/// singly, too.
const FIELDS: [Field; 30] = [
    ("sequence", |u| u.sequence = 0),
    ("start_unix_ns", |u| u.start_unix_ns = 0),
    ("start_monotonic_ns", |u| u.start_monotonic_ns = 0),
    ("duration_ns", |u| u.duration_ns = 0),
    ("datapath", |u| u.datapath.clear()),
    ("port_number", |u| u.port_number = None),
    ("port_name", |u| u.port_name.clear()),
    ("type", |u| u.set_type(UpcallType::Unspecified)),
    ("packet", |u| u.packet = None),
    ("thread_name", |u| u.thread_name.clear()),
    ("thread_id", |u| u.thread_id = 0),
    ("batch", |u| u.batch = None),
    ("match_method", |u| u.set_match_method(MatchMethod::Unspecified)),
    ("gso_segment", |u| u.gso_segment = None),
    ("completeness", |u| u.set_completeness(Completeness::Unspecified)),
    ("missing", |u| u.missing.clear()),
    ("phases", |u| u.phases.clear()),
    ("events", |u| u.events.clear()),
    ("trace_id", |u| u.trace_id.clear()),
    ("failure", |u| u.failure = None),
    ("overhead_ns", |u| u.overhead_ns = None),
    ("packet.length", |u| of_packet(u, |p| p.length = 0)),
    ("packet.summary", |u| of_packet(u, |p| p.summary.clear())),
    ("packet.vlan_ids", |u| of_packet(u, |p| p.vlan_ids.clear())),
    ("packet.ether_type", |u| of_packet(u, |p| p.ether_type = 0)),
    ("packet.source", |u| of_packet(u, |p| p.source.clear())),
    ("packet.destination", |u| of_packet(u, |p| p.destination.clear())),
    ("packet.protocol", |u| of_packet(u, |p| p.protocol.clear())),
    ("packet.source_port", |u| of_packet(u, |p| p.source_port = None)),
    ("packet.destination_port", |u| of_packet(u, |p| p.destination_port = None)),
];

/// A mask, checked: which of [`FIELDS`] to leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask {
    unwanted: u32,
}

const _: () = assert!(FIELDS.len() <= u32::BITS as usize, "a mask has a bit for each field");

/// A path that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field_mask: upspan.v1.Upcall has no field '{path}'; it has {}", names())]
pub(super) struct MaskError {
    path: String,
}

fn names() -> String {
    FIELDS.map(|(name, _)| name).join(", ")
}

impl Mask {
    /// The mask of a request; none, or an empty one, wants everything.
    pub(super) fn new(mask: Option<FieldMask>) -> Result<Self, MaskError> {
        let paths = mask.unwrap_or_default().paths;
        if paths.is_empty() {
            return Ok(Self::default());
        }
        let mut wanted = 0_u32;
        for path in paths {
            // A field of the packet brings the packet; the packet brings all of its fields.
            let is_wanted =
                |name: &str| name == path || is_within(name, &path) || is_within(&path, name);
            if !FIELDS.iter().any(|(name, _)| *name == path) {
                return Err(MaskError { path });
            }
            for (bit, (name, _)) in FIELDS.iter().enumerate() {
                wanted |= u32::from(is_wanted(name)) << bit;
            }
        }
        Ok(Self { unwanted: !wanted })
    }

    /// Leaves out what is not wanted.
    pub(super) fn apply(self, upcall: &mut Upcall) {
        if self.unwanted == 0 {
            return;
        }
        for (bit, (_, clear)) in FIELDS.iter().enumerate() {
            if self.unwanted >> bit & 1 == 1 {
                clear(upcall);
            }
        }
    }
}

/// Whether a path is that of a field within another.
fn is_within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn mask(paths: &[&str]) -> Result<Mask, MaskError> {
        Mask::new(Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() }))
    }

    fn upcall() -> Upcall {
        let packet = Packet {
            length: 60,
            source: "10.0.0.1".to_owned(),
            destination: "10.0.0.2".to_owned(),
            ..Packet::default()
        };
        Upcall {
            sequence: 7,
            datapath: "ovs-system".to_owned(),
            packet: Some(packet),
            ..Upcall::default()
        }
    }

    fn masked(paths: &[&str]) -> Upcall {
        let mut upcall = upcall();
        mask(paths).unwrap().apply(&mut upcall);
        upcall
    }

    #[test]
    fn only_what_is_wanted_stays() {
        assert_eq!(masked(&[]), upcall());
        assert_eq!(masked(&["sequence"]), Upcall { sequence: 7, ..Upcall::default() });
        assert_eq!(masked(&["packet"]), Upcall { packet: upcall().packet, ..Upcall::default() });
        let source = Packet { source: "10.0.0.1".to_owned(), ..Packet::default() };
        assert_eq!(
            masked(&["packet.source"]),
            Upcall { packet: Some(source), ..Upcall::default() }
        );
    }

    #[test]
    fn a_path_that_does_not_exist_is_named() {
        let error = mask(&["sequence", "packet.payload"]).unwrap_err().to_string();
        assert!(error.contains("'packet.payload'"), "{error}");
        assert!(error.contains("packet.summary"), "{error}");
    }

    #[test]
    fn every_field_can_be_asked_for() {
        let set = FileDescriptorSet::decode(upspan_proto::v1::FILE_DESCRIPTOR_SET).unwrap();
        let messages = set.file.iter().flat_map(|file| &file.message_type);
        let fields = |wanted: &str| {
            let message = messages.clone().find(|message| message.name() == wanted).unwrap();
            message.field.iter().map(|field| field.name().to_owned()).collect::<Vec<_>>()
        };
        let packet = fields("Packet").into_iter().map(|name| format!("packet.{name}"));
        let expected: Vec<_> = fields("Upcall").into_iter().chain(packet).collect();
        assert_eq!(FIELDS.map(|(name, _)| name).to_vec(), expected);
    }

    proptest! {
        #[test]
        fn any_paths_are_taken_or_refused(
            paths in prop::collection::vec("(packet|packet\\.source|sequence|[a-z.]{0,8}|\\PC{0,4})", 0..5),
        ) {
            let known = |path: &String| FIELDS.iter().any(|(name, _)| name == path);
            let all_known = paths.iter().all(known);
            match Mask::new(Some(FieldMask { paths })) {
                Ok(mask) => {
                    prop_assert!(all_known);
                    mask.apply(&mut upcall());
                }
                Err(_) => prop_assert!(!all_known),
            }
        }
    }
}
