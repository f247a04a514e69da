//! `taja migrate`: products that an older service wrote, brought to the present form.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use taja_mongo::MigrationReport;

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
        let bar =
            ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {pos} products")?);
        let report = app::migrate(&config, |report| bar.set_position(report.migrated)).await;
        bar.finish_and_clear();
        let report = report?;
        let skipped: u64 = report.skipped.values().sum();
        if self.json {
            let MigrationReport { migrated, images, images_taken, vectors, vectors_left_out, skipped } =
                &report;
            write_out(
                &json!({
                    "migrated": migrated, "images": images, "images_taken": images_taken, "vectors": vectors,
                    "vectors_left_out": vectors_left_out, "skipped": skipped,
                })
                .to_string(),
            )?;
        } else {
            let MigrationReport { migrated, images, vectors, .. } = report;
            write_out(&format!(
                "{migrated} products migrated with {images} pictures and {vectors} vectors, {skipped} skipped"
            ))?;
        }
        for (reason, products) in &report.skipped {
            eprintln!("skipped {products}: {reason}");
        }
        if report.images_taken > 0 {
            eprintln!("left out {} pictures whose bytes another product has", report.images_taken);
        }
        if report.vectors_left_out > 0 {
            eprintln!(
                "left out {} vectors: CLIP_MODEL_NAME does not name the model that made them, or they do not fit it",
                report.vectors_left_out
            );
        }
        Ok(skipped == 0)
    }
}
