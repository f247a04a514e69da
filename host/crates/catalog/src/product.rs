//! Products as a shop describes them and as they are stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::date;
use crate::id::{ImageHash, ProductId, TenantId};
use crate::picture::PerceptualHash;

/// Longest text of any one field, in bytes: a description of 16 KiB is a small book.
pub const MAX_FIELD_BYTES: usize = 16 * 1024;
/// Most entries of a list field, or of the attributes.
pub const MAX_LIST_ENTRIES: usize = 100;
/// Longest text for keyword search, bytes. It is cut from the end, where the description stands.
const MAX_INDEX_BYTES: usize = 64 * 1024;

/// What a shop says of a product. Valid by construction when it came through [`Details::check`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Details {
    /// Display name.
    pub name: String,
    /// Price in `currency`, finite and at least 0.
    pub price: f64,
    /// ISO 4217 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Free text.
    pub description: String,
    /// Category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The shop's own article number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Pieces in stock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<u32>,
    /// Weight in kilograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_kg: Option<f64>,
    /// Colour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Sizes on offer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<String>,
    /// Selling points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_features: Vec<String>,
    /// What products have in common that are one in several sizes or colours, and no others have. The name is that of
    /// product feeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_group_id: Option<String>,
    /// Further attributes: text, numbers, booleans or lists of text. A text that is a date is one, too: see
    /// [`crate::date`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

/// How often the name stands in the text by which words find a product.
const NAME_REPEATS: usize = 2;

/// A field that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct InvalidField {
    /// The field, by its name in the HTTP interface.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl InvalidField {
    /// A problem with one field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl Details {
    /// Refuses what cannot be stored or searched: an empty name, a price that is no amount, oversized texts.
    pub fn check(&self) -> Result<(), InvalidField> {
        if self.name.trim().is_empty() {
            return Err(InvalidField::new("name", "is empty"));
        }
        if self.item_group_id.as_ref().is_some_and(|group| group.trim().is_empty()) {
            return Err(InvalidField::new("item_group_id", "is empty"));
        }
        check_amount("price", Some(self.price))?;
        check_amount("weight_kg", self.weight_kg)?;
        check_text("name", &self.name)?;
        check_text("description", &self.description)?;
        for (field, text) in [
            ("currency", &self.currency),
            ("category", &self.category),
            ("sku", &self.sku),
            ("color", &self.color),
            ("item_group_id", &self.item_group_id),
        ] {
            text.as_ref().map_or(Ok(()), |text| check_text(field, text))?;
        }
        check_list("sizes", &self.sizes)?;
        check_list("key_features", &self.key_features)?;
        check_currency(self.currency.as_deref())?;
        check_attributes(&self.attributes)
    }

    /// The fields every product has a place for, by the names [`Details::field`] gives them. Any other name is an
    /// attribute's, with or without `attributes.` before it.
    pub const FIELDS: [&str; 12] = [
        "name",
        "price",
        "currency",
        "description",
        "category",
        "sku",
        "stock",
        "weight_kg",
        "color",
        "sizes",
        "key_features",
        "item_group_id",
    ];

    /// The one name under which stores keep a field or attribute: an attribute's begins with `attributes.`.
    pub fn stored_name(name: &str) -> String {
        if Self::FIELDS.contains(&name) {
            name.to_owned()
        } else {
            format!("attributes.{}", name.strip_prefix("attributes.").unwrap_or(name))
        }
    }

    /// The text by which keyword search finds a product whose shop edited it, a field a line: what the ingestion policy
    /// made of it before is of another product. The name stands as often as the bundled policy writes it by default, so that
    /// a product that is edited is found as well as before.
    pub fn index_text(&self) -> String {
        let names = std::iter::repeat_n(self.name.as_str(), NAME_REPEATS);
        let texts = [&self.sku, &self.category, &self.color].into_iter().flatten();
        let lists = self.sizes.iter().chain(&self.key_features);
        let lines = names.chain(texts.chain(lists).map(String::as_str)).chain(self.attribute_texts());
        let lines = lines.chain([self.description.as_str()]).filter(|line| !line.trim().is_empty());
        let mut text = lines.collect::<Vec<_>>().join("\n");
        text.truncate(text.floor_char_boundary(MAX_INDEX_BYTES));
        text
    }

    fn attribute_texts(&self) -> impl Iterator<Item = &str> {
        self.attributes
            .values()
            .flat_map(|value| match value {
                Value::Array(entries) => entries.as_slice(),
                value => std::slice::from_ref(value),
            })
            .filter_map(Value::as_str)
    }

    /// The value of a field or attribute by the name it has in filters, facets and ranking columns.
    pub fn field(&self, name: &str) -> Option<Value> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        match name {
            "name" => Some(self.name.clone().into()),
            "price" => Some(self.price.into()),
            "currency" => text(&self.currency),
            "description" => Some(self.description.clone().into()),
            "category" => text(&self.category),
            "sku" => text(&self.sku),
            "stock" => self.stock.map(Value::from),
            "weight_kg" => self.weight_kg.map(Value::from),
            "color" => text(&self.color),
            "sizes" => (!self.sizes.is_empty()).then(|| self.sizes.clone().into()),
            "item_group_id" => text(&self.item_group_id),
            "key_features" => (!self.key_features.is_empty()).then(|| self.key_features.clone().into()),
            other => self.attributes.get(other.strip_prefix("attributes.").unwrap_or(other)).cloned(),
        }
    }
}

