//! A component as registries keep it, in the layout of the CNCF's guide to WebAssembly artifacts, which `wkg` uses: a
//! manifest, a configuration that says what the component imports and exports, and the component as the only layer.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use taja_sandbox::{Manifest as About, signature::Signature};
use wasmparser::{Parser, Payload};

use super::{answer::told, reference::Digest};

/// Media type of the manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What else may lie under a name, only to be told apart.
pub const OTHER_MANIFESTS: [&str; 3] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// Media type of the configuration; it says that the artifact is WebAssembly.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Media type of the layer.
const LAYER: &str = "application/wasm";
/// Annotation that holds the signature over the component. A second layer would be refused by `wkg`.
const SIGNATURE: &str = "taja.signature";
/// When the configuration says it was made: the same component always has the same manifest, and so the same digest,
/// whoever publishes it and how often.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// Largest component that is fetched; the service has a limit of its own.
const MAX_COMPONENT_BYTES: u64 = 256 << 20;

/// What is to be put into a registry.
pub struct Artifact {
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

/// Where the component of an artifact is, and what belongs to it.
#[derive(Debug, PartialEq)]
pub struct Layer {
    pub digest: Digest,
    pub size: u64,
    pub signature: Option<Signature>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: Option<String>,
    /// Lists of manifests have none.
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [Digest; 1],
    component: World,
}

/// What a component imports and exports, by name.
#[derive(Debug, Default, Serialize)]
struct World {
    exports: Vec<String>,
    imports: Vec<String>,
}

impl Artifact {
    /// Of a component that says this about itself.
    pub fn new(component: &[u8], about: &About, signature: Option<&Signature>) -> anyhow::Result<Self> {
        let config = Config {
            created: CREATED,
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [Digest::of(component)],
            component: world(component)?,
        };
        let config = serde_json::to_vec(&config)?;
        let mut layer = Descriptor::of(component, LAYER);
        layer.annotations.insert("org.opencontainers.image.title".into(), format!("{}.wasm", about.name));
        let mut annotations =
            BTreeMap::from([("org.opencontainers.image.version".to_owned(), about.version.to_string())]);
        if let Some(title) = &about.title {
            annotations.insert("org.opencontainers.image.description".into(), title.clone());
        }
        if let Some(signature) = signature {
            annotations.insert(SIGNATURE.into(), signature.to_string());
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.into()),
            config: Some(Descriptor::of(&config, CONFIG)),
            layers: vec![layer],
            annotations,
        };
        Ok(Self { config, manifest: serde_json::to_vec(&manifest)? })
    }
}

impl Descriptor {
    fn of(bytes: &[u8], media_type: &str) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest: Digest::of(bytes), size: bytes.len() as u64, annotations: BTreeMap::new() }
    }
}

impl Layer {
    /// The component that a manifest names, if it is the manifest of one component.
    pub fn of(manifest: &[u8]) -> anyhow::Result<Self> {
        let manifest: Manifest = serde_json::from_slice(manifest).context("its manifest cannot be read")?;
        let kind = manifest.media_type.as_deref().unwrap_or(MANIFEST);
        let config = match manifest.config {
            Some(config) if kind == MANIFEST && manifest.schema_version == 2 => config,
            _ => bail!("it is no WebAssembly artifact but {}{HOW}", told(kind)),
        };
        if config.media_type != CONFIG {
            bail!(
                "it is no WebAssembly artifact: its configuration is {}, not {CONFIG}{HOW}",
                told(&config.media_type)
            );
        }
        let [layer] = &manifest.layers[..] else {
            bail!("it has {} layers, and a component is one{HOW}", manifest.layers.len());
        };
        if layer.media_type != LAYER {
            bail!("it is no component: its layer is {}, not {LAYER}{HOW}", told(&layer.media_type));
        }
        ensure!(
            layer.size <= MAX_COMPONENT_BYTES,
            "its component is {} bytes; the most that is fetched is {MAX_COMPONENT_BYTES}",
            layer.size
        );
        let signature = manifest.annotations.get(SIGNATURE).map(|text| text.parse());
        let signature = signature.transpose().map_err(anyhow::Error::msg);
        let signature = signature.with_context(|| format!("its annotation {SIGNATURE:?} cannot be used"))?;
        Ok(Self { digest: layer.digest, size: layer.size, signature })
    }
}

