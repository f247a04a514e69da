//! Keyword search by Atlas Search, over the same terms that the text index has.
//!
//! The terms are ready made, so the index only splits nothing and changes nothing (`lucene.keyword`); relevance is
//! Lucene's BM25. Not run against Atlas here: see [`crate::atlas`].

use mongodb::bson::{Document, doc};
use taja_catalog::{Filter, TenantId};

use crate::{filter::condition, terms::Asked};

/// The name of the index.
pub(crate) const INDEX: &str = "taja_words";
/// How much a word in the name counts beside one in the text.
const NAME_BOOST: f64 = 3.0;
/// How much the beginning of a longer word counts beside a word in the text.
const BEGINNING_BOOST: f64 = 0.8;
/// What having every word adds.
const ALL_WORDS_BONUS: f64 = 2.0;

/// The index: its name, its kind and what it holds of a search document.
pub(crate) fn index() -> Document {
    let term = || doc! { "type": "string", "analyzer": "lucene.keyword" };
    let fields = doc! {
        "tenant": { "type": "token" },
        "created_at": { "type": "date" },
        "product": { "type": "token" },
        "name": term(),
        "text": term(),
        "beginnings": term(),
    };
    doc! {
        "name": INDEX,
        "type": "search",
        "definition": { "mappings": { "dynamic": false, "fields": fields } },
    }
}

/// The pipeline that finds products by words, best first.
pub(crate) fn pipeline(tenant: &TenantId, asked: &[Asked], filter: &Filter, limit: i64) -> Vec<Document> {
    let words: Vec<_> = asked.iter().map(word).collect();
    let mut should = words.clone();
    if asked.len() > 1 {
        let bonus = doc! { "constant": { "value": ALL_WORDS_BONUS } };
        should.push(doc! { "compound": { "must": words, "score": bonus } });
    }
    let compound = doc! {
        "filter": [{ "equals": { "path": "tenant", "value": tenant.as_str() } }],
        "should": should,
        "minimumShouldMatch": 1,
    };
    // Sorted inside the search, so that what comes after can stop at the limit.
    let order = doc! { "score": { "$meta": "searchScore" }, "created_at": -1, "product": -1 };
    let mut pipeline = vec![doc! { "$search": { "index": INDEX, "compound": compound, "sort": order } }];
    if !filter.is_everything() {
        pipeline.push(doc! { "$match": condition(filter) });
    }
    let wanted = doc! { "_id": 0, "product": 1, "created_at": 1, "score": { "$meta": "searchScore" } };
    pipeline.extend([doc! { "$limit": limit }, doc! { "$project": wanted }]);
    pipeline
}

fn word(asked: &Asked) -> Document {
    let text = |path: &str, query: &str, boost: f64| {
        doc! { "text": { "path": path, "query": query, "score": { "boost": { "value": boost } } } }
    };
    let mut should = vec![text("name", &asked.term, NAME_BOOST), text("text", &asked.term, 1.0)];
    if let Some(beginning) = &asked.beginning {
        should.push(text("beginnings", beginning, BEGINNING_BOOST));
    }
    for (terms, weight) in &asked.instead {
        match &terms[..] {
            [term] => {
                should.push(text("name", term, weight * NAME_BOOST));
                should.push(text("text", term, *weight));
            }
            several => {
                let either = |term: &String| {
                    let either = [text("name", term, 1.0), text("text", term, 1.0)];
                    doc! { "compound": { "should": either.to_vec(), "minimumShouldMatch": 1 } }
                };
                let all: Vec<_> = several.iter().map(either).collect();
                let boost = doc! { "boost": { "value": *weight } };
                should.push(doc! { "compound": { "must": all, "score": boost } });
            }
        }
    }
    doc! { "compound": { "should": should, "minimumShouldMatch": 1 } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{golden::assert_golden, terms::asked};

    #[test]
    fn the_index_is_as_it_was_written_down() {
        assert_golden("search_index", &[index()]);
    }

    #[test]
    fn a_search_is_as_it_was_written_down() {
        let filter = Filter::parse(&json!({"price": {"lt": 100}})).unwrap();
        let tenant = "shop".parse().unwrap();
        assert_golden("search_two_words", &pipeline(&tenant, &asked(&"Running shoes".into()), &filter, 20));
        assert_golden(
            "search_one_word",
            &pipeline(&tenant, &asked(&"背包".into()), &Filter::everything(), 5),
        );
    }
}
