//! Code generated from `wit/`. Nothing in here leaves the crate; the interfaces of `taja:host` exist once.

/// The search world, and with it every interface that plugins import.
pub(crate) mod search {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "taja:plugin/search",
        imports: { default: async | trappable },
        exports: { default: async },
        trappable_error_type: { "taja:host/types.error" => crate::refusal::Refusal },
        with: {
            "taja:host/media.image": crate::host::media::ImageEntry,
            "taja:host/media.video": crate::host::media::VideoEntry,
            "taja:host/embed.embeddings": crate::host::embed::Rows,
            "taja:host/catalogue.hits": crate::hits::Hits,
        },
    });
}

/// The ingest world.
pub(crate) mod ingest {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "taja:plugin/ingest",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "taja:host": crate::bindings::search::taja::host },
    });
}

/// The rank world of 0.1, whose types are those that the host works with.
pub(crate) mod rank {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "taja:plugin/rank",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "taja:host": crate::bindings::search::taja::host },
    });
}

/// The rank world of 0.2.
pub(crate) mod rank_0_2 {
    wasmtime::component::bindgen!({
        path: "../../../wit/0.2",
        world: "taja:plugin/rank",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "taja:host": crate::bindings::search::taja::host },
    });
}

pub(crate) use search::taja::host;
