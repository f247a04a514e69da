//! `taja migrate`: products that an older service wrote, brought to the present form.

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{settings::Settings, write_out};
use crate::app;

/// Bring products that an older service wrote to MongoDB to the present form.
///
/// They are read and searched as they are, too; in the present form they are faster. Their vectors are kept when
/// CLIP_MODEL_NAME names the model that made them. It can be broken off and started again at any time, while the
/// service runs.
#[derive(Args)]
pub struct Migrate {
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Migrate {
    pub async fn run(self) -> anyhow::Result<bool> {
        let config = self.settings.read()?;
        if config.mongo.is_none() {
            bail!("there is nothing to migrate: MONGO_URI is not set");
        }
        let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template("{spinner} {pos}/{len} products")?);
        let report = app::migrate(&config, |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
        .await
        .context("migration")?;
        bar.finish_and_clear();
        if self.json {
            write_out(&serde_json::to_string(&report)?)?;
        } else {
            write_out(&format!("{} migrated, {} skipped", report.migrated, report.skipped.len()))?;
            for (id, reason) in &report.skipped {
                eprintln!("{id}: {reason}");
            }
        }
        Ok(report.skipped.is_empty())
    }
}