/// What to do about an artifact of another kind.
const HOW: &str = "; publish components with `taja plugin publish` or `wkg oci push`";

/// Reads the names off the top level; what is nested inside is the component's own affair.
fn world(component: &[u8]) -> anyhow::Result<World> {
    let (mut world, mut depth) = (World::default(), 0_u32);
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    world.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    world.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(world)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use taja_sandbox::manifest;

    use super::*;

    const ABOUT: &str =
        "name = \"shop-rank\"\nversion = \"1.2.0\"\nkind = \"rank\"\ntitle = \"In stock first\"\n";

    fn component() -> Vec<u8> {
        manifest::embed(b"\0asm\x0d\0\x01\0", ABOUT).unwrap()
    }

    fn artifact(signature: Option<&Signature>) -> (Artifact, Value) {
        let artifact = Artifact::new(&component(), &manifest::parse(ABOUT).unwrap(), signature).unwrap();
        let manifest = serde_json::from_slice(&artifact.manifest).unwrap();
        (artifact, manifest)
    }

    #[test]
    fn an_artifact_is_laid_out_as_other_tools_read_it() {
        let (artifact, manifest) = artifact(None);
        let (component, config) = (component(), &artifact.config);
        let expected = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json",
                "digest": Digest::of(config),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/wasm",
                "digest": Digest::of(&component),
                "size": component.len(),
                "annotations": { "org.opencontainers.image.title": "shop-rank.wasm" },
            }],
            "annotations": {
                "org.opencontainers.image.version": "1.2.0",
                "org.opencontainers.image.description": "In stock first",
            },
        });
        assert_eq!(manifest, expected);
        let config: Value = serde_json::from_slice(config).unwrap();
        let expected = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [Digest::of(&component)],
            "component": { "exports": [], "imports": [] },
        });
        assert_eq!(config, expected);
    }

    #[test]
    fn the_signature_travels_with_the_component() {
        let signature: Signature = "ab".repeat(64).parse().unwrap();
        let layer = Layer::of(&artifact(Some(&signature)).0.manifest).unwrap();
        let expected = (Digest::of(&component()), component().len() as u64, Some(signature));
        assert_eq!((layer.digest, layer.size, layer.signature), expected);
        assert_eq!(Layer::of(&artifact(None).0.manifest).unwrap().signature, None);
    }

    #[rstest::rstest]
    #[case("/schemaVersion", json!(1), "no WebAssembly artifact")]
    #[case("/mediaType", json!("application/vnd.oci.image.index.v1+json"), "image.index.v1")]
    #[case("/config", json!(null), "no WebAssembly artifact")]
    #[case("/config/mediaType", json!("application/vnd.docker.container.image.v1+json"), "docker.container.image")]
    #[case("/config/digest", json!("sha512:12"), "cannot be read")]
    #[case("/layers", json!([]), "has 0 layers")]
    #[case("/layers/0/mediaType", json!("application/tar\u{1b}[31m"), "layer is application/tar[31m, not")]
    #[case("/layers/0/digest", json!("../../etc"), "cannot be read")]
    #[case("/layers/0/size", json!(1_u64 << 40), "the most that is fetched")]
    #[case("/layers/0/size", json!(-1), "cannot be read")]
    #[case("/annotations", json!({ SIGNATURE: "of mine\r\n" }), "cannot be used")]
    fn a_manifest_of_something_else_is_refused(#[case] at: &str, #[case] value: Value, #[case] says: &str) {
        let mut manifest = artifact(None).1;
        *manifest.pointer_mut(at).unwrap() = value;
        let error = format!("{:#}", Layer::of(manifest.to_string().as_bytes()).unwrap_err());
        assert!(error.contains(says), "{error}");
    }
}
