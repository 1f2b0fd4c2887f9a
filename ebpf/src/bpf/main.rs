//! The BPF programs: each writes a record of what it saw to the ring buffer.
//!
//! Nobody is woken up for a record: the agent looks for itself, unless much was written or it is
//! idle. A record for which the ring has no room is counted in `LOST`, and in the next one of its
//! CPU (`Head::lost_before`).

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod atomic;
mod constant;
mod context;
mod event;
mod ring;
mod state;
mod usdt;

use core::ptr;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel as read_kernel, bpf_probe_read_kernel_str,
};
use aya_ebpf::macros::{kprobe, kretprobe, tracepoint, uprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext, TracePointContext};
use constant::setting;
use event::{Event, bounded, lose};
use upspan_ebpf::config::{MAX_CAPTURE, halves, upcalls};
use upspan_ebpf::record::{
    DatapathName, DpUpcall, FlowExecute, MAX_GAP, RecvUpcall, UpcallFailed, kind,
};
use usdt::Arguments;

/// `OVS_PACKET_CMD_ACTION` of include/uapi/linux/openvswitch.h.
const OVS_PACKET_CMD_ACTION: u8 = 2;
/// `DPIF_UC_ACTION` of Open vSwitch's lib/dpif.h.
const DPIF_UC_ACTION: u64 = 1;

#[tracepoint]
fn dp_upcall(ctx: TracePointContext) -> u32 {
    let taken = try_dp_upcall(&ctx);
    if let Some((_, cpu)) = state::cpu() {
        // SAFETY: the pointer is to the map's element.
        unsafe { (*cpu).latest_upcall = taken.unwrap_or(0) };
    }
    0
}

/// When it was, if it is captured.
#[inline(always)]
fn try_dp_upcall(ctx: &TracePointContext) -> Option<u64> {
    let upcall_cmd = context::u8_at(ctx.as_ptr(), setting!(UpcallCmd));
    let wanted = if upcall_cmd == OVS_PACKET_CMD_ACTION { upcalls::ACTION } else { upcalls::MISS };
    if setting!(Upcalls) & u64::from(wanted) == 0 || !passes(ctx) {
        return None;
    }
    let len = context::u32_at(ctx.as_ptr(), setting!(Len));
    let data_len = context::u32_at(ctx.as_ptr(), setting!(DataLen));
    let skb = context::u64_at(ctx.as_ptr(), setting!(Skbaddr));
    // SAFETY: the helper checks the address.
    let data = unsafe { bpf_probe_read_kernel((skb + setting!(SkbData)) as *const u64) };
    let wanted = data.map_or(0, |_| len.saturating_sub(data_len).into());
    let wanted = bounded(wanted, setting!(PacketLimit));

    let event = Event::now(kind::DP_UPCALL)?;
    let record = event.reserve(size_of::<DpUpcall>() as u64 + wanted)?;
    let body = record.body::<DpUpcall>();
    // SAFETY: there is room for it.
    unsafe {
        (*body).packet_len = len;
        (*body).data_len = data_len;
        (*body).upcall_cmd = upcall_cmd.into();
        (*body).port_at = read_names(ctx, &mut (*body).names);
        let captured = record.kernel_bytes(size_of::<DpUpcall>(), data.unwrap_or(0), wanted);
        (*body).packet_captured = captured as u16;
    }
    event.commit(&record);
    Some(event.ts)
}

/// Where a string field of the tracepoint is: the lower half of a `__data_loc`.
#[inline(always)]
fn location(ctx: &TracePointContext, field: u64) -> u64 {
    u64::from(context::u32_at(ctx.as_ptr(), field) & 0xffff)
}

/// Reads the names of datapath and port, and returns where the latter begins. They lie one behind
/// the other, so that one look is enough.
#[inline(always)]
fn read_names(ctx: &TracePointContext, names: &mut [u8; 32]) -> u16 {
    let dp_name = location(ctx, setting!(DpName));
    let dev_name = location(ctx, setting!(DevName));
    let port_at = dev_name.wrapping_sub(dp_name);
    if port_at <= 16 {
        read_name(ctx, dp_name, names.as_mut_ptr(), 32);
        return port_at as u16;
    }
    read_name(ctx, dp_name, names.as_mut_ptr(), 16);
    read_name(ctx, dev_name, names[16..].as_mut_ptr(), 16);
    16
}

#[inline(always)]
fn read_name(ctx: &TracePointContext, at: u64, to: *mut u8, len: u32) {
    // SAFETY: the helper checks the address; what a failed one leaves is an empty name.
    unsafe { read_kernel(to.cast(), len, ctx.as_ptr().cast::<u8>().add(at as usize).cast()) };
}

/// Whether the datapath and the port are wanted.
#[inline(always)]
fn passes(ctx: &TracePointContext) -> bool {
    let datapath = (setting!(DatapathLow), setting!(DatapathHigh));
    let port = (setting!(PortLow), setting!(PortHigh));
    is_named(ctx, setting!(DpName), datapath) && is_named(ctx, setting!(DevName), port)
}

/// Whether a name is the wanted one; an empty one wants all.
#[inline(always)]
fn is_named(ctx: &TracePointContext, field: u64, wanted: (u64, u64)) -> bool {
    if wanted == (0, 0) {
        return true;
    }
    let mut name = [0_u8; 16];
    // SAFETY: the helper checks the address; what a failed one leaves is an empty name.
    unsafe {
        let from = ctx.as_ptr().cast::<u8>().add(location(ctx, field) as usize);
        bpf_probe_read_kernel_str(name.as_mut_ptr().cast(), 16, from.cast());
    }
    halves(&name) == wanted
}

