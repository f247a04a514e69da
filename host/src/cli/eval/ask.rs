//! Asks every query of every column.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use reqwest::{Method, multipart::Form};
use serde_json::Value;

use super::{
    super::{
        client::{Client, file_part},
        search::found,
    },
    column::{Column, Whom},
    judgements::{Judged, Judgements, Query},
};

/// Products that are read on a page when a filter is looked up.
const PAGE: &str = "100";

/// How a column answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Those to each query, in the order of the judgements.
    pub answers: Vec<Answer>,
    /// The spaces of the models that answered.
    pub models: BTreeSet<String>,
    /// The policies that answered, with their versions.
    pub plugins: BTreeSet<String>,
    /// Why queries failed.
    pub failures: Vec<String>,
    /// Answers that somebody stood in for.
    pub degraded: usize,
}

/// The answer to one query. Of one that failed nothing was found.
#[derive(Debug, Default)]
pub struct Answer {
    /// The grade of each found product, best place first.
    pub found: Vec<u8>,
    /// The relevant products that were found, by the names that the judgements have for them.
    pub hits: Vec<(usize, String)>,
    /// What there was to find.
    pub relevant: BTreeMap<String, u8>,
    /// From the request to the finished job; none of one that failed.
    pub took: Option<Duration>,
}

/// Who is asked in which column.
pub struct Panel {
    seats: Vec<Seat>,
    depth: u32,
}

struct Seat {
    client: Client,
    policies: Value,
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
            Seat { client, policies, filters: HashMap::new(), answers: Answers::default() }
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
        let form = form(&judged.query, depth, &self.policies).await?;
        let began = Instant::now();
        let answer = match found(&self.client, form).await {
            Ok(result) => {
                let took = began.elapsed();
                self.note(&result);
                graded(&result, relevant, took)
            }
            Err(error) => {
                self.answers.failures.push(format!("{}: {error:#}", judged.id));
                Answer { relevant, ..Answer::default() }
            }
        };
        self.answers.answers.push(answer);
        Ok(())
    }

    /// Grades by product, those of filters looked up. Of two grades the higher one counts.
    async fn relevant(&mut self, judged: &Judged) -> anyhow::Result<BTreeMap<String, u8>> {
        let mut relevant = judged.relevant.clone();
        for (filter, grade) in &judged.relevant_where {
            let filter = filter.to_string();
            if !self.filters.contains_key(&filter) {
                let products = products(&self.client, &filter).await.context("products of relevant_where")?;
                self.filters.insert(filter.clone(), products);
            }
            for product in &self.filters[&filter] {
                let known = relevant.entry(product.clone()).or_default();
                *known = (*grade).max(*known);
            }
        }
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

async fn form(query: &Query, depth: u32, policies: &Value) -> anyhow::Result<Form> {
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

/// Gives each match the grade of its product, which the judgements know by its id or its stock keeping unit. A name
/// counts once. Of a group the best grade counts, and the others of it are no more to be found: a match has one place.
fn graded(result: &Value, mut relevant: BTreeMap<String, u8>, took: Duration) -> Answer {
    let matches = result["matches"].as_array().map_or(&[][..], Vec::as_slice);
    let mut open = relevant.clone();
    let (mut found, mut hits) = (Vec::new(), Vec::new());
    for (place, one) in matches.iter().enumerate() {
        let variants = one["variants"].as_array().into_iter().flatten();
        let mut graded: Vec<(String, u8)> =
            std::iter::once(one).chain(variants).filter_map(|product| taken(&mut open, product)).collect();
        // The earliest of the best ones stays in front.
        graded.sort_by_key(|(_, grade)| Reverse(*grade));
        let mut graded = graded.into_iter();
        let best = graded.next();
        for (name, _) in graded {
            relevant.remove(&name);
        }
        found.push(best.as_ref().map_or(0, |(_, grade)| *grade));
        hits.extend(best.map(|(name, _)| (place, name)));
    }
    Answer { found, hits, relevant, took: Some(took) }
}

/// Takes out what is known of a product, by the first of its names.
fn taken(open: &mut BTreeMap<String, u8>, product: &Value) -> Option<(String, u8)> {
    let mut names = [&product["product_id"], &product["sku"]].into_iter().filter_map(Value::as_str);
    names.find_map(|name| open.remove_entry(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_product_is_known_by_its_id_or_its_sku_and_counts_once() {
        let result = json!({"matches": [
            {"product_id": "1", "sku": "shoe"}, {"product_id": "2"}, {"product_id": "3", "sku": "shoe"},
            {"product_id": "4", "sku": "hat"},
        ]});
        let relevant = BTreeMap::from([("shoe".to_owned(), 3), ("4".to_owned(), 1), ("5".to_owned(), 2)]);
        let answer = graded(&result, relevant, Duration::ZERO);
        assert_eq!(answer.found, [3, 0, 0, 1]);
        assert_eq!(answer.hits, [(0, "shoe".to_owned()), (3, "4".to_owned())]);
    }

    #[test]
    fn a_group_has_the_best_grade_of_its_products_and_counts_once() {
        let variants = json!([{"product_id": "2"}, {"product_id": "3", "sku": "shoe"}]);
        let result = json!({"matches": [{"product_id": "1", "variants": variants}, {"product_id": "5"}]});
        let relevant = [("1", 1), ("shoe", 3), ("5", 2), ("6", 1)];
        let relevant = relevant.map(|(name, grade)| (name.to_owned(), grade)).into();
        let answer = graded(&result, relevant, Duration::ZERO);
        assert_eq!(answer.found, [3, 2]);
        assert_eq!(answer.hits, [(0, "shoe".to_owned()), (1, "5".to_owned())]);
        assert!(answer.relevant.keys().eq(["5", "6", "shoe"]), "{:?}", answer.relevant);
    }
}
