//! A sandbox with one ranker that serves every shop, and what is asked of it.

use std::sync::Arc;

use taja_catalog::{
    TenantId,
    fakes::InMemoryPlugins,
    plugins::Slot,
    policy::{Candidates, LegInfo, Matches, Measure, PolicyContext},
};
use taja_sandbox::{Capability, Order, PagemapScan, Sandbox, SandboxConfig, Step, Upload, Wanted, manifest};

use crate::{Outcome, world::Nothing};

/// A sandbox with one ranker that serves every shop.
pub struct Room {
    pub component: Vec<u8>,
    pub sandbox: Arc<Sandbox>,
    nothing: Arc<Nothing>,
    /// Lives as long as the sandbox.
    _folder: tempfile::TempDir,
}

impl Room {
    pub async fn open(component: &[u8], pagemap_scan: PagemapScan) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins)?;
        std::fs::write(plugins.join("rank.wasm"), component)?;
        let mut config = SandboxConfig::new(plugins);
        config.cache = Some(folder.path().join("cache"));
        config.rank = manifest::read(component)?.name;
        config.pagemap_scan = pagemap_scan;
        if let Some(bytes) = std::env::var("TAJA_KEEP_RESIDENT_BYTES").ok().and_then(|text| text.parse().ok())
        {
            config.keep_resident_bytes = bytes;
        }
        let nothing = Arc::new(Nothing::default());
        let store = Arc::new(InMemoryPlugins::default());
        let sandbox = Sandbox::open(config, store, nothing.clone()).await?;
        Ok(Self { component: component.to_vec(), sandbox: Arc::new(sandbox), nothing, _folder: folder })
    }

    pub fn context(&self, tenant: &TenantId) -> PolicyContext {
        Nothing::context(&self.nothing, tenant)
    }

    /// Keeps a component of a shop, or of nobody, and has it serve a shop.
    pub async fn serve(
        &self,
        owner: Option<&TenantId>,
        tenant: &TenantId,
        component: Vec<u8>,
        settings: Option<serde_json::Value>,
    ) -> Outcome<()> {
        let upload = Upload {
            owner: owner.cloned(),
            by: "bench".into(),
            component: component.into(),
            signature: None,
            granted: Capability::ALL.into(),
        };
        let digest = self.sandbox.add(upload).await?.version.digest;
        let step = Step::Activate(Wanted { digest, settings });
        let (tenant, slot) = (Some(tenant.clone()), Slot::Rank);
        self.sandbox
            .order(&Order { tenant, slot, step, evidence: None, reason: String::new(), by: "bench".into() })
            .await?;
        Ok(())
    }
}

/// The component as another version: its manifest has another title, so it has another digest.
pub fn version(component: &[u8], number: usize) -> Outcome<Vec<u8>> {
    let mut manifest = manifest::read(component)?;
    manifest.title = Some(format!("number {number}"));
    Ok(manifest::embed(component, &toml::to_string(&manifest)?)?)
}

/// Two legs that find the same products in opposite order.
pub fn candidates(products: u32) -> Candidates {
    let leg = |name: &str| LegInfo {
        name: name.into(),
        modality: name.into(),
        measure: Measure::Cosine,
        weight: 1.0,
    };
    let rows = 0..2 * products;
    let product = |row: u32| if row < products { row } else { 2 * products - 1 - row };
    Candidates {
        legs: vec![leg("image"), leg("text")],
        product_count: products,
        matches: Matches {
            legs: rows.clone().map(|row| row / products).collect(),
            products: rows.clone().map(product).collect(),
            images: rows.clone().map(product).collect(),
            scores: rows.map(|row| 1.0 - (row % products) as f32 / products as f32).collect(),
        },
        limit: 20,
        ..Candidates::default()
    }
}
