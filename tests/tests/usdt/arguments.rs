//! The programs read arguments wherever compilers keep them.

use super::capture::{Event, Loaded, METHODS};
use super::found;
use super::vswitchd::{Build, Running};

#[test]
fn arguments_of_all_forms_are_read() {
    let mut running = Running::start(Build::Arguments);
    let probes = found(&running);
    assert_eq!(probes.found.len(), 6);
    assert!(probes.faults.is_empty(), "{:?}", probes.faults);
    for method in METHODS {
        let mut loaded = Loaded::new(method);
        let _attached = loaded.attach(&probes);
        running.order("012345");
        let events = loaded.events();
        // As tests/usdt/arguments.c has them: type, length of the packet, and of the key.
        let numbers: Vec<_> = events
            .iter()
            .map(|event| (event.upcall_type, event.packet_len, event.key_len))
            .collect();
        let expected = [
            (-7_i32 as u32, 60, 8),
            (0xffff_fffe, 0xfe, 8),
            (0xffff_8cfe, 0x8cfe, 8),
            (0x4433_8cfe, 0x4433_8cfe, 0x4433_8cfe),
            (0xffff_8003, 0x83, 0x8000_0003),
            (0x83, 0x8003, 0x8000_0003),
        ];
        assert_eq!(numbers, expected, "{method}");
        for Event { datapath, packet_len, packet, key_len, key, .. } in events {
            assert_eq!(datapath, "system@ovs-system");
            // The pointers were right, too.
            let (packet_captured, key_captured) = (packet_len.min(256), key_len.min(512));
            let expected: Vec<_> = (0..packet_captured).map(|i| (i + 1) as u8).collect();
            assert_eq!(packet, expected);
            let expected: Vec<_> = (0..key_captured).map(|i| !(i as u8)).collect();
            assert_eq!(key, expected);
        }
    }
}