/// A moment in the life of every product. Filters, facets and orders know it by its name, which is no attribute's: an attribute
/// that is called so has `attributes.` before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// When it was added.
    #[default]
    Created,
    /// When it last changed.
    Updated,
}

impl Moment {
    /// The moment of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Created, Self::Updated].into_iter().find(|moment| moment.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created_at",
            Self::Updated => "updated_at",
        }
    }
}

/// What filters, facets and orders see of a product: what the shop says of it, the article numbers, colours and sizes of its
/// offers besides, and its moments.
#[derive(Debug, Clone, Copy)]
pub struct Filterable<'a> {
    /// What the shop says of it.
    pub details: &'a Details,
    /// Other terms that it is sold on.
    pub offers: &'a [Offer],
    /// When it was added and when it last changed; none of what is no stored product.
    pub moments: Option<[Timestamp; 2]>,
}

impl<'a> From<&'a Details> for Filterable<'a> {
    fn from(details: &'a Details) -> Self {
        Self { details, offers: &[], moments: None }
    }
}

impl<'a> From<&'a Product> for Filterable<'a> {
    fn from(product: &'a Product) -> Self {
        let moments = Some([product.created_at, product.updated_at]);
        Self { details: &product.details, offers: &product.offers, moments }
    }
}

impl Filterable<'_> {
    /// A moment, in milliseconds since 1970.
    pub fn moment(&self, moment: Moment) -> Option<i64> {
        let [created, updated] = self.moments?;
        Some(match moment {
            Moment::Created => created.as_millisecond(),
            Moment::Updated => updated.as_millisecond(),
        })
    }

    /// The value of a field, attribute or moment, a list where the offers have others than the product.
    pub fn field(&self, name: &str) -> Option<Value> {
        if let Some(moment) = Moment::named(name) {
            return self.moment(moment).map(|milliseconds| date::text_of(milliseconds).into());
        }
        let own = self.details.field(name);
        let known = match &own {
            Some(Value::Array(entries)) => entries.as_slice(),
            one => one.as_slice(),
        };
        let mut others: Vec<&String> = Vec::new();
        for value in self.offers.iter().flat_map(|offer| offer.values(name)) {
            if !others.contains(&value) && !known.iter().any(|known| known == value) {
                others.push(value);
            }
        }
        if others.is_empty() {
            return own;
        }
        let own = match own {
            Some(Value::Array(entries)) => entries,
            one => Vec::from_iter(one),
        };
        Some(own.into_iter().chain(others.into_iter().map(|value| value.as_str().into())).collect())
    }

    /// What stores keep for filters: the stored name and the value of every field and attribute, one for each entry of
    /// a list. An empty list is one value.
    pub fn stored_fields(&self) -> Vec<(String, Value)> {
        let fields = Details::FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), self.field(name)?)));
        let attributes =
            self.details.attributes.iter().map(|(name, value)| (format!("attributes.{name}"), value.clone()));
        let entries = fields.chain(attributes).flat_map(|(name, value)| {
            let values = match value {
                Value::Array(entries) if !entries.is_empty() => entries,
                value => vec![value],
            };
            values.into_iter().map(move |value| (name.clone(), value))
        });
        entries.collect()
    }
}

fn check_amount(field: &str, amount: Option<f64>) -> Result<(), InvalidField> {
    match amount {
        Some(amount) if !amount.is_finite() => Err(InvalidField::new(field, "is not a finite number")),
        Some(amount) if amount < 0.0 => Err(InvalidField::new(field, "is negative")),
        _ => Ok(()),
    }
}

fn check_text(field: &str, text: &str) -> Result<(), InvalidField> {
    if text.len() > MAX_FIELD_BYTES {
        return Err(InvalidField::new(field, format!("is longer than {MAX_FIELD_BYTES} bytes")));
    }
    if text.contains('\0') {
        return Err(InvalidField::new(field, "contains a NUL character"));
    }
    Ok(())
}

