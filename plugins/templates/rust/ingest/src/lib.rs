//! Takes a product without the pictures that are known, repeated or tiny.

use std::collections::BTreeSet;

use taja_plugin::{
    host::{Named, catalogue},
    ingest::{Decision, Details, DropReason, Dropped, Guest, Outcome, Product, Submission, Upload},
    settings::{InvalidSetting, Settings as Given},
};

/// The component.
pub struct {{type}};

impl Guest for {{type}} {
    fn decide(submission: Submission) -> Result<Decision, String> {
        let settings = Settings::parse(&submission.settings).map_err(|error| error.to_string())?;
        let mut details = submission.details;
        details.name = one_line(&details.name);
        if details.name.is_empty() {
            return Ok(Decision::reject("a product needs a name"));
        }
        let (keep, dropped) = sort_out(&submission.uploads, settings.min_side)?;
        let index_text = index_text(&details);
        let outcome = if keep.is_empty() {
            // Where every picture is known, the product is one that the shop has.
            match dropped.iter().find(|dropped| !dropped.product_id.is_empty()) {
                Some(known) => Outcome::Duplicate(known.product_id.clone()),
                None => Outcome::Reject("a product needs a picture".to_owned()),
            }
        } else {
            Outcome::Create(Product { details, keep, index_text })
        };
        Ok(Decision { outcome, dropped })
    }
}

taja_plugin::ingest::export!({{type}});

/// The places of the pictures to keep, and why the others are not.
fn sort_out(uploads: &[Upload], min_side: u32) -> Result<(Vec<u32>, Vec<Dropped>), String> {
    let (mut keep, mut dropped, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for Upload { index, image } in uploads {
        let sha256 = image.sha256();
        if image.width().min(image.height()) < min_side {
            dropped.push(Dropped::new(*index, DropReason::Unsuitable));
        } else if seen.contains(&sha256) {
            dropped.push(Dropped::new(*index, DropReason::Repeated));
        } else if let Some(stored) = catalogue::image_by_hash(&sha256).named("catalogue.image-by-hash")? {
            dropped.push(Dropped::known(*index, DropReason::ExactDuplicate, stored));
        } else {
            keep.push(*index);
        }
        seen.insert(sha256);
    }
    Ok((keep, dropped))
}

/// The words by which the product is found, one field per line.
fn index_text(details: &Details) -> String {
    let fields = [&details.name, &details.category, &details.color];
    let all = fields.into_iter().chain(&details.key_features).chain([&details.description]);
    all.filter(|text| !text.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// Every run of white space becomes one space, none at the ends.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a tenant may set, with the defaults of `plugin.toml`.
#[derive(Debug, PartialEq)]
struct Settings {
    min_side: u32,
}

impl Settings {
    fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let mut given = Given::parse(text)?;
        let settings = Self { min_side: given.whole("min_side", 16, 1..=4096)? };
        given.finish()?;
        Ok(settings)
    }
}

// What calls the host is tested in the sandbox, by the cases in `tests/`.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_line() {
        assert_eq!(one_line("  Red \n shoe "), "Red shoe");
    }

    #[test]
    fn the_manifest_and_the_code_agree() {
        taja_plugin::settings::manifest::assert_agrees(
            include_str!("../plugin.toml"),
            (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            |text| Settings::parse(text).map_err(|error| error.to_string()),
        );
    }
}
