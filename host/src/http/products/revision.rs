//! Revisions of products as entity tags (RFC 9110, 8.8.3 and 13.1).

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::super::Problem;

/// The strong entity tag of a revision.
pub(super) fn tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// The entity tags of a header; none when it was not sent.
fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<&'a str>> {
    headers.contains_key(name).then(|| {
        let texts = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        texts.flat_map(|text| text.split(',')).map(str::trim).collect()
    })
}

/// Whether the caller has this revision already. A weak tag is as good as a strong one for that.
pub(super) fn is_known(headers: &HeaderMap, revision: u64) -> bool {
    let is_this = |known: &str| known == "*" || known.trim_start_matches("W/") == tag(revision);
    tags(headers, &header::IF_NONE_MATCH).is_some_and(|known| known.into_iter().any(is_this))
}

/// Refuses to change a product that is at none of the revisions which the caller allows.
pub(super) fn must_match(headers: &HeaderMap, revision: u64) -> Result<(), Problem> {
    let is_this = |allowed: &str| allowed == "*" || allowed == tag(revision);
    if tags(headers, &header::IF_MATCH).is_none_or(|allowed| allowed.into_iter().any(is_this)) {
        return Ok(());
    }
    let detail = format!("the product is at {} now: read it again", tag(revision));
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "product_changed", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[rstest::rstest]
    #[case(&[], true)]
    #[case(&["\"7\""], true)]
    #[case(&["*"], true)]
    #[case(&["\"6\", \"7\""], true)]
    #[case(&["\"6\"", "\"7\""], true)]
    #[case(&["\"6\""], false)]
    #[case(&["W/\"7\""], false)]
    #[case(&["7"], false)]
    #[case(&[""], false)]
    #[case(&["\"77\""], false)]
    fn only_a_strong_tag_of_the_revision_matches(#[case] values: &[&str], #[case] matches: bool) {
        let answer = must_match(&headers(&header::IF_MATCH, values), 7);
        assert_eq!(answer.map_err(|problem| problem.status), if matches { Ok(()) } else { Err(412) });
    }

    #[rstest::rstest]
    #[case(&[], false)]
    #[case(&["W/\"7\""], true)]
    #[case(&["\"1\", \"7\""], true)]
    #[case(&["*"], true)]
    #[case(&["\"1\""], false)]
    fn a_known_revision_is_known_by_either_tag(#[case] values: &[&str], #[case] known: bool) {
        assert_eq!(is_known(&headers(&header::IF_NONE_MATCH, values), 7), known);
    }
}