fn check_list(field: &str, entries: &[String]) -> Result<(), InvalidField> {
    if entries.len() > MAX_LIST_ENTRIES {
        return Err(InvalidField::new(field, format!("has more than {MAX_LIST_ENTRIES} entries")));
    }
    entries.iter().try_for_each(|entry| check_text(field, entry))
}

fn check_currency(code: Option<&str>) -> Result<(), InvalidField> {
    match code {
        Some(code) if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) => {
            Err(InvalidField::new("currency", "is not an ISO 4217 code such as EUR"))
        }
        _ => Ok(()),
    }
}

fn check_attributes(attributes: &Map<String, Value>) -> Result<(), InvalidField> {
    if attributes.len() > MAX_LIST_ENTRIES {
        return Err(InvalidField::new("attributes", format!("has more than {MAX_LIST_ENTRIES} entries")));
    }
    for (name, value) in attributes {
        let field = || format!("attributes.{name}");
        if name.is_empty() || name.len() > 64 || name.contains(['.', '"', '\0']) {
            return Err(InvalidField::new("attributes", "has a name that is empty, too long or not plain"));
        }
        match value {
            Value::String(text) => check_text(&field(), text)?,
            Value::Number(_) | Value::Bool(_) => {}
            Value::Array(list) if list.len() <= MAX_LIST_ENTRIES && list.iter().all(Value::is_string) => {
                list.iter().filter_map(Value::as_str).try_for_each(|text| check_text(&field(), text))?;
            }
            _ => {
                return Err(InvalidField::new(
                    field(),
                    "is not text, a number, a boolean or a list of texts",
                ));
            }
        }
    }
    Ok(())
}

/// A picture of a product, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// SHA-256 of the uploaded bytes; unique inside a tenant.
    pub hash: ImageHash,
    /// Its look in 64 bits.
    pub perceptual: PerceptualHash,
    /// Where the image host serves it: an absolute address, or a path on this server.
    pub url: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Terms on which a shop sells a product besides those of the product itself: it was sent once more, with pictures that were
/// known and a price or an article number that was not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The identifier that it would have as a product.
    pub id: ProductId,
    /// Display name.
    pub name: String,
    /// Price in `currency`.
    pub price: f64,
    /// ISO 4217 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The shop's own article number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Pieces in stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u32>,
    /// Colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Sizes on offer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<String>,
    /// When it was made.
    pub added_at: Timestamp,
}

/// What makes an offer another one.
type Terms<'a> = (f64, Option<&'a str>, Option<&'a str>, Option<&'a str>, &'a [String]);

impl Offer {
    /// What a shop said of a product, as an offer.
    pub fn of(id: ProductId, details: &Details, added_at: Timestamp) -> Self {
        let Details { name, price, currency, sku, stock, color, sizes, .. } = details.clone();
        Self { id, name, price, currency, sku, stock, color, sizes, added_at }
    }

    /// What it says of a field by which its product is found, too.
    fn values(&self, field: &str) -> &[String] {
        match field {
            "sku" => self.sku.as_slice(),
            "color" => self.color.as_slice(),
            "sizes" => &self.sizes,
            _ => &[],
        }
    }

    fn terms(&self) -> Terms<'_> {
        (self.price, self.currency.as_deref(), self.sku.as_deref(), self.color.as_deref(), &self.sizes)
    }

    /// Whether it stands for the same article as an earlier one, in whose place it comes.
    fn renews(&self, earlier: &Self) -> bool {
        self.terms() == earlier.terms() || (self.sku.is_some() && self.sku == earlier.sku)
    }
}

/// A product, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// The shop it belongs to.
    pub tenant: TenantId,
    /// Its identifier.
    pub id: ProductId,
    /// What the shop says of it.
    pub details: Details,
    /// Its pictures in display order.
    pub images: Vec<StoredImage>,
    /// Other terms that its shop sells it on, oldest first.
    pub offers: Vec<Offer>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Grows with every change.
    pub revision: u64,
}

/// Adds an offer to a product's; of the same article, it takes the earlier one's place.
pub fn add_offer(offers: &mut Vec<Offer>, offer: Offer) {
    offers.retain(|earlier| !offer.renews(earlier));
    offers.push(offer);
}

impl Product {
    /// Whether the shop sells it on these terms already. A stock is no term: it changes without anybody offering anything.
    pub fn is_sold_so(&self, offer: &Offer) -> bool {
        let own = Offer::of(self.id.clone(), &self.details, self.created_at);
        std::iter::once(&own).chain(&self.offers).any(|known| known.terms() == offer.terms())
    }

    /// Whether one more offer is not one too many: one that takes an earlier one's place needs none.
    pub fn has_room_for(&self, offer: &Offer) -> bool {
        self.offers.len() < MAX_LIST_ENTRIES || self.offers.iter().any(|earlier| offer.renews(earlier))
    }

