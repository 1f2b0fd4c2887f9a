//! The BPF programs: each writes a record of what it saw to the ring buffer.
//!
//! Nobody is woken up for a record: the agent looks for itself, unless the ring gets full. A record
//! for which the ring has no room is counted in `LOST`, and its number (`Head::seq`) is left out.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod emit;
mod usdt;

use core::ptr;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use aya_ebpf::macros::{kprobe, kretprobe, map, tracepoint, uprobe};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{ProbeContext, RetProbeContext, TracePointContext};
use emit::{Draft, config, emit_head, lose};
use upspan_ebpf::config::upcalls;
use upspan_ebpf::record::{DpUpcall, FlowExecute, RecvUpcall, UpcallFailed, kind};
use usdt::Arguments;

/// `OVS_PACKET_CMD_ACTION` of include/uapi/linux/openvswitch.h.
const OVS_PACKET_CMD_ACTION: u8 = 2;
/// `DPIF_UC_ACTION` of Open vSwitch's lib/dpif.h.
const DPIF_UC_ACTION: u64 = 1;

/// When the latest `dp_upcall` of each CPU was; 0 if it is not captured. `ovs_dp_upcall` runs with
/// bottom halves disabled, so that none comes between its tracepoint and its return.
#[map]
static LATEST_UPCALL: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[tracepoint]
fn dp_upcall(ctx: TracePointContext) -> u32 {
    let taken = try_dp_upcall(&ctx);
    if let Some(latest) = LATEST_UPCALL.get_ptr_mut(0) {
        // SAFETY: the pointer is to this CPU's element of the map.
        unsafe { *latest = taken.unwrap_or(0) };
    }
    0
}

fn try_dp_upcall(ctx: &TracePointContext) -> Option<u64> {
    let fields = config!(tracepoint);
    // SAFETY: the offsets are those of the tracepoint's format.
    let upcall_cmd: u8 = unsafe { ctx.read_at(fields.upcall_cmd.into()) }.ok()?;
    let wanted = if upcall_cmd == OVS_PACKET_CMD_ACTION { upcalls::ACTION } else { upcalls::MISS };
    if config!(upcalls) & wanted == 0 {
        return None;
    }
    let mut body = DpUpcall { upcall_cmd: upcall_cmd.into(), ..DpUpcall::default() };
    read_data_loc(ctx, fields.dp_name, &mut body.datapath);
    read_data_loc(ctx, fields.dev_name, &mut body.port);
    if !passes(&config!(datapath), &body.datapath) || !passes(&config!(port), &body.port) {
        return None;
    }
    // SAFETY: as above.
    let (len, data_len, skb) = unsafe {
        let len: u32 = ctx.read_at(fields.len.into()).ok()?;
        let data_len: u32 = ctx.read_at(fields.data_len.into()).ok()?;
        let skb: u64 = ctx.read_at(fields.skbaddr.into()).ok()?;
        (len, data_len, skb)
    };
    body.packet_len = len;
    body.data_len = data_len;
    // SAFETY: the helper checks the address.
    let data = unsafe { bpf_probe_read_kernel((skb + u64::from(config!(skb_data))) as *const u64) };
    let mut draft = Draft::new(kind::DP_UPCALL, body)?;
    let ts = draft.ts();
    if let Ok(data) = data {
        draft.kernel_packet(data, len.saturating_sub(data_len).into());
    }
    draft.emit();
    Some(ts)
}

/// Reads a string field of the tracepoint.
#[inline(always)]
fn read_data_loc(ctx: &TracePointContext, field: u16, name: &mut [u8; 16]) {
    // SAFETY: the helpers check the address; what a failed one leaves is an empty name.
    unsafe {
        let Ok(location) = ctx.read_at::<u32>(field.into()) else { return };
        let from = ctx.as_ptr().cast::<u8>().add((location & 0xffff) as usize);
        bpf_probe_read_kernel_str(name.as_mut_ptr().cast(), name.len() as u32, from.cast());
    }
}

/// Whether a name is the wanted one; an empty one wants all.
#[inline(always)]
fn passes(wanted: &[u8; 16], name: &[u8; 16]) -> bool {
    if wanted[0] == 0 {
        return true;
    }
    u128::from_ne_bytes(*wanted) == u128::from_ne_bytes(*name)
}

#[kretprobe]
fn dp_upcall_return(ctx: RetProbeContext) -> u32 {
    let errno: i32 = ctx.ret();
    let Some(latest) = LATEST_UPCALL.get_ptr_mut(0) else { return 0 };
    // SAFETY: the pointer is to this CPU's element of the map.
    let dp_upcall = unsafe { ptr::replace(latest, 0) };
    if errno != 0
        && dp_upcall != 0
        && let Some(draft) =
            Draft::new(kind::UPCALL_FAILED, UpcallFailed { dp_upcall, errno, reserved: 0 })
    {
        draft.emit();
    }
    0
}

/// recv_upcall(name, type, packet, packet size, key, key size)
#[uprobe]
fn recv_upcall(ctx: ProbeContext) -> u32 {
    if try_recv_upcall(&ctx).is_none() {
        lose(kind::RECV_UPCALL);
    }
    0
}

/// `None` if the arguments cannot be read.
#[inline(always)]
fn try_recv_upcall(ctx: &ProbeContext) -> Option<()> {
    let arguments = Arguments::of(ctx)?;
    let upcall_type = arguments.get(1)?;
    let wanted = if upcall_type == DPIF_UC_ACTION { upcalls::ACTION } else { upcalls::MISS };
    if config!(upcalls) & wanted == 0 {
        return Some(());
    }
    let (packet, packet_len) = (arguments.get(2)?, arguments.get(3)?);
    let (key, key_len) = (arguments.get(4)?, arguments.get(5)?);
    let body = RecvUpcall {
        upcall_type: upcall_type as u32,
        packet_len: packet_len as u32,
        key_len: key_len as u32,
        ..RecvUpcall::default()
    };
    let name = arguments.get(0)?;
    if let Some(mut draft) = Draft::new(kind::RECV_UPCALL, body) {
        draft.user_name(name);
        draft.user_packet(packet, packet_len);
        draft.user_key(key, key_len);
        draft.emit();
    }
    Some(())
}

/// op_flow_put(dpif, put, flow, request)
#[uprobe]
fn op_flow_put(_ctx: ProbeContext) -> u32 {
    emit_head(kind::OP_FLOW_PUT);
    0
}

/// op_flow_execute(dpif, execute, packet, size, request)
#[uprobe]
fn op_flow_execute(ctx: ProbeContext) -> u32 {
    if try_op_flow_execute(&ctx).is_none() {
        lose(kind::OP_FLOW_EXECUTE);
    }
    0
}

/// `None` if the arguments cannot be read.
#[inline(always)]
fn try_op_flow_execute(ctx: &ProbeContext) -> Option<()> {
    let arguments = Arguments::of(ctx)?;
    let (packet, len) = (arguments.get(2)?, arguments.get(3)?);
    let body = FlowExecute { packet_len: len as u32, reserved: 0 };
    if let Some(mut draft) = Draft::new(kind::OP_FLOW_EXECUTE, body) {
        draft.user_packet(packet, len);
        draft.emit();
    }
    Some(())
}

#[kprobe]
fn ovs_pkt_exec(_ctx: ProbeContext) -> u32 {
    emit_head(kind::OVS_PKT_EXEC);
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
