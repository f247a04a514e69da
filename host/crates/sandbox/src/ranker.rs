//! Ranking policies of every version of the contract that this host runs. What the host hands over and takes back has
//! the types of 0.1; for a later version it is carried over.

use wasmtime::{
    Store,
    component::{self, InstancePre},
};

use crate::{
    bindings::{
        rank::{RankIndices, RankPre, exports::taja::plugin::ranking as v0_1},
        rank_0_2::{self, exports::taja::plugin::ranking as v0_2},
    },
    contract,
    limits::Kind,
    state::GuestState,
};

/// A ranking policy that is linked to the world it was built for.
#[derive(Clone)]
pub(crate) enum Ranker {
    V0_1(RankPre<GuestState>),
    V0_2(rank_0_2::RankPre<GuestState>),
}

/// An instance of one.
pub(crate) enum Instance {
    V0_1(crate::bindings::rank::Rank),
    V0_2(rank_0_2::Rank),
}

impl Ranker {
    /// Links by what the component exports.
    pub(crate) fn link(pre: InstancePre<GuestState>) -> wasmtime::Result<Self> {
        let component = pre.component().component_type();
        let version = |name: &str| contract::package(Kind::Rank).interface(name)?.1;
        let is_0_2 = component
            .exports(pre.engine())
            .filter_map(|(name, _)| version(name))
            .any(|version| (version.major, version.minor) == (0, 2));
        if is_0_2 { rank_0_2::RankPre::new(pre).map(Self::V0_2) } else { RankPre::new(pre).map(Self::V0_1) }
    }

    pub(crate) fn instance_pre(&self) -> &InstancePre<GuestState> {
        match self {
            Self::V0_1(pre) => pre.instance_pre(),
            Self::V0_2(pre) => pre.instance_pre(),
        }
    }

    /// Whether an instance's functions are of the types that its world has.
    pub(crate) fn check(
        &self,
        store: &mut Store<GuestState>,
        instance: &component::Instance,
    ) -> wasmtime::Result<()> {
        match self {
            Self::V0_1(pre) => RankIndices::new(pre.instance_pre())?.load(store, instance).map(drop),
            Self::V0_2(pre) => {
                rank_0_2::RankIndices::new(pre.instance_pre())?.load(store, instance).map(drop)
            }
        }
    }

    pub(crate) async fn instantiate_async(
        &self,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<Instance> {
        match self {
            Self::V0_1(pre) => pre.instantiate_async(store).await.map(Instance::V0_1),
            Self::V0_2(pre) => pre.instantiate_async(store).await.map(Instance::V0_2),
        }
    }
}

impl Instance {
    pub(crate) async fn rank(
        &self,
        store: &mut Store<GuestState>,
        candidates: &v0_1::Candidates,
        day: u32,
    ) -> wasmtime::Result<Result<v0_1::Ranked, String>> {
        match self {
            Self::V0_1(world) => world.taja_plugin_ranking().call_rank(store, candidates).await,
            Self::V0_2(world) => {
                let answer = world.taja_plugin_ranking().call_rank(store, &later(candidates, day)).await?;
                Ok(answer.map(earlier))
            }
        }
    }
}

fn later(candidates: &v0_1::Candidates, day: u32) -> v0_2::Candidates {
    let leg = |leg: &v0_1::Leg| v0_2::Leg {
        name: leg.name.clone(),
        modality: leg.modality.clone(),
        cosine: leg.cosine,
        weight: leg.weight,
    };
    let number = |column: &v0_1::NumberColumn| v0_2::NumberColumn {
        name: column.name.clone(),
        values: column.values.clone(),
    };
    let text = |column: &v0_1::TextColumn| v0_2::TextColumn {
        name: column.name.clone(),
        dictionary: column.dictionary.clone(),
        codes: column.codes.clone(),
    };
    let matches = &candidates.matches;
    v0_2::Candidates {
        legs: candidates.legs.iter().map(leg).collect(),
        product_count: candidates.product_count,
        matches: v0_2::Matches {
            legs: matches.legs.clone(),
            products: matches.products.clone(),
            images: matches.images.clone(),
            scores: matches.scores.clone(),
        },
        numbers: candidates.numbers.iter().map(number).collect(),
        texts: candidates.texts.iter().map(text).collect(),
        limit: candidates.limit,
        day,
        settings: candidates.settings.clone(),
    }
}

fn earlier(ranked: v0_2::Ranked) -> v0_1::Ranked {
    let note = |note: v0_2::Note| v0_1::Note { place: note.place, text: note.text };
    v0_1::Ranked {
        products: ranked.products,
        scores: ranked.scores,
        evidence: ranked.evidence,
        evidence_ends: ranked.evidence_ends,
        notes: ranked.notes.into_iter().map(note).collect(),
    }
}