    /// A moment in its life.
    pub fn moment(&self, moment: Moment) -> Timestamp {
        match moment {
            Moment::Created => self.created_at,
            Moment::Updated => self.updated_at,
        }
    }

    /// The value of a ranking column: a field or attribute, or when the product was added or last changed, in seconds
    /// since 1970.
    pub fn column(&self, name: &str) -> Option<Value> {
        match Moment::named(name) {
            Some(moment) => Some(self.moment(moment).as_duration().as_secs_f64().into()),
            None => self.details.field(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: &str, price: f64, sku: Option<&str>) -> Offer {
        let details = Details { price, sku: sku.map(str::to_owned), ..shoe() };
        Offer::of(id.parse().unwrap(), &details, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_offer_takes_the_place_of_an_earlier_one_of_the_same_article_only() {
        let mut offers = Vec::new();
        for offer in [offer("a", 9.0, Some("x")), offer("b", 9.0, None), offer("c", 8.0, Some("x"))] {
            add_offer(&mut offers, offer);
        }
        assert_eq!(offers.iter().map(|offer| offer.id.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        add_offer(&mut offers, offer("d", 9.0, None));
        assert_eq!(offers.iter().map(|offer| offer.id.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    }

    #[test]
    fn a_product_is_found_by_what_its_offers_are_sold_as() {
        let details = Details { sku: Some("a".into()), sizes: vec!["S".into()], ..shoe() };
        let own = Filterable::from(&details);
        assert_eq!(own.field("sku"), Some("a".into()));
        let (same, other) = (offer("a", 9.0, Some("a")), offer("b", 9.0, Some("b")));
        let other = Offer { sizes: vec!["S".into(), "M".into()], color: Some("red".into()), ..other };
        let offers = [same, other];
        assert_eq!(Filterable { offers: &offers[..1], ..own }.field("sku"), Some("a".into()));
        let sold = Filterable { offers: &offers, ..own };
        assert_eq!(sold.field("sku"), Some(serde_json::json!(["a", "b"])));
        assert_eq!(sold.field("sizes"), Some(serde_json::json!(["S", "M"])));
        assert_eq!(sold.field("color"), Some(serde_json::json!(["red"])));
        assert_eq!(sold.field("price"), Some(10.0.into()), "an offer's price is not the product's");
        assert_eq!(sold.field("nothing"), None);
    }

    #[test]
    fn a_product_is_sold_on_its_own_terms_and_on_those_of_its_offers() {
        let product = Product {
            tenant: "shop".parse().unwrap(),
            id: "shoe".parse().unwrap(),
            details: shoe(),
            images: Vec::new(),
            offers: vec![offer("a", 9.0, Some("x"))],
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            revision: 1,
        };
        assert!(product.is_sold_so(&offer("b", 10.0, None)));
        assert!(product.is_sold_so(&offer("b", 9.0, Some("x"))));
        assert!(!product.is_sold_so(&offer("b", 9.0, None)));
        assert!(!product.is_sold_so(&offer("b", 10.0, Some("x"))));
    }

    fn shoe() -> Details {
        Details { name: "shoe".into(), price: 10.0, ..Details::default() }
    }

    #[test]
    fn a_price_that_is_no_amount_is_refused() {
        for price in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Details { price, ..shoe() }.check().unwrap_err().field, "price");
        }
        assert!(shoe().check().is_ok());
    }

    #[test]
    fn a_group_without_a_name_is_refused_and_products_without_a_group_are_not() {
        let in_group = |group: &str| Details { item_group_id: Some(group.into()), ..shoe() };
        assert_eq!(in_group(" ").check().unwrap_err().field, "item_group_id");
        assert!(in_group("shirts").check().is_ok());
    }

    #[test]
    fn an_edited_product_is_found_by_all_its_texts() {
        let details = Details {
            description: "for rain".into(),
            sku: Some("s-1".into()),
            sizes: vec!["41".into()],
            attributes: serde_json::json!({"brand": "Bata", "tags": ["a", "b"], "year": 2024})
                .as_object()
                .unwrap()
                .clone(),
            ..shoe()
        };
        let expected = format!("{0}\n{0}\ns-1\n41\nBata\na\nb\nfor rain", details.name);
        assert_eq!(details.index_text(), expected);
        let long = Details { description: "é".repeat(MAX_INDEX_BYTES), ..shoe() };
        assert!(long.index_text().len() <= MAX_INDEX_BYTES);
    }

    #[test]
    fn nested_attributes_are_refused_by_name() {
        let mut details = shoe();
        details.attributes.insert("brand".into(), "Bata".into());
        assert!(details.check().is_ok());
        details.attributes.insert("deep".into(), serde_json::json!({"a": 1}));
        assert_eq!(details.check().unwrap_err().field, "attributes.deep");
    }
}
