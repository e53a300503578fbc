//! What is agreed with the kernel when the session starts.
//!
//! No writeback cache: the last close is what makes a version, so nothing may still
//! be on its way after it. No lock capabilities: locks stay in the kernel.

use fuser::{InitFlags, KernelConfig};

use super::live::Live;

const MAX_WRITE: u32 = 1 << 20;
const READ_AHEAD: u32 = 1 << 20;

const WANTED: [InitFlags; 11] = [
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_POSIX_ACL,
    InitFlags::FUSE_DONT_MASK,
    // Without it the kernel asks for security.capability before each write.
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
    InitFlags::FUSE_MAX_PAGES,
];

pub(super) fn negotiate(live: &Live, config: &mut KernelConfig) {
    for capability in WANTED {
        if config.add_capabilities(capability).is_err() {
            log::debug!("this kernel has no {capability:?}");
        }
    }
    // A close must reach the queue before close(2) returns, however busy it is there.
    let _ = config.set_max_background(u16::MAX);
    let _ = config.set_max_write(MAX_WRITE);
    if let Err(most) = config.set_max_readahead(READ_AHEAD) {
        let _ = config.set_max_readahead(most);
    }
    if live.wants_passthrough()
        && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
        && config.set_max_stack_depth(live.stack_depth()).is_ok()
    {
        let _ = live.passthrough.set(());
    }
}
