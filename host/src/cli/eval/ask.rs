//! Asks every query of every column.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use reqwest::{Method, multipart::Form};
use serde_json::{Map, Value};

use super::{
    super::{
        client::{Client, file_part},
        search::found,
    },
    column::{Column, Whom},
};
use crate::{
    evaluation::{
        figures::Answer,
        judgements::{Judged, Judgements, Query},
    },
    http::PartName,
};

/// Products that are read on a page when a filter is looked up.
const PAGE: &str = "100";

/// How a column answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Those to each query, in the order of the judgements.
    pub answers: Vec<Answer>,
    /// From the request to the finished job, of those that did not fail.
    pub took: Vec<Duration>,
    /// The spaces of the models that answered.
    pub models: BTreeSet<String>,
    /// The policies that answered, with their versions.
    pub plugins: BTreeSet<String>,
    /// Why queries failed.
    pub failures: Vec<String>,
    /// Answers that somebody stood in for.
    pub degraded: usize,
}

/// Who is asked in which column.
pub struct Panel {
    seats: Vec<Seat>,
    depth: u32,
}

struct Seat {
    client: Client,
    policies: Value,
    weights: Map<String, Value>,
    /// Products by filter, which every query of a class has in common.
    filters: HashMap<String, BTreeSet<String>>,
    answers: Answers,
}

impl Panel {
    /// The columns of a service and of others, each asked for so many products.
    pub fn new(service: &Client, columns: &[Column], depth: u32) -> Self {
        let seat = |column: &Column| {
            let (client, policies) = match &column.whom {
                Whom::Policies(policies) => (service.clone(), policies.clone()),
                Whom::Server(address) => (service.at(address), Value::Object(Default::default())),
            };
            let weights = column.weights.clone();
            Seat { client, policies, weights, filters: HashMap::new(), answers: Answers::default() }
        };
        Self { seats: columns.iter().map(seat).collect(), depth }
    }

    /// Asks one query after the other, each of all columns, beginning with another one every time: what a query leaves in
    /// caches is to be no column's advantage. Tells `done` of each.
    pub async fn ask(
        mut self,
        judgements: &Judgements,
        mut done: impl FnMut(),
    ) -> anyhow::Result<Vec<Answers>> {
        for (number, judged) in judgements.queries.iter().enumerate() {
            let columns = self.seats.len();
            for place in 0..columns {
                let seat = &mut self.seats[(number + place) % columns];
                seat.ask(judged, self.depth).await.with_context(|| judged.id.clone())?;
            }
            done();
        }
        Ok(self.seats.into_iter().map(|seat| seat.answers).collect())
    }
}

impl Seat {
    async fn ask(&mut self, judged: &Judged, depth: u32) -> anyhow::Result<()> {
        let relevant = self.relevant(judged).await?;
        let form = form(&weighed(&judged.query, &self.weights), depth, &self.policies).await?;
        let began = Instant::now();
        let answer = match found(&self.client, form).await {
            Ok(result) => {
                self.answers.took.push(began.elapsed());
                self.note(&result);
                let matches = result["matches"].as_array().into_iter().flatten();
                Answer::graded(matches.map(products_of), relevant)
            }
            Err(error) => {
                self.answers.failures.push(format!("{}: {error:#}", judged.id));
                Answer { relevant, ..Answer::default() }
            }
        };
        self.answers.answers.push(answer);
        Ok(())
    }

    /// Grades by product, those of filters looked up.
    async fn relevant(&mut self, judged: &Judged) -> anyhow::Result<BTreeMap<String, u8>> {
        for (filter, _) in &judged.relevant_where {
            let filter = filter.to_string();
            if !self.filters.contains_key(&filter) {
                let products = products(&self.client, &filter).await.context("products of relevant_where")?;
                self.filters.insert(filter, products);
            }
        }
        let relevant = judged.grades(&self.filters);
        if relevant.is_empty() {
            bail!("no product of the catalogue is relevant");
        }
        Ok(relevant)
    }

    fn note(&mut self, result: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.answers.models.insert(text(&result["model"]));
        let plugins = result["plugins"].as_array().into_iter().flatten();
        let plugins = plugins.map(|plugin| format!("{} {}", text(&plugin["name"]), text(&plugin["version"])));
        self.answers.plugins.extend(plugins);
        self.answers.degraded += usize::from(!result["degraded"].is_null());
    }
}

