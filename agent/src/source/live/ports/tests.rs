use super::*;

#[test]
fn a_kernel_without_the_module_says_how_to_get_it() {
    match PortMonitor::open() {
        Ok(mut monitor) => {
            let changes = monitor.update(&mut Ports::default()).unwrap();
            assert_eq!(changes.unreadable, 0);
        }
        Err(error) => assert!(matches!(error, MonitorError::NoOpenvswitch), "{error}"),
    }
}
