//! What the OpenAPI description says of every route alike: which problems any of them may answer with, and in which form.

use utoipa::openapi::{
    Content, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder, path::Operation, response::Responses,
};

/// Routes that ask for no key.
const OPEN: [&str; 3] = ["/", "/health", "/images/{hash}"];
/// What a problem's schema is called.
const PROBLEM: &str = "Problem";
const PLAIN: &str = "application/json";
const PROBLEM_TYPE: &str = "application/problem+json";

/// Completes the description that was gathered from the routes.
pub fn complete(mut description: OpenApi) -> OpenApi {
    for (path, item) in &mut description.paths.paths {
        let open = OPEN.contains(&path.as_str());
        for operation in operations(item) {
            add_common(operation, open);
            let responses = operation.responses.responses.values_mut();
            responses.for_each(name_problems);
        }
    }
    description
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// What whoever stands before the handler may answer: the door, the limits, and those that take a request apart.
fn add_common(operation: &mut Operation, open: bool) {
    let takes_body = operation.request_body.is_some();
    let takes_something = takes_body || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let common = [
        ("400", takes_something, "It cannot be understood"),
        ("401", !open, "A key is needed, or this one opens nothing"),
        ("403", !open, "This caller may not"),
        ("404", !open, "There is no such thing, or no such shop"),
        ("413", takes_body, "It is larger than allowed"),
        ("415", takes_body, "It is of a type that is not taken"),
        ("422", takes_something, "Something in it is at fault"),
        ("429", !open, "Too many requests; come again after `Retry-After` seconds"),
        ("503", !open, "Something that it leans on is away; come again after `Retry-After` seconds"),
    ];
    let Responses { responses, .. } = &mut operation.responses;
    for (status, _, says) in common.into_iter().filter(|(_, applies, _)| *applies) {
        responses.entry(status.to_owned()).or_insert_with(|| problem(says).into());
    }
}

fn problem(says: &str) -> Response {
    let schema = Ref::from_schema_name(PROBLEM);
    ResponseBuilder::new().description(says).content(PLAIN, Content::new(Some(schema))).build()
}

/// Problems have a content type of their own.
fn name_problems(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let is_problem = |content: &RefOr<Content>| {
        let RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) = content else { return false };
        schema.ref_location.ends_with(&format!("/{PROBLEM}"))
    };
    if response.content.get(PLAIN).is_some_and(is_problem)
        && let Some(content) = response.content.shift_remove(PLAIN)
    {
        response.content.insert(PROBLEM_TYPE.to_owned(), content);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn every_problem_is_described_in_the_form_it_is_answered_in() {
        let description = serde_json::to_value(crate::http::openapi()).unwrap();
        let mut problems = 0;
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let text = response["content"].to_string();
                    if text.contains("schemas/Problem\"") {
                        let plain = &response["content"]["application/json"];
                        assert_eq!(plain, &Value::Null, "{method} {path}: {status}");
                        problems += 1;
                    }
                }
            }
        }
        assert!(problems > 100, "{problems}");
    }
}
