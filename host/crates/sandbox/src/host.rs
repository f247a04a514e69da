//! The host's side of every import: what each call may cost, and what it answers.

use wasmtime::component::{HasSelf, Linker};

use crate::{bindings::host, state::GuestState};

pub(crate) mod call;
pub(crate) mod catalogue;
pub(crate) mod embed;
pub(crate) mod job;
pub(crate) mod log;
pub(crate) mod media;
pub(crate) mod wasi;

/// Offers everything that search and ingest plugins may import.
pub(crate) fn link_all(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    fn own(state: &mut GuestState) -> &mut GuestState {
        state
    }
    host::types::add_to_linker::<_, HasSelf<_>>(linker, own)?;
    host::media::add_to_linker::<_, HasSelf<_>>(linker, own)?;
    host::embed::add_to_linker::<_, HasSelf<_>>(linker, own)?;
    host::catalogue::add_to_linker::<_, HasSelf<_>>(linker, own)?;
    host::job::add_to_linker::<_, HasSelf<_>>(linker, own)?;
    link_log(linker)?;
    wasi::link(linker)
}

/// Offers the little that rank plugins may import.
pub(crate) fn link_rank(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    link_log(linker)?;
    wasi::link(linker)
}

fn link_log(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    host::log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