#[kretprobe]
fn dp_upcall_return(ctx: RetProbeContext) -> u32 {
    let errno: i32 = ctx.ret();
    let Some((_, cpu)) = state::cpu() else { return 0 };
    // SAFETY: the pointer is to the map's element.
    let dp_upcall = unsafe { ptr::replace(&raw mut (*cpu).latest_upcall, 0) };
    if errno != 0
        && dp_upcall != 0
        && let Some(event) = Event::now(kind::UPCALL_FAILED)
        && let Some(record) = event.reserve(size_of::<UpcallFailed>() as u64)
    {
        // SAFETY: there is room for it.
        unsafe {
            record.body::<UpcallFailed>().write(UpcallFailed { dp_upcall, errno, reserved: 0 })
        };
        event.commit(&record);
    }
    0
}

/// recv_upcall(name, type, packet, packet size, key, key size)
#[uprobe]
fn recv_upcall(ctx: ProbeContext) -> u32 {
    if try_recv_upcall(Arguments::of(&ctx)).is_none() {
        lose(kind::RECV_UPCALL);
    }
    0
}

/// `None` if the arguments cannot be read.
#[inline(always)]
fn try_recv_upcall(arguments: Arguments) -> Option<()> {
    let upcall_type = arguments.get::<1>()?;
    let wanted = if upcall_type == DPIF_UC_ACTION { upcalls::ACTION } else { upcalls::MISS };
    if setting!(Upcalls) & u64::from(wanted) == 0 {
        return Some(());
    }
    let (packet, packet_len) = (arguments.get::<2>()?, arguments.get::<3>()?);
    let (key, key_len) = arguments.get_both::<4, 5>()?;
    let datapath = arguments.get::<0>()?;

    let packet_wanted = bounded(packet_len, setting!(PacketLimit));
    let key_wanted = bounded(key_len, setting!(KeyLimit));
    // Both are in the message that the kernel has sent: where that is so, one look is enough.
    let distance = packet.wrapping_sub(key);
    let are_together =
        key_wanted == key_len && distance >= key_len && distance - key_len <= MAX_GAP.into();
    let packet_at = if are_together { distance } else { key_wanted };

    let Some(event) = Event::now(kind::RECV_UPCALL) else { return Some(()) };
    let names = event.names(datapath);
    let mut bytes_at = size_of::<RecvUpcall>();
    if names {
        bytes_at += size_of::<DatapathName>();
    }
    let Some(record) = event.reserve(bytes_at as u64 + packet_at + packet_wanted) else {
        return Some(());
    };
    let (mut packet_captured, mut key_captured) = (packet_wanted, key_wanted);
    if are_together {
        if record.user_bytes(bytes_at, key, packet_at + packet_wanted) == 0 {
            (packet_captured, key_captured) = (0, 0);
        }
    } else {
        key_captured = record.user_bytes(bytes_at, key, key_wanted);
        let packet_at = bounded(packet_at, MAX_CAPTURE.into()) as usize;
        packet_captured = record.user_bytes(bytes_at + packet_at, packet, packet_wanted);
    }
    let body = record.body::<RecvUpcall>();
    // SAFETY: there is room for it.
    unsafe {
        (*body).datapath = datapath;
        (*body).packet_len = packet_len as u32;
        (*body).key_len = key_len as u32;
        (*body).upcall_type = upcall_type as u32;
        (*body).packet_captured = packet_captured as u16;
        (*body).key_captured = key_captured as u16;
        (*body).packet_at = packet_at as u16;
        (*body).names = names.into();
    }
    if names {
        record.user_name(size_of::<RecvUpcall>(), datapath);
        event.commit_named(&record, datapath);
    } else {
        event.commit(&record);
    }
    Some(())
}

/// op_flow_put(dpif, put, flow, request)
#[uprobe]
fn op_flow_put(_ctx: ProbeContext) -> u32 {
    Event::emit(kind::OP_FLOW_PUT);
    0
}

/// op_flow_execute(dpif, execute, packet, size, request)
#[uprobe]
fn op_flow_execute(ctx: ProbeContext) -> u32 {
    if try_op_flow_execute(Arguments::of(&ctx)).is_none() {
        lose(kind::OP_FLOW_EXECUTE);
    }
    0
}

/// `None` if the arguments cannot be read.
#[inline(always)]
fn try_op_flow_execute(arguments: Arguments) -> Option<()> {
    let (packet, len) = (arguments.get::<2>()?, arguments.get::<3>()?);
    let wanted = bounded(len, setting!(PacketLimit));
    if let Some(event) = Event::now(kind::OP_FLOW_EXECUTE)
        && let Some(record) = event.reserve(size_of::<FlowExecute>() as u64 + wanted)
    {
        let captured = record.user_bytes(size_of::<FlowExecute>(), packet, wanted);
        let body = FlowExecute { packet_len: len as u32, packet_captured: captured as u32 };
        // SAFETY: there is room for it.
        unsafe { record.body::<FlowExecute>().write(body) };
        event.commit(&record);
    }
    Some(())
}

#[kprobe]
fn ovs_pkt_exec(_ctx: ProbeContext) -> u32 {
    Event::emit(kind::OVS_PKT_EXEC);
    0
}

/// Some helpers are for programs under the GPL only; the programs are licensed under either.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
