//! Policies that are plain functions.

use async_trait::async_trait;

use crate::policy::{
    Candidates, Columns, Decision, Leg, Lineup, Part, PolicyContext, PolicyError, Ranking, Submission,
};

type Ingest = dyn Fn(&Submission) -> Result<Decision, PolicyError> + Send + Sync;
type Search = dyn Fn(&[Part]) -> Result<Vec<Leg>, PolicyError> + Send + Sync;
type Rank = dyn Fn(&Candidates) -> Result<Ranking, PolicyError> + Send + Sync;

/// Each policy is a function of what it is asked.
pub struct ScriptedLineup {
    /// Decides on submissions.
    pub ingest: Box<Ingest>,
    /// Answers queries.
    pub search: Box<Search>,
    /// Orders candidates.
    pub rank: Box<Rank>,
    /// What the ranking asks for.
    pub columns: Columns,
}

impl Default for ScriptedLineup {
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
impl Lineup for ScriptedLineup {
    fn fingerprint(&self) -> &str {
        "scripted"
    }

    fn accepts(&self, _: &str) -> bool {
        true
    }

    async fn search(&self, _: &PolicyContext, parts: Vec<Part>, _: u32) -> Result<Vec<Leg>, PolicyError> {
        (self.search)(&parts)
    }

    async fn ingest(&self, _: &PolicyContext, submission: Submission) -> Result<Decision, PolicyError> {
        (self.ingest)(&submission)
    }

    fn ranking_columns(&self) -> Columns {
        self.columns.clone()
    }

    async fn rank(&self, _: &PolicyContext, candidates: Candidates) -> Result<Ranking, PolicyError> {
        (self.rank)(&candidates)
    }
}
