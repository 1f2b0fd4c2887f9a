//! Constants that the agent has set at load time; see [`upspan_ebpf::constant`].

/// The value of a [`upspan_ebpf::constant::Constant`].
macro_rules! constant {
    ($constant:expr) => {{
        let value: u64;
        // SAFETY: it writes a register.
        unsafe {
            core::arch::asm!(
                "{value} = {marker} ll",
                value = out(reg) value,
                marker = const $constant.marker(),
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        value
    }};
}
pub(crate) use constant;

/// The value of a [`upspan_ebpf::config::Setting`].
macro_rules! setting {
    ($setting:ident) => {
        $crate::constant::constant!(upspan_ebpf::constant::Constant::Setting(
            upspan_ebpf::config::Setting::$setting
        ))
    };
}
pub(crate) use setting;
