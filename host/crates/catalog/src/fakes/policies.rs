//! Policies that are plain functions.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::{
    id::TenantId,
    policy::{
        Candidates, Columns, Decision, Leg, Part, Policies, PolicyContext, PolicyError, Ranking, Submission,
    },
};

type Ingest = dyn Fn(&Submission) -> Result<Decision, PolicyError> + Send + Sync;
type Search = dyn Fn(&[Part]) -> Result<Vec<Leg>, PolicyError> + Send + Sync;
type Rank = dyn Fn(&Candidates) -> Result<Ranking, PolicyError> + Send + Sync;

/// Each policy is a function of what it is asked.
pub struct ScriptedPolicies {
    /// Decides on submissions.
    pub ingest: Box<Ingest>,
    /// Answers queries.
    pub search: Box<Search>,
    /// Orders candidates.
    pub rank: Box<Rank>,
    /// What the ranking asks for.
    pub columns: Columns,
}

impl Default for ScriptedPolicies {
    fn default() -> Self {
        Self {
            ingest: Box::new(|_| unreachable!("no ingestion policy was given")),
            search: Box::new(|_| unreachable!("no search policy was given")),
            rank: Box::new(|_| unreachable!("no ranking policy was given")),
            columns: Columns::default(),
        }
    }
}

#[async_trait]
impl Policies for ScriptedPolicies {
    fn modalities(&self) -> HashSet<String> {
        ["text", "image", "video"].map(str::to_owned).into()
    }

    async fn search(&self, _: &PolicyContext, parts: Vec<Part>, _: u32) -> Result<Vec<Leg>, PolicyError> {
        (self.search)(&parts)
    }

    async fn ingest(&self, _: &PolicyContext, submission: Submission) -> Result<Decision, PolicyError> {
        (self.ingest)(&submission)
    }

    fn fingerprint(&self, _: &TenantId) -> String {
        "scripted".into()
    }

    fn ranking_columns(&self, _: &TenantId) -> Columns {
        self.columns.clone()
    }

    async fn rank(&self, _: &PolicyContext, candidates: Candidates) -> Result<Ranking, PolicyError> {
        (self.rank)(&candidates)
    }
}