/// The ids of all products that pass a filter.
async fn products(client: &Client, filter: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    let mut cursor = None;
    loop {
        let query =
            [("filter", Some(filter.to_owned())), ("limit", Some(PAGE.to_owned())), ("cursor", cursor)];
        let page = client.call(Method::GET, "/products", &query, None).await?;
        let products = page["products"].as_array().context("the service lists no products")?;
        ids.extend(products.iter().filter_map(|product| Some(product["product_id"].as_str()?.to_owned())));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(ids);
        }
    }
}

/// A query with a column's weights of the parts that it has, which go before its own.
fn weighed(query: &Query, weights: &Map<String, Value>) -> Query {
    let fields = query.texts.iter().map(|(field, texts)| (field, texts.len()));
    let fields = fields.chain(query.files.iter().map(|(field, paths)| (field, paths.len())));
    let has = |(name, place): &(PartName, Option<usize>)| {
        let parts = fields.clone().filter(|(field, _)| PartName::of(field) == *name);
        parts.map(|(_, count)| count).sum::<usize>() > place.unwrap_or(0)
    };
    let goes_before = |column: &str, own: &str| {
        let ((name, place), (own_name, own_place)) =
            (PartName::with_place(column), PartName::with_place(own));
        name == own_name && (place.is_none() || place == own_place)
    };
    let own = query.options.get("weights").and_then(Value::as_object).cloned().unwrap_or_default();
    let own = own.into_iter().filter(|(own, _)| !weights.keys().any(|column| goes_before(column, own)));
    let of_parts = weights.clone().into_iter().filter(|(key, _)| has(&PartName::with_place(key)));
    let all: Map<_, _> = own.chain(of_parts).collect();
    let mut options = query.options.clone();
    options.remove("weights");
    options.extend((!all.is_empty()).then(|| ("weights", all.into())));
    Query { options, ..query.clone() }
}

/// The form that asks a query for so many products, of these policies.
pub async fn form(query: &Query, depth: u32, policies: &Value) -> anyhow::Result<Form> {
    let mut form = Form::new().text("limit", depth.to_string()).text("policies", policies.to_string());
    for (name, texts) in &query.texts {
        form = texts.iter().fold(form, |form, text| form.text(name.clone(), text.clone()));
    }
    for (name, value) in &query.options {
        form = form.text(*name, value.to_string());
    }
    for (name, paths) in &query.files {
        for path in paths {
            form = form.part(name.clone(), file_part(path).await?);
        }
    }
    Ok(form)
}

/// The products of a match, each with the names that judgements may know it by.
fn products_of(one: &Value) -> impl Iterator<Item = impl Iterator<Item = &str>> {
    let variants = one["variants"].as_array().into_iter().flatten();
    std::iter::once(one)
        .chain(variants)
        .map(|product| [&product["product_id"], &product["sku"]].into_iter().filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_weights_of_a_column_go_before_those_of_a_query_that_has_such_parts() {
        let texts = BTreeMap::from([("query".to_owned(), vec!["a".to_owned()])]);
        let files = BTreeMap::from([("image".to_owned(), vec!["a.png".into(), "b.png".into()])]);
        let weights = json!({"image": 2, "image[1]": 0.5, "query": 3});
        let query = Query { texts, files, options: BTreeMap::from([("weights", weights)]) };
        for (column, all) in [
            (json!({}), json!({"image": 2, "image[1]": 0.5, "query": 3})),
            (json!({"text": 0}), json!({"image": 2, "image[1]": 0.5, "text": 0})),
            (json!({"image": 0, "video": 0, "not": 0}), json!({"image": 0, "query": 3})),
            (json!({"image[1]": 0, "image[2]": 0}), json!({"image": 2, "image[1]": 0, "query": 3})),
        ] {
            let weighed = weighed(&query, column.as_object().unwrap());
            assert_eq!(weighed.options["weights"], all, "{column}");
        }
        let unweighed = Query { options: BTreeMap::new(), ..query };
        assert_eq!(weighed(&unweighed, json!({"video": 0}).as_object().unwrap()), unweighed);
    }

    #[test]
    fn a_match_is_its_product_and_its_variants_each_by_id_and_sku() {
        let variants = json!([{"product_id": "2"}, {"product_id": "3", "sku": "shoe"}]);
        let one = json!({"product_id": "1", "sku": "hat", "variants": variants});
        let names: Vec<Vec<_>> = products_of(&one).map(Iterator::collect).collect();
        assert_eq!(names, [vec!["1", "hat"], vec!["2"], vec!["3", "shoe"]]);
    }
}
